// SPDX-License-Identifier: GPL-3.0-or-later
// From the flags of `rule add` to a RuleMatch, and back to text.
#include "cli/match_flags.h"

#include "absl/algorithm/container.h"
#include "absl/strings/match.h"
#include "gmock/gmock.h"
#include "google/protobuf/util/json_util.h"
#include "google/protobuf/util/message_differencer.h"
#include "tests/support/status_matchers.h"

namespace nfmeter::cli {
namespace {

using ::nfmeter::testing::IsOk;
using ::nfmeter::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;

const MatchFlag& FlagNamed(absl::string_view name) {
  for (const MatchFlag& flag : MatchFlags()) {
    if (flag.name == name) return flag;
  }
  ADD_FAILURE() << "no flag " << name;
  return MatchFlags()[0];
}

MatchArgument Argument(absl::string_view name, std::vector<std::string> values,
                       bool negated = false) {
  return {&FlagNamed(name), negated, std::move(values)};
}

struct Case {
  std::vector<MatchArgument> arguments;
  std::string json;  // of the RuleMatch
  std::string text;  // in tables
  bool ipv6 = false;
};

void Check(const Case& c) {
  const auto match = ParseMatch(c.arguments, c.ipv6);
  ASSERT_THAT(match, IsOk());
  v1::RuleMatch expected;
  ASSERT_OK(google::protobuf::util::JsonStringToMessage(c.json, &expected))
      << c.json;
  EXPECT_TRUE(
      google::protobuf::util::MessageDifferencer::Equals(*match, expected))
      << match->DebugString();
  EXPECT_EQ(DescribeMatch(*match), c.text);
}

TEST(ParseMatchTest, NothingMatchesEverything) { Check({{}, "{}", ""}); }

TEST(ParseMatchTest, ReadsTheClassicExample) {
  Check({{Argument("protocol", {"tcp"}), Argument("sport", {"80"})},
         R"({"protocol":"tcp","sourcePorts":[{"first":80}]})",
         "tcp sport 80"});
}

TEST(ParseMatchTest, ReadsListsAndRangesOfPorts) {
  Check({{Argument("dport", {"80,443,1000:2000,:21,65000:,5-6"})},
         R"({"destinationPorts":[{"first":80},{"first":443},
             {"first":1000,"last":2000},{"first":0,"last":21},
             {"first":65000,"last":65535},{"first":5,"last":6}]})",
         "dport 80,443,1000:2000,0:21,65000:65535,5:6"});
}

TEST(ParseMatchTest, ReadsAddressesAndInterfaces) {
  Check({{Argument("src", {"10.0.0.0/8"}), Argument("dst", {"fd00::1"}),
          Argument("in", {"eth0"}), Argument("out", {"wg+"})},
         R"({"source":"10.0.0.0/8","destination":"fd00::1",
             "inInterface":"eth0","outInterface":"wg+"})",
         "src 10.0.0.0/8 dst fd00::1 in eth0 out wg+"});
}

TEST(ParseMatchTest, IcmpNamesMeanWhatTheFamilySays) {
  Check({{Argument("icmp-type", {"8"})},
         R"({"icmp":{"type":8}})",
         "icmp-type 8"});
  Check({{Argument("icmp-type", {"8/0"})},
         R"({"icmp":{"type":8,"code":0}})",
         "icmp-type 8/0"});
  Check({{Argument("icmp-type", {"echo-request"})},
         R"({"icmp":{"type":8}})",
         "icmp-type 8"});
  Check({{Argument("icmp-type", {"echo-request"})},
         R"({"icmp":{"type":128}})",
         "icmp-type 128",
         true});
  Check({{Argument("icmp-type", {"ping"}), Argument("protocol", {"icmpv6"})},
         R"({"protocol":"icmpv6","icmp":{"type":128}})",
         "icmpv6 icmp-type 128"});
  Check({{Argument("icmp-type", {"port-unreachable"})},
         R"({"icmp":{"type":3,"code":3}})",
         "icmp-type 3/3"});
}

TEST(ParseMatchTest, ReadsTheRest) {
  Check({{Argument("ctstate", {"NEW,established"})},
         R"({"conntrackStates":["CONNTRACK_STATE_NEW",
             "CONNTRACK_STATE_ESTABLISHED"]})",
         "ctstate NEW,ESTABLISHED"});
  Check({{Argument("mark", {"0x1/0xff"})},
         R"({"mark":{"value":1,"mask":255}})",
         "mark 0x1/0xff"});
  Check({{Argument("mark", {"16"})}, R"({"mark":{"value":16}})", "mark 0x10"});
  Check({{Argument("uid-owner", {"1000"}), Argument("gid-owner", {"5-9"})},
         R"({"ownerUid":{"first":1000},"ownerGid":{"first":5,"last":9}})",
         "uid-owner 1000 gid-owner 5-9"});
  Check({{Argument("uid-owner", {"root"})},
         R"({"ownerUid":{"first":0}})",
         "uid-owner 0"});
  Check({{Argument("cgroup", {"system.slice/x.service"})},
         R"({"cgroupPath":"system.slice/x.service"})",
         "cgroup system.slice/x.service"});
  Check({{Argument("match-set", {"vips", "src,dst"})},
         R"({"ipSet":{"name":"vips","directions":["IP_SET_DIRECTION_SOURCE",
             "IP_SET_DIRECTION_DESTINATION"]}})",
         "match-set vips src,dst"});
  Check({{Argument("dscp", {"0"})}, R"({"dscp":0})", "dscp 0"});
  Check({{Argument("dscp", {"0x2e"})}, R"({"dscp":46})", "dscp 46"});
  Check({{Argument("dscp", {"ef"})}, R"({"dscp":46})", "dscp 46"});
  Check({{Argument("dscp", {"AF41"})}, R"({"dscp":34})", "dscp 34"});
  Check({{Argument("dscp", {"CS6"})}, R"({"dscp":48})", "dscp 48"});
  Check({{Argument("pkt-type", {"multicast"})},
         R"({"packetType":"PACKET_TYPE_MULTICAST"})",
         "pkt-type multicast"});
  Check({{Argument("src-type", {"LOCAL"}),
          Argument("dst-type", {"broadcast,MULTICAST"})},
         R"({"sourceAddressTypes":["ADDRESS_TYPE_LOCAL"],
             "destinationAddressTypes":["ADDRESS_TYPE_BROADCAST",
             "ADDRESS_TYPE_MULTICAST"]})",
         "src-type LOCAL dst-type BROADCAST,MULTICAST"});
  Check({{Argument("tcp-flags", {"SYN,ACK", "SYN"})},
         R"({"tcpFlags":{"mask":["TCP_FLAG_SYN","TCP_FLAG_ACK"],
             "set":["TCP_FLAG_SYN"]}})",
         "tcp-flags SYN,ACK SYN"});
  Check({{Argument("tcp-flags", {"ALL", "NONE"})},
         R"({"tcpFlags":{"mask":["TCP_FLAG_FIN","TCP_FLAG_SYN","TCP_FLAG_RST",
             "TCP_FLAG_PSH","TCP_FLAG_ACK","TCP_FLAG_URG"]}})",
         "tcp-flags FIN,SYN,RST,PSH,ACK,URG NONE"});
  Check({{Argument("comment", {"a note"})}, R"({"comment":"a note"})", ""});
}

// The value that each flag takes here, for tests over all flags.
std::vector<std::string> SomeValue(const MatchFlag& flag) {
  if (flag.name == "tcp-flags") return {"SYN", "SYN"};
  if (flag.name == "match-set") return {"vips", "src"};
  if (flag.name == "ctstate") return {"NEW"};
  if (flag.name == "pkt-type") return {"unicast"};
  if (flag.name == "src-type" || flag.name == "dst-type") return {"LOCAL"};
  return {"1"};
}

TEST(ParseMatchTest, EveryConditionHasAFlag) {
  const auto* const match = v1::RuleMatch::descriptor();
  for (int i = 0; i < match->field_count(); ++i) {
    const std::string& field = match->field(i)->name();
    if (absl::StartsWith(field, "not_")) continue;
    EXPECT_TRUE(absl::c_any_of(MatchFlags(), [&](const MatchFlag& flag) {
      return flag.field == field;
    })) << field;
  }
}

TEST(ParseMatchTest, EveryFlagButCommentHasItsOwnNegation) {
  for (const MatchFlag& flag : MatchFlags()) {
    if (flag.name == "comment") {
      EXPECT_FALSE(HasNegation(flag));
      continue;
    }
    const auto plain = ParseMatch({{&flag, false, SomeValue(flag)}}, false);
    const auto negated = ParseMatch({{&flag, true, SomeValue(flag)}}, false);
    ASSERT_THAT(negated, IsOk()) << flag.name;
    std::string report;
    google::protobuf::util::MessageDifferencer differencer;
    differencer.ReportDifferencesToString(&report);
    EXPECT_FALSE(differencer.Compare(*plain, *negated)) << flag.name;
    // One boolean more, nothing else.
    EXPECT_THAT(report, ::testing::MatchesRegex("added: not_[a-z_]+: true\n"))
        << flag.name;
    EXPECT_THAT(DescribeMatch(*negated), HasSubstr("!")) << flag.name;
  }
}

TEST(ParseMatchTest, SaysWhichFlagIsWrongAndWhatWouldBeRight) {
  const struct {
    MatchArgument argument;
    const char* flag;
    const char* value;
  } cases[] = {
      {Argument("sport", {"70000"}), "--sport: ", "'70000'"},
      {Argument("sport", {"65536"}), "--sport: ", "'65536'"},
      {Argument("sport", {"80,,81"}), "--sport: ", "''"},
      {Argument("sport", {"-1"}), "--sport: ", "'-1'"},
      {Argument("sport", {":"}), "--sport: ", "':'"},
      {Argument("sport", {"no-such-service"}), "--sport: ", "no-such-service"},
      {Argument("dport", {"90:80"}, true), "--not-dport: ", "write 80:90"},
      {Argument("icmp-type", {"256"}), "--icmp-type: ", "'256'"},
      {Argument("icmp-type", {"8/0/1"}), "--icmp-type: ", "'8/0/1'"},
      {Argument("icmp-type", {"packet-too-big"}), "--icmp-type: ", "packet"},
      {Argument("ctstate", {"NEW,OLD"}), "--ctstate: ", "'OLD' is none of"},
      {Argument("ctstate", {"UNSPECIFIED"}), "--ctstate: ", "'UNSPECIFIED'"},
      {Argument("mark", {"0xfffffffff"}), "--mark: ", "'0xfffffffff'"},
      {Argument("uid-owner", {"nobody-here"}),
       "--uid-owner: ", "'nobody-here'"},
      {Argument("uid-owner", {"9-5"}), "--uid-owner: ", "write 5-9"},
      {Argument("match-set", {"vips", "up"}), "--match-set: ", "src"},
      {Argument("dscp", {"64"}), "--dscp: ", "'64'"},
      {Argument("dscp", {"AF44"}), "--dscp: ", "'AF44'"},
      {Argument("pkt-type", {"any"}), "--pkt-type: ", "UNICAST"},
      {Argument("src-type", {"NOWHERE"}), "--src-type: ", "LOCAL"},
      {Argument("tcp-flags", {"SYN", "ACK"}), "--tcp-flags: ", "must contain"},
      {Argument("tcp-flags", {"SIN", "SYN"}), "--tcp-flags: ", "'SIN'"},
      {Argument("src", {"!10.0.0.1"}), "--src: ", "--not-src"},
      {Argument("protocol", {""}), "--protocol: ", "empty"},
  };
  for (const auto& c : cases) {
    EXPECT_THAT(ParseMatch({c.argument}, false),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         AllOf(HasSubstr(c.flag), HasSubstr(c.value))))
        << c.flag << c.value;
  }
}

TEST(ParseMatchTest, RefusesAFlagTogetherWithItsNegation) {
  EXPECT_THAT(ParseMatch({Argument("src", {"10.0.0.1"}),
                          Argument("src", {"10.0.0.2"}, true)},
                         false),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("--src and its --not-src")));
}

}  // namespace
}  // namespace nfmeter::cli
