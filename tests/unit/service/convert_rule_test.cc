// SPDX-License-Identifier: GPL-3.0-or-later
#include "service/rule/convert_rule.h"

#include <string>

#include "gmock/gmock.h"
#include "google/protobuf/text_format.h"
#include "google/protobuf/util/message_differencer.h"
#include "service/gate/protocol_words.h"
#include "service/match/match_message.h"
#include "service/rule/validate_rule.h"

namespace nfmeter::service {
namespace {

using ::google::protobuf::util::MessageDifferencer;

TEST(ConvertRuleTest, EveryConditionIsShownAsItWasGiven) {
  v1::Rule given;
  ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(R"(
    chain: 'OUTPUT' counter: 'c' match {
      protocol: 'tcp' source: '10.0.0.0/8' not_source: true
      destination: '192.0.2.1/32' out_interface: 'lo+' not_out_interface: true
      source_ports { first: 1 last: 9 } source_ports { first: 80 }
      not_source_ports: true destination_ports { first: 0 }
      conntrack_states: [CONNTRACK_STATE_NEW, CONNTRACK_STATE_DNAT]
      mark { value: 2 mask: 3 } not_mark: true owner_uid { first: 5 }
      owner_gid { first: 5 last: 7 } not_owner_gid: true cgroup_path: 'a/b'
      ip_set { name: 's' directions: IP_SET_DIRECTION_DESTINATION }
      not_ip_set: true dscp: 0 packet_type: PACKET_TYPE_MULTICAST
      source_address_types: ADDRESS_TYPE_LOCAL
      destination_address_types: [ADDRESS_TYPE_UNSPEC, ADDRESS_TYPE_PROHIBIT]
      not_destination_address_types: true
      tcp_flags { mask: [TCP_FLAG_SYN, TCP_FLAG_URG] set: TCP_FLAG_SYN }
      not_tcp_flags: true comment: 'note' })",
                                                            &given));
  FieldErrors errors;
  const accounting::NewRule rule = ReadNewRule(given, "rule", errors);
  ASSERT_TRUE(errors.empty()) << errors.ToStatus();
  v1::RuleMatch shown;
  ToProto(rule.spec.match, &shown);
  EXPECT_TRUE(MessageDifferencer::Equals(shown, given.match()))
      << shown.DebugString();
}

TEST(ConvertRuleTest, TheFormIsThatOfTheCounter) {
  kernel::Rule rule;
  v1::Rule proto;
  ToProto(rule, &proto);
  EXPECT_EQ(proto.counting_form(), v1::COUNTING_FORM_UNSPECIFIED);
  rule.counter = "web";
  ToProto(rule, &proto);
  EXPECT_EQ(proto.counting_form(), v1::COUNTING_FORM_MATCH);
  rule.form = kernel::CountingForm::kTarget;
  ToProto(rule, &proto);
  EXPECT_EQ(proto.counting_form(), v1::COUNTING_FORM_TARGET);
}

TEST(ConvertRuleTest, BytesOfOthersAreValidUtf8) {
  kernel::Rule rule;
  rule.chain = "\xff";
  rule.counter = "a b\xff";
  rule.text = "-A \xff caf\xc3\xa9";
  rule.target = "\xc3";
  rule.match.comment = "\x80";
  rule.other_matches = {"\xf8"};
  v1::Rule proto;
  ToProto(rule, &proto);
  EXPECT_EQ(proto.chain(), "\\xff");
  EXPECT_EQ(proto.counter(), "a\\x20b\\xff");
  EXPECT_EQ(proto.spec(), "-A \\xff caf\xc3\xa9");
  v1::Rule parsed;
  EXPECT_TRUE(parsed.ParseFromString(proto.SerializeAsString()));
}

TEST(ConvertRuleTest, NamesOfOthersAreReadAsTheyAreShown) {
  kernel::RuleMatch match;
  match.in_interface = {"caf\xe9"};
  match.out_interface = {"z\xc3\xa4hler", true};
  match.cgroup_path = {"a\\b/c\xff d"};
  match.ip_set = {{"s\xe9t\\", {kernel::IpSetDirection::kSource}}};
  v1::Rule rule;
  ToProto(match, rule.mutable_match());
  EXPECT_EQ(rule.match().in_interface(), "caf\\xe9");
  EXPECT_EQ(rule.match().out_interface(), "z\xc3\xa4hler");
  EXPECT_EQ(rule.match().cgroup_path(), "a\\x5cb/c\\xff d");
  EXPECT_EQ(rule.match().ip_set().name(), "s\\xe9t\\x5c");
  rule.set_chain("caf\\xe9");
  rule.set_counter("c");
  FieldErrors errors;
  const accounting::NewRule read = ReadNewRule(rule, "rule", errors);
  ASSERT_TRUE(errors.empty()) << errors.ToStatus();
  EXPECT_EQ(read.spec.match, match);
  EXPECT_EQ(read.spec.chain, "caf\xe9");
}

TEST(ProtocolWordsTest, EveryNumberIsReadBackAsItIsShown) {
  for (int number = 1; number < 256; ++number) {
    EXPECT_EQ(ProtocolNumber(ProtocolText(number)), number);
  }
}

}  // namespace
}  // namespace nfmeter::service
