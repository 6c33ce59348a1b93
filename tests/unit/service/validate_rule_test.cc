// SPDX-License-Identifier: GPL-3.0-or-later
#include "service/rule/validate_rule.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "google/protobuf/text_format.h"
#include "kernel/ip_prefix.h"
#include "tests/support/status_matchers.h"

namespace nfmeter::service {
namespace {

using ::testing::_;
using ::testing::ElementsAre;
using ::testing::FieldsAre;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

// A rule for counter "c" in INPUT (unless the text says otherwise).
v1::Rule RuleFromText(const std::string& text) {
  v1::Rule rule;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &rule))
      << text;
  if (rule.counter().empty()) rule.set_counter("c");
  if (rule.chain().empty()) rule.set_chain("INPUT");
  return rule;
}

std::vector<FieldViolation> ViolationsOf(const std::string& text) {
  FieldErrors errors;
  ReadNewRule(RuleFromText(text), "rule", errors);
  return GetErrorDetails(errors.ToStatus()).violations;
}

accounting::NewRule Read(const std::string& text) {
  FieldErrors errors;
  accounting::NewRule rule = ReadNewRule(RuleFromText(text), "rule", errors);
  EXPECT_TRUE(errors.empty()) << errors.ToStatus();
  return rule;
}

// The rule has this one violation.
void ExpectViolation(const std::string& text, const std::string& field,
                     const std::string& description) {
  EXPECT_THAT(ViolationsOf(text),
              ElementsAre(FieldsAre("rule." + field, HasSubstr(description))))
      << text;
}

TEST(ReadNewRuleTest, ReadsTheClassicExample) {
  const accounting::NewRule rule =
      Read("match { protocol: 'tcp' source_ports { first: 80 } }");
  EXPECT_EQ(rule.family, kernel::Family::kIpv4);
  EXPECT_EQ(rule.table, kernel::Table::kFilter);
  EXPECT_EQ(rule.spec.chain, "INPUT");
  EXPECT_EQ(rule.spec.counter, "c");
  EXPECT_EQ(rule.spec.match.protocol->value, 6);
  EXPECT_THAT(rule.spec.match.source_ports->value,
              ElementsAre(kernel::PortRange{80, 80}));
}

TEST(ReadNewRuleTest, ReadsEveryCondition) {
  const kernel::RuleMatch match = Read(R"(chain: 'MINE' match {
    protocol: 'tcp' source: '10.0.0.0/8' not_source: true
    destination: '192.0.2.1' in_interface: 'eth+' out_interface: 'lo'
    not_out_interface: true
    destination_ports { first: 1 last: 9 } destination_ports { first: 80 }
    not_destination_ports: true
    conntrack_states: [CONNTRACK_STATE_NEW, CONNTRACK_STATE_RELATED]
    mark { value: 2 mask: 3 } not_mark: true
    cgroup_path: 'system.slice/x' ip_set { name: 's'
      directions: [IP_SET_DIRECTION_SOURCE, IP_SET_DIRECTION_DESTINATION] }
    dscp: 0 not_dscp: true packet_type: PACKET_TYPE_BROADCAST
    source_address_types: ADDRESS_TYPE_LOCAL
    destination_address_types: [ADDRESS_TYPE_UNICAST, ADDRESS_TYPE_PROHIBIT]
    tcp_flags { mask: [TCP_FLAG_SYN, TCP_FLAG_ACK] set: TCP_FLAG_SYN }
    comment: 'caf)"
                                       "\xc3\xa9"
                                       R"(' })")
                                      .spec.match;
  kernel::RuleMatch want;
  want.protocol = {6};
  want.source = {*kernel::ParseIpPrefix("10.0.0.0/8"), true};
  want.destination = {*kernel::ParseIpPrefix("192.0.2.1/32")};
  want.in_interface = {"eth+"};
  want.out_interface = {"lo", true};
  want.destination_ports = {{{1, 9}, {80, 80}}, true};
  want.conntrack_states = {kernel::kCtNew | kernel::kCtRelated};
  want.mark = {{2, 3}, true};
  want.cgroup_path = {"system.slice/x"};
  want.ip_set = {{"s",
                  {kernel::IpSetDirection::kSource,
                   kernel::IpSetDirection::kDestination}}};
  want.dscp = {0, true};
  want.packet_type = {kernel::PacketType::kBroadcast};
  want.source_address_types = {kernel::kAddrLocal};
  want.destination_address_types = {kernel::kAddrUnicast |
                                    kernel::kAddrProhibit};
  want.tcp_flags = {{2 | 16, 2}};
  want.comment = "caf\xc3\xa9";
  EXPECT_EQ(match, want);
}

TEST(ReadNewRuleTest, ReadsOwnersWhereTheyAreKnown) {
  const kernel::RuleMatch match =
      Read(
          "chain: 'OUTPUT' match { owner_uid { first: 0 } "
          "owner_gid { first: 5 last: 9 } not_owner_gid: true }")
          .spec.match;
  EXPECT_EQ(match.owner_uid->value, (kernel::IdRange{0, 0}));
  EXPECT_EQ(match.owner_gid->value, (kernel::IdRange{5, 9}));
  EXPECT_TRUE(match.owner_gid->negated);
}

TEST(ReadNewRuleTest, TellsTheFamilyByAddressesAndProtocol) {
  EXPECT_EQ(Read("").family, kernel::Family::kIpv4);
  EXPECT_EQ(Read("match { source: '2001:db8::/32' }").family,
            kernel::Family::kIpv6);
  EXPECT_EQ(Read("match { protocol: 'icmpv6' }").family, kernel::Family::kIpv6);
  EXPECT_EQ(Read("family: FAMILY_IPV6").family, kernel::Family::kIpv6);
}

TEST(ReadNewRuleTest, RefusesMixedFamilies) {
  ExpectViolation("match { source: '2001:db8::/32' destination: '192.0.2.1' }",
                  "match.destination",
                  "is an IPv4 address, but the rule is of IPv6");
  ExpectViolation("family: FAMILY_IPV4 match { source: '2001:db8::/32' }",
                  "match.source",
                  "is an IPv6 address, but the rule is of IPv4");
  ExpectViolation("match { source: '2001:db8::1' protocol: 'icmp' }",
                  "match.protocol", "icmp belongs to IPv4");
  ExpectViolation("family: FAMILY_IPV4 match { protocol: '58' }",
                  "match.protocol", "icmpv6 belongs to IPv6");
}

TEST(ReadNewRuleTest, TakesProtocolsByNameAndNumber) {
  EXPECT_EQ(Read("match { protocol: 'SCTP' }").spec.match.protocol->value, 132);
  EXPECT_EQ(Read("match { protocol: '255' }").spec.match.protocol->value, 255);
  for (const char* bad :
       {"0", "256", "tpc", "-1", "+6", " 6", "6 ", "all", "99999999999"}) {
    ExpectViolation(std::string("match { protocol: '") + bad + "' }",
                    "match.protocol", "is not a protocol");
  }
}

TEST(ReadNewRuleTest, RefusesWrongAddresses) {
  for (const char* bad :
       {"10.0.0.0/33", "10.0.0.1/8", "10.0.0", "300.0.0.1", "2001:db8::/129",
        "2001:db8::1/32", "10.0.0.0/", "/8", "10.0.0.0/-1", "example.org",
        " 10.0.0.1", "10.0.0.0/8/8", "10.0.0.1\\0", "10.0.0.0/255.0.0.0\\0"}) {
    ExpectViolation(std::string("match { source: '") + bad + "' }",
                    "match.source", ":");
    ExpectViolation(std::string("match { destination: '") + bad + "' }",
                    "match.destination", ":");
  }
}

TEST(ReadNewRuleTest, TakesAllPortsAndNoOthers) {
  for (const char* port : {"0", "65535"}) {
    Read(std::string("match { protocol: 'udp' source_ports { first: ") + port +
         " } }");
  }
  for (const char* port : {"65536", "70000", "4294967295"}) {
    ExpectViolation(
        std::string("match { protocol: 'udp' source_ports { first: ") + port +
            " } }",
        "match.source_ports[0]", "out of range");
    ExpectViolation(
        std::string("match { protocol: 'udp' destination_ports { first: 1 "
                    "last: ") +
            port + " } }",
        "match.destination_ports[0]", "out of range");
  }
  ExpectViolation(
      "match { protocol: 'udp' source_ports { first: 80 last: 79 } }",
      "match.source_ports[0]", "last (79) is below first (80)");
}

TEST(ReadNewRuleTest, PortsNeedAProtocolThatHasThem) {
  for (const char* protocol :
       {"", "protocol: 'icmp'", "protocol: 'tcp' not_protocol: true"}) {
    ExpectViolation(
        std::string("match { source_ports { first: 80 } ") + protocol + " }",
        "match.source_ports", "needs protocol tcp");
  }
}

TEST(ReadNewRuleTest, SeveralPortsTakeUpTo15Places) {
  std::string ports;
  for (int i = 0; i < 7; ++i) ports += "source_ports { first: 1 last: 2 } ";
  ports += "source_ports { first: 9 } ";
  Read("match { protocol: 'tcp' " + ports + "}");
  ExpectViolation(
      "match { protocol: 'tcp' " + ports + "source_ports { first: 10 } }",
      "match.source_ports", "takes 16 places");
}

TEST(ReadNewRuleTest, IcmpNeedsItsProtocolAndBounds) {
  const kernel::RuleMatch match =
      Read("match { protocol: 'icmp' icmp { type: 8 code: 0 } }").spec.match;
  EXPECT_EQ(match.icmp->value, (kernel::Icmp{8, 0}));
  ExpectViolation("match { icmp { type: 8 } }", "match.icmp",
                  "needs protocol icmp");
  ExpectViolation("match { protocol: 'icmp' icmp { type: 256 } }",
                  "match.icmp.type", "0 to 255");
  ExpectViolation("match { protocol: 'icmp' icmp { type: 3 code: 300 } }",
                  "match.icmp.code", "0 to 255");
}

TEST(ReadNewRuleTest, InterfacesMustFitKernelAndChain) {
  ExpectViolation("match { in_interface: 'sixteen-bytes-xx' }",
                  "match.in_interface", "is 16 bytes long; at most 15");
  ExpectViolation("match { in_interface: 'a b' }", "match.in_interface",
                  "can't have");
  ExpectViolation("chain: 'OUTPUT' match { in_interface: 'lo' }",
                  "match.in_interface", "no input interface");
  ExpectViolation("match { out_interface: 'lo' }", "match.out_interface",
                  "no output interface");
  ExpectViolation(
      "table: 'nat' chain: 'POSTROUTING' match { in_interface: 'lo' }",
      "match.in_interface", "no input interface");
  // From where a user chain is reached is not known.
  Read(
      "chain: 'MINE' match { in_interface: 'lo' out_interface: 'lo' "
      "owner_uid { first: 0 } }");
}

TEST(ReadNewRuleTest, OwnersAreKnownOnlyWherePacketsAreSent) {
  ExpectViolation("match { owner_uid { first: 0 } }", "match.owner_uid",
                  "OUTPUT and POSTROUTING");
  ExpectViolation("chain: 'OUTPUT' match { owner_gid { first: 9 last: 5 } }",
                  "match.owner_gid", "below first");
  ExpectViolation("chain: 'OUTPUT' match { owner_gid { first: 4294967295 } }",
                  "match.owner_gid", "nobody's id");
}

TEST(ReadNewRuleTest, RefusesConditionsThatNoPacketMeets) {
  ExpectViolation("match { mark { value: 4 mask: 3 } }", "match.mark.value",
                  "outside of mask");
  ExpectViolation("match { dscp: 64 }", "match.dscp", "0 to 63");
  ExpectViolation(
      "match { protocol: 'tcp' tcp_flags { mask: TCP_FLAG_SYN "
      "set: TCP_FLAG_ACK } }",
      "match.tcp_flags.set", "not in mask");
  ExpectViolation("match { protocol: 'tcp' tcp_flags { } }",
                  "match.tcp_flags.mask", "is empty");
  ExpectViolation("match { protocol: 'udp' tcp_flags { mask: TCP_FLAG_SYN } }",
                  "match.tcp_flags", "needs protocol tcp");
}

TEST(ReadNewRuleTest, RefusesUnspecifiedAndUnknownEnums) {
  ExpectViolation("match { conntrack_states: CONNTRACK_STATE_UNSPECIFIED }",
                  "match.conntrack_states[0]", "UNSPECIFIED");
  ExpectViolation(
      "match { source_address_types: [ADDRESS_TYPE_LOCAL, "
      "ADDRESS_TYPE_UNSPECIFIED] }",
      "match.source_address_types[1]", "UNSPECIFIED");
  ExpectViolation(
      "match { ip_set { name: 's' directions: "
      "IP_SET_DIRECTION_UNSPECIFIED } }",
      "match.ip_set.directions[0]", "SOURCE or DESTINATION");
  v1::Rule rule = RuleFromText("");
  rule.set_family(static_cast<v1::Family>(7));
  rule.set_verdict(static_cast<v1::Verdict>(99));
  rule.mutable_match()->set_packet_type(static_cast<v1::PacketType>(9));
  rule.mutable_match()->add_conntrack_states(
      static_cast<v1::ConntrackState>(42));
  FieldErrors errors;
  ReadNewRule(rule, "rule", errors);
  EXPECT_EQ(GetErrorDetails(errors.ToStatus()).violations.size(), 4);
}

TEST(ReadNewRuleTest, IpSetsHaveOneToSixDirections) {
  ExpectViolation("match { ip_set { name: 's' } }", "match.ip_set.directions",
                  "1 to 6");
  std::string seven;
  for (int i = 0; i < 7; ++i) seven += "directions: IP_SET_DIRECTION_SOURCE ";
  ExpectViolation("match { ip_set { name: 's' " + seven + "} }",
                  "match.ip_set.directions", "has 7");
  ExpectViolation("match { ip_set { directions: IP_SET_DIRECTION_SOURCE } }",
                  "match.ip_set.name", "is not the name of a set");
}

TEST(ReadNewRuleTest, ANegationNeedsWhatItTurnsAround) {
  for (const char* name :
       {"protocol", "source", "destination", "in_interface", "out_interface",
        "source_ports", "destination_ports", "icmp", "conntrack_states", "mark",
        "owner_uid", "owner_gid", "cgroup_path", "ip_set", "dscp",
        "packet_type", "source_address_types", "destination_address_types",
        "tcp_flags"}) {
    ExpectViolation(std::string("match { not_") + name + ": true }",
                    std::string("match.not_") + name,
                    std::string("needs ") + name);
  }
}

TEST(ReadNewRuleTest, CommentsArePrintableAndBounded) {
  Read("match { comment: '" + std::string(200, 'x') + "' }");
  ExpectViolation("match { comment: '" + std::string(201, 'x') + "' }",
                  "match.comment", "is 201 bytes long; at most 200");
  ExpectViolation("match { comment: 'a\\nb' }", "match.comment", "control");
  ExpectViolation("match { comment: 'a\\302\\205b' }", "match.comment",
                  "control");
}

TEST(ReadNewRuleTest, RefusesUnknownTablesAndChainsThatTheyLack) {
  ExpectViolation("table: 'filtre'", "table",
                  "filter, mangle, raw, nat and security");
  ExpectViolation("chain: 'PREROUTING'", "chain",
                  "table filter has no PREROUTING; its built-in chains are "
                  "INPUT, FORWARD, OUTPUT");
  ExpectViolation("table: 'raw'", "chain", "has no INPUT");
  ExpectViolation("table: 'nat' chain: 'FORWARD'", "chain", "has no FORWARD");
  EXPECT_EQ(Read("table: 'nat' chain: 'PREROUTING' family: FAMILY_IPV6").table,
            kernel::Table::kNat);
  ExpectViolation("chain: '" + std::string(29, 'x') + "'", "chain",
                  "is 29 bytes long; at most 28");
  ExpectViolation("chain: 'MY CHAIN'", "chain", "can't have");
}

TEST(ReadNewRuleTest, ABackslashInANameBeginsAByte) {
  EXPECT_EQ(Read("chain: 'caf\\\\xe9'").spec.chain, "caf\xe9");
  ExpectViolation("chain: 'a\\\\b'", "chain", "backslash at byte 1");
  ExpectViolation("match { in_interface: 'a\\\\' }", "match.in_interface",
                  "backslash at byte 1");
  ExpectViolation("match { cgroup_path: '\\\\n' }", "match.cgroup_path",
                  "backslash at byte 0");
  // What is meant is judged, not how it is written.
  ExpectViolation("match { in_interface: '\\\\x22+\\\\x22' }",
                  "match.in_interface", "can't have");
  ExpectViolation("chain: 'a\\\\x0ab'", "chain", "can't have");
}

TEST(ReadNewRuleTest, RefusesVerdictsThatCantBeChosen) {
  ExpectViolation("verdict: VERDICT_OTHER", "verdict", "can't be chosen");
  ExpectViolation("table: 'nat' chain: 'PREROUTING' verdict: VERDICT_DROP",
                  "verdict", "not for dropping");
  EXPECT_EQ(Read("verdict: VERDICT_DROP").spec.verdict, kernel::Verdict::kDrop);
}

TEST(ReadNewRuleTest, ATargetCountsAndGoesOn) {
  EXPECT_EQ(Read("").form, std::nullopt);
  EXPECT_EQ(Read("counting_form: COUNTING_FORM_MATCH").form,
            kernel::CountingForm::kMatch);
  EXPECT_EQ(Read("counting_form: COUNTING_FORM_TARGET").form,
            kernel::CountingForm::kTarget);
  EXPECT_EQ(Read("counting_form: COUNTING_FORM_TARGET verdict: "
                 "VERDICT_CONTINUE")
                .form,
            kernel::CountingForm::kTarget);
  for (const char* verdict : {"ACCEPT", "DROP", "RETURN"}) {
    ExpectViolation(absl::StrCat("counting_form: COUNTING_FORM_TARGET verdict: "
                                 "VERDICT_",
                                 verdict),
                    "counting_form", "counts by MATCH");
  }
  ExpectViolation("counting_form: 7", "counting_form", "neither");
}

TEST(ReadNewRuleTest, IdsHaveAnAlphabet) {
  EXPECT_EQ(Read("id: 'web-80'").spec.id, "web-80");
  Read("id: '" + std::string(40, 'a') + "'");
  for (const char* bad : {"Web", "a b", "~abc", "caf\\303\\251", "a_b"}) {
    ExpectViolation(std::string("id: '") + bad + "'", "id", "[a-z0-9-]");
  }
  ExpectViolation("id: '" + std::string(41, 'a') + "'", "id", "[a-z0-9-]");
}

TEST(ReadNewRuleTest, IgnoresFieldsThatAreOutputOnly) {
  Read(
      "packets: 5 bytes: 6 managed: true spec: 'x' target: 'y' position: 9 "
      "other_matches: 'z'");
}

TEST(ReadNewRuleTest, NamesAllThatIsWrongAtOnce) {
  v1::Rule rule;
  rule.set_table("x");
  rule.mutable_match()->set_source("y");
  rule.mutable_match()->set_protocol("z");
  rule.mutable_match()->set_dscp(99);
  FieldErrors errors;
  ReadNewRule(rule, "rules[3]", errors);
  EXPECT_THAT(GetErrorDetails(errors.ToStatus()).violations,
              UnorderedElementsAre(FieldsAre("rules[3].table", _),
                                   FieldsAre("rules[3].chain", _),
                                   FieldsAre("rules[3].match.source", _),
                                   FieldsAre("rules[3].match.protocol", _),
                                   FieldsAre("rules[3].match.dscp", _),
                                   FieldsAre("rules[3].counter", _)));
}

TEST(ReadNewRulesTest, RefusesAnIdTwice) {
  google::protobuf::RepeatedPtrField<v1::Rule> rules;
  *rules.Add() = RuleFromText("id: 'a'");
  *rules.Add() = RuleFromText("");
  *rules.Add() = RuleFromText("");
  *rules.Add() = RuleFromText("id: 'a' table: 'mangle'");
  FieldErrors errors;
  ReadNewRules(rules, errors);
  EXPECT_THAT(
      GetErrorDetails(errors.ToStatus()).violations,
      ElementsAre(FieldsAre("rules[3].id", "'a' is the same as rules[0].id")));
}

TEST(ReadRuleIdsTest, TakesOursAndOthersAndNoneTwice) {
  google::protobuf::RepeatedPtrField<std::string> ids;
  for (const char* id : {"a-1", "~0123456789abcdef", "", "~", "A", "a-1"}) {
    *ids.Add() = id;
  }
  FieldErrors errors;
  ReadRuleIds(ids, errors);
  EXPECT_THAT(GetErrorDetails(errors.ToStatus()).violations,
              ElementsAre(FieldsAre("ids[2]", HasSubstr("is empty")),
                          FieldsAre("ids[3]", HasSubstr("is not the id")),
                          FieldsAre("ids[4]", HasSubstr("is not the id")),
                          FieldsAre("ids[5]", "'a-1' is the same as ids[0]")));
}

}  // namespace
}  // namespace nfmeter::service
