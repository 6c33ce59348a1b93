// SPDX-License-Identifier: GPL-3.0-or-later
// Rules of others: printed as iptables-save prints them, and honest about what
// RuleMatch does not show.
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernel/ip_prefix.h"
#include "kernel/linux/xtables/ip_set_socket.h"
#include "kernel/linux/xtables/xt_codec.h"
#include "tests/support/status_matchers.h"
#include "tests/system/xt_tables.h"

namespace nfmeter::kernel {
namespace {

using ::nfmeter::testing::Iptables;
using ::nfmeter::testing::RawRule;
using ::nfmeter::testing::ReadChain;
using ::nfmeter::testing::SavedRules;
using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class XtForeignTest : public ::testing::TestWithParam<Family> {
 protected:
  // The program can be run as a whole, too.
  void TearDown() override {
    for (const char* table : {"filter", "mangle", "raw", "nat"}) {
      EXPECT_OK(Iptables(family_, {"-t", table, "-F"}));
      EXPECT_OK(Iptables(family_, {"-t", table, "-X"}));
    }
    EXPECT_EQ(testing::Run({"ipset", "destroy"}).exit_code, 0);
    EXPECT_EQ(testing::Run({"nfacct", "flush"}).exit_code, 0);
  }

  bool v4() const { return family_ == Family::kIpv4; }

  // Adds a rule of iptables' to a chain of its own and reads it back.
  absl::StatusOr<DecodedEntry> Decode(const std::string& table,
                                      const std::string& args) {
    const std::string chain = absl::StrCat("C", ++chains_);
    absl::Status status = Iptables(family_, {"-t", table, "-N", chain});
    if (!status.ok()) return status;
    std::vector<std::string> command = {"-t", table, "-A", chain};
    for (absl::string_view arg : absl::StrSplit(args, ' ', absl::SkipEmpty())) {
      command.emplace_back(arg == "<space>" ? " a b" : std::string(arg));
    }
    status = Iptables(family_, command);
    if (!status.ok()) return status;
    const std::vector<RawRule> rules = ReadChain(family_, table, chain);
    const std::vector<std::string> saved = SavedRules(family_, table, chain);
    if (rules.size() != 1 || saved.size() != 1) {
      return absl::InternalError("the rule is not there");
    }
    saved_ = saved[0];
    absl::StatusOr<DecodedEntry> decoded =
        DecodeEntry(family_, rules[0].bytes, rules[0].target, sets_);
    if (!decoded.ok()) return decoded;
    const std::string name =
        decoded->target_alias.empty() ? rules[0].target : decoded->target_alias;
    printed_ =
        absl::StrCat(decoded->match_text, decoded->goto_chain ? " -g " : " -j ",
                     name, decoded->target_options);
    if (name.empty()) printed_ = decoded->match_text;
    return decoded;
  }

  // The rule prints as iptables-save prints it, and `others` is what it has
  // beyond RuleMatch.
  void Check(const std::string& table, const std::string& args,
             const std::vector<std::string>& others = {}) {
    SCOPED_TRACE(args);
    const absl::StatusOr<DecodedEntry> decoded = Decode(table, args);
    ASSERT_OK(decoded);
    EXPECT_EQ(printed_, saved_);
    EXPECT_THAT(decoded->other_matches, ElementsAreArray(others));
    EXPECT_EQ(decoded->id, "");
  }

  const Family family_ = GetParam();
  IpSetSocket sets_;
  int chains_ = 0;
  std::string saved_;
  std::string printed_;
};

INSTANTIATE_TEST_SUITE_P(Families, XtForeignTest,
                         ::testing::Values(Family::kIpv4, Family::kIpv6),
                         [](const auto& info) {
                           return std::string(FamilyName(info.param));
                         });

TEST_P(XtForeignTest, MatchesOutsideTheModelPrintAsIptablesSaveDoes) {
  for (const char* rate : {"1/s", "7/sec", "1/min", "13/minute", "100/hour",
                           "5/day", "9999/s", "59/hour", "90/min"}) {
    Check("filter", absl::StrCat("-m limit --limit ", rate), {"limit"});
  }
  Check("filter", "-m limit --limit 3/hour --limit-burst 9", {"limit"});
  Check("filter", "-m length --length 1:2", {"length"});
  Check("filter", "-m length ! --length 64", {"length"});
  Check("filter", "-m statistic --mode random --probability 0.33",
        {"statistic"});
  Check("filter", "-m statistic --mode random ! --probability 0.5",
        {"statistic"});
  Check("filter", "-m statistic --mode nth --every 3 --packet 1",
        {"statistic"});
  Check("filter",
        v4() ? "-m iprange --src-range 10.0.0.1-10.0.0.9 ! --dst-range "
               "10.1.0.0-10.2.0.0"
             : "-m iprange ! --src-range 2001:db8::1-2001:db8::9 --dst-range "
               "::1-::2",
        {"iprange"});
  Check("filter", "-m mac --mac-source 00:01:02:AB:cd:ff", {"mac"});
  Check("filter", "-m mac ! --mac-source 00:01:02:AB:cd:ff", {"mac"});
  Check("filter", "-m connmark --mark 2/0xf0", {"connmark"});
  Check("filter", "-m connmark ! --mark 2", {"connmark"});
  for (const char* mode : {"-eq", "-lt", "-gt"}) {
    Check("filter",
          absl::StrCat(v4() ? "-m ttl --ttl" : "-m hl --hl", mode, " 3"),
          {v4() ? "ttl" : "hl"});
  }
  Check("filter", v4() ? "-m ttl ! --ttl-eq 3" : "-m hl ! --hl-eq 3",
        {v4() ? "ttl" : "hl"});
  Check("filter", "-m quota --quota 12345678901", {"quota"});
  Check("filter", "-m quota ! --quota 5", {"quota"});
  Check("filter", "-m tos --tos 0x10/0x3f", {"tos"});
  Check("filter", "-m tos ! --tos 0x10", {"tos"});
  Check("filter", "-p esp -m esp --espspi 1:9", {"esp"});
  Check("filter", "-p esp -m esp ! --espspi 7", {"esp"});
  Check("filter", "-p tcp --tcp-flags SYN SYN -m tcpmss --mss 1:500",
        {"tcpmss"});
  Check("filter", "-p tcp --tcp-flags SYN SYN -m tcpmss ! --mss 5", {"tcpmss"});
  Check("filter", "-m recent --name ssh --set", {"recent"});
  Check("filter",
        "-m recent ! --update --seconds 9 --hitcount 2 --name ssh --rdest",
        {"recent"});
  if (v4()) Check("filter", "-f", {"fragment"});
  if (v4()) Check("filter", "! -f -p tcp", {"fragment"});
}

TEST_P(XtForeignTest, KnownMatchesWithOptionsOutsideTheModelPrintInFull) {
  Check("filter", "-p tcp -m tcp --dport 80 --tcp-option 3", {"tcp"});
  Check("filter", "-p tcp -m tcp ! --tcp-option 3", {"tcp"});
  Check("filter", "-p tcp -m tcp", {});
  Check("filter", "-p udp -m udp", {});
  Check("filter", "-p tcp -m multiport --ports 1,2:3", {"multiport"});
  Check("filter", "-p sctp -m sctp --dport 4 --chunk-types any DATA:Be,INIT",
        {"sctp"});
  Check("filter", "-p sctp -m sctp ! --chunk-types only ABORT:T", {"sctp"});
  Check("filter", "-p sctp -m sctp --chunk-types all ALL", {"sctp"});
  Check("filter", "-p dccp -m dccp --dccp-types REQUEST,RESET --sport 1",
        {"dccp"});
  Check("filter", "-p dccp -m dccp ! --dccp-option 7", {"dccp"});
  Check("filter", "-m pkttype --pkt-type otherhost", {"pkttype"});
  Check("filter", "-m addrtype --src-type LOCAL --limit-iface-in",
        {"addrtype"});
  Check("filter", "-m owner --socket-exists", {"owner"});
  Check("filter", "-m owner ! --socket-exists --uid-owner 3", {"owner"});
  Check("filter", "-m owner --gid-owner 3 --suppl-groups", {"owner"});
  Check("filter", "-m cgroup --cgroup 5", {"cgroup"});
  Check("filter",
        v4() ? "-m conntrack --ctstate NEW --ctproto 6 --ctorigsrc "
               "10.0.0.0/8 ! --ctorigdst 10.0.0.1 --ctorigdstport 80:90 "
               "--ctstatus ASSURED,EXPECTED --ctexpire 5:9 --ctdir REPLY"
             : "-m conntrack ! --ctproto 6 --ctreplsrc 2001:db8::/32 "
               "--ctrepldst ::1 ! --ctorigsrcport 5 --ctstatus NONE "
               "--ctexpire 5 --ctdir ORIGINAL",
        {"conntrack"});
  if (v4()) Check("filter", "-p icmp -m icmp --icmp-type any", {"icmp"});
}

TEST_P(XtForeignTest, TheStateMatchIsReadAsConnectionStates) {
  const auto decoded = Decode("filter", "-m state ! --state NEW,RELATED");
  ASSERT_OK(decoded);
  EXPECT_EQ(printed_, saved_);
  EXPECT_EQ(saved_, " -m state ! --state NEW,RELATED");
  EXPECT_THAT(decoded->other_matches, IsEmpty());
  ASSERT_TRUE(decoded->match.conntrack_states.has_value());
  EXPECT_EQ(decoded->match.conntrack_states->value,
            uint32_t{kCtNew | kCtRelated});
  EXPECT_TRUE(decoded->match.conntrack_states->negated);
}

TEST_P(XtForeignTest, RepeatedMatchesAreListed) {
  Check("filter", "-p tcp -m multiport --dports 1,2 -m multiport --dports 2,3",
        {"multiport"});
  Check("filter", "-p tcp -m tcp --dport 1:9 -m multiport ! --dports 2,3",
        {"multiport"});
  Check("filter", "-m mark --mark 1 -m mark ! --mark 2", {"mark"});
  Check("filter", "-m comment --comment a -m comment --comment b", {"comment"});
  ASSERT_EQ(testing::Run({"nfacct", "add", "a"}).exit_code, 0);
  ASSERT_EQ(testing::Run({"nfacct", "add", "b"}).exit_code, 0);
  Check("filter", "-m nfacct --nfacct-name a -m nfacct --nfacct-name b",
        {"nfacct"});
}

TEST_P(XtForeignTest, SetsWithOptionsOutsideTheModelPrintInFull) {
  ASSERT_EQ(testing::Run({"ipset", "create", "hosts", "hash:ip", "family",
                          v4() ? "inet" : "inet6", "counters"})
                .exit_code,
            0);
  Check("filter",
        "-m set --match-set hosts src --return-nomatch ! --update-counters "
        "--packets-gt 5 ! --bytes-eq 9",
        {"set"});
  Check("filter", "-m set ! --match-set hosts dst ! --update-subcounters",
        {"set"});
}

TEST_P(XtForeignTest, OtherMatchesAreNamedWithTheirSize) {
  const auto decoded =
      Decode("filter",
             "-p tcp -m tcp --dport 5 -m hashlimit --hashlimit-name "
             "a --hashlimit-above 5/s -j DROP");
  ASSERT_OK(decoded);
  EXPECT_THAT(decoded->match_text,
              HasSubstr(" -p tcp -m tcp --dport 5 -m hashlimit ["));
  EXPECT_THAT(decoded->other_matches, ElementsAre("hashlimit"));
  EXPECT_EQ(decoded->verdict, Verdict::kDrop);
  ASSERT_TRUE(decoded->match.destination_ports.has_value());
}

TEST_P(XtForeignTest, TargetsPrintAsIptablesSaveDoes) {
  Check("filter", "-j LOG");
  Check("filter",
        "-j LOG --log-prefix <space> --log-level debug --log-tcp-sequence "
        "--log-tcp-options --log-ip-options --log-uid --log-macdecode");
  Check("filter", "-j NFLOG");
  Check("filter",
        "-j NFLOG --nflog-prefix x'y --nflog-group 3 --nflog-size 5 "
        "--nflog-threshold 6");
  Check("filter", "-j NFLOG --nflog-range 7");
  Check("filter", "-j NFQUEUE --queue-num 7 --queue-bypass");
  Check("filter", "-j NFQUEUE --queue-balance 1:4 --queue-cpu-fanout");
  for (const char* with :
       v4() ? std::vector<const char*>{"icmp-net-unreachable",
                                       "icmp-host-unreachable",
                                       "icmp-proto-unreachable",
                                       "icmp-port-unreachable",
                                       "icmp-net-prohibited",
                                       "icmp-host-prohibited",
                                       "icmp-admin-prohibited"}
            : std::vector<const char*>{
                  "icmp6-no-route", "icmp6-adm-prohibited",
                  "icmp6-addr-unreachable", "icmp6-port-unreachable",
                  "icmp6-policy-fail", "icmp6-reject-route"}) {
    Check("filter", absl::StrCat("-j REJECT --reject-with ", with));
  }
  Check("filter", "-p tcp -j REJECT --reject-with tcp-reset");
  Check("mangle", "-j MARK --set-mark 1");
  Check("mangle", "-j MARK --set-xmark 1/2");
  Check("mangle", "-j CONNMARK --set-mark 1/3");
  Check("mangle", "-j CONNMARK --save-mark --nfmask 1 --ctmask 3");
  Check("mangle", "-j CONNMARK --restore-mark");
  Check("mangle", "-j CLASSIFY --set-class 1:ab");
  Check("mangle", "-j DSCP --set-dscp 1");
  Check("mangle", "-p tcp --tcp-flags SYN,RST SYN -j TCPMSS --set-mss 1400");
  Check("mangle",
        "-p tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu");
  Check("raw", "-j NOTRACK");
  Check("raw", "-j CT --notrack");
  Check("raw", "-j CT --ctevents new,destroy,mark --expevents new --zone 3");
  Check("raw", "-j CT --zone-orig mark");
  Check("raw", "-j CT --zone-reply 5");
  Check("raw", "-j TRACE");
}

TEST_P(XtForeignTest, AddressTranslationPrintsAsIptablesSaveDoes) {
  const std::string a = v4() ? "10.0.0.1" : "2001:db8::1";
  const std::string b = v4() ? "10.0.0.9" : "2001:db8::9";
  const std::string p = v4() ? a : absl::StrCat("[", a, "]");
  Check("nat", "-j DNAT --to-destination " + a);
  Check("nat",
        absl::StrCat("-j DNAT --to-destination ", a, "-", b, " --persistent"));
  Check("nat", absl::StrCat("-p tcp -j DNAT --to-destination ", p, ":80"));
  Check("nat", absl::StrCat("-p tcp -j DNAT --to-destination ", p,
                            ":80-90/1000 --random"));
  Check("nat", "-j SNAT --to-source " + a);
  Check("nat", absl::StrCat("-p udp -j SNAT --to-source ", p,
                            ":80-90 --random-fully"));
  Check("nat", "-p tcp -j REDIRECT --to-ports 80-90");
  Check("nat", "-j REDIRECT");
  Check("nat", "-p tcp -j MASQUERADE --to-ports 80 --random");
  Check("nat", "-j MASQUERADE");
}

TEST_P(XtForeignTest, OtherTargetsShowTheirSize) {
  const auto decoded =
      Decode("mangle", v4() ? "-j TTL --ttl-set 3" : "-j HL --hl-set 3");
  ASSERT_OK(decoded);
  EXPECT_EQ(decoded->target_options, " [8 bytes]");
  EXPECT_EQ(decoded->verdict, Verdict::kOther);
}

TEST_P(XtForeignTest, JumpsAndGotosAreTold) {
  ASSERT_OK(Iptables(family_, {"-N", "USER"}));
  Check("filter", "-j USER");
  Check("filter", "-g USER");
  Check("filter", "-j RETURN");
  const auto decoded = Decode("filter", "-p tcp -g USER");
  ASSERT_OK(decoded);
  EXPECT_TRUE(decoded->goto_chain);
  EXPECT_EQ(decoded->verdict, Verdict::kOther);
}

TEST_P(XtForeignTest, CommentsThatOnlyLookLikeAMarkAreComments) {
  for (const std::string& comment :
       {std::string("nfmeter:"), std::string("nfmeter:UPPER"),
        std::string("nfmeter"), "nfmeter:" + std::string(41, 'a')}) {
    const auto decoded = Decode("filter", "-m comment --comment " + comment);
    ASSERT_OK(decoded);
    EXPECT_EQ(printed_, saved_);
    EXPECT_EQ(decoded->id, "");
    EXPECT_EQ(decoded->match.comment, comment);
  }
  const auto marked = Decode("filter", "-m comment --comment nfmeter:a-1");
  ASSERT_OK(marked);
  EXPECT_EQ(marked->id, "a-1");
  EXPECT_EQ(marked->match.comment, "");
}

}  // namespace
}  // namespace nfmeter::kernel
