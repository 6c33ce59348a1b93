// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/linux/xtables/xt_codec.h"

#include <linux/netfilter/x_tables.h>
#include <stddef.h>
#include <string.h>

#include <algorithm>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernel/rule_mark.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/kernel/xt_rules.h"

namespace nfmeter::kernel {
namespace {

using ::nfmeter::testing::EveryCondition;
using ::nfmeter::testing::HasReason;
using ::nfmeter::testing::RuleWith;
using ::nfmeter::testing::StatusIs;
using ::nfmeter::testing::TwoSets;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class XtCodecTest : public ::testing::TestWithParam<Family> {
 protected:
  DecodedEntry RoundTrip(const RuleSpec& rule, absl::string_view target = "") {
    const auto entry = EncodeEntry(GetParam(), rule, sets_);
    EXPECT_OK(entry);
    if (!entry.ok()) return {};
    EXPECT_EQ(entry->size() % alignof(_xt_align), 0u);
    auto decoded = DecodeEntry(GetParam(), *entry, target, sets_);
    EXPECT_OK(decoded);
    return decoded.ok() ? *std::move(decoded) : DecodedEntry{};
  }

  TwoSets sets_;
};

INSTANTIATE_TEST_SUITE_P(Families, XtCodecTest,
                         ::testing::Values(Family::kIpv4, Family::kIpv6),
                         [](const auto& info) {
                           return std::string(FamilyName(info.param));
                         });

TEST_P(XtCodecTest, EveryConditionComesBackAsItWasGiven) {
  for (const RuleMatch& match : EveryCondition(GetParam())) {
    const DecodedEntry decoded = RoundTrip(RuleWith(match));
    EXPECT_TRUE(decoded.match == match) << decoded.match_text;
    EXPECT_EQ(decoded.id, "rule-1");
    EXPECT_EQ(decoded.counter, "traffic");
    EXPECT_THAT(decoded.other_matches, IsEmpty()) << decoded.match_text;
  }
}

TEST_P(XtCodecTest, TheCounterIsReachedLast) {
  for (const RuleMatch& match : EveryCondition(GetParam())) {
    const std::string text = RoundTrip(RuleWith(match)).match_text;
    EXPECT_TRUE(absl::EndsWith(text, " -m nfacct --nfacct-name  traffic"))
        << text;
    EXPECT_LT(text.rfind(" -m comment "), text.rfind(" -m nfacct "));
    EXPECT_EQ(text.find(" -m ", text.rfind(" -m comment ") + 1),
              text.rfind(" -m nfacct "));
  }
}

TEST_P(XtCodecTest, VerdictsAreNamedForLibiptc) {
  for (const auto& [verdict, name] :
       std::vector<std::pair<Verdict, std::string>>{
           {Verdict::kContinue, ""},
           {Verdict::kAccept, "ACCEPT"},
           {Verdict::kDrop, "DROP"},
           {Verdict::kReturn, "RETURN"}}) {
    RuleSpec rule = RuleWith({});
    rule.verdict = verdict;
    const auto entry = EncodeEntry(GetParam(), rule, sets_);
    ASSERT_OK(entry);
    ASSERT_GE(entry->size(), sizeof(xt_standard_target));
    xt_standard_target target;
    memcpy(&target, &(*entry)[entry->size() - sizeof(target)], sizeof(target));
    EXPECT_EQ(target.target.u.user.name, name);
    EXPECT_EQ(target.target.u.user.target_size, sizeof(target));
    const auto decoded = DecodeEntry(GetParam(), *entry, name, sets_);
    ASSERT_OK(decoded);
    EXPECT_EQ(decoded->verdict, verdict);
  }
}

// The kernel gives a verdict a name of one byte, the end of "", in the reader's
// memory: what was there before stays behind it.
TEST_P(XtCodecTest, ARuleThatCountsElsewhereHasTheNameOfItsVerdictAlone) {
  RuleSpec rule = RuleWith({});
  rule.verdict = Verdict::kDrop;
  auto entry = EncodeEntry(GetParam(), rule, sets_);
  ASSERT_OK(entry);
  const size_t at = entry->size() - sizeof(xt_standard_target) +
                    offsetof(xt_entry_target, u.user.name);
  const size_t size = sizeof(xt_entry_target{}.u.user.name);
  std::fill_n(&(*entry)[at], size, 'x');
  (*entry)[at] = '\0';
  const auto moved = RecountedEntry(GetParam(), *entry, "DROP",
                                    {.from = rule.counter, .to = "other"});
  ASSERT_OK(moved);
  EXPECT_EQ(
      absl::string_view(reinterpret_cast<const char*>(&(*moved)[at]), size),
      "DROP" + std::string(size - 4, '\0'));
}

TEST_P(XtCodecTest, TheTargetCountsInTheMatchsPlace) {
  RuleSpec rule = RuleWith({});
  rule.form = CountingForm::kTarget;
  rule.counter = std::string(31, 'n');
  const auto entry = EncodeEntry(GetParam(), rule, sets_);
  ASSERT_OK(entry);
  // An xt_entry_target, then 32 bytes of name and 8 of the kernel's own.
  const size_t size = sizeof(xt_entry_target) + 40;
  ASSERT_GE(entry->size(), size);
  const uint8_t* bytes = &(*entry)[entry->size() - size];
  xt_entry_target target;
  memcpy(&target, bytes, sizeof(target));
  EXPECT_EQ(target.u.user.target_size, size);
  EXPECT_STREQ(target.u.user.name, "NFACCT");
  EXPECT_EQ(target.u.user.revision, 0);
  EXPECT_EQ(absl::string_view(
                reinterpret_cast<const char*>(bytes) + sizeof(target), 40),
            rule.counter + std::string(9, '\0'));
  const DecodedEntry decoded = RoundTrip(rule, "NFACCT");
  EXPECT_EQ(decoded.counter, rule.counter);
  EXPECT_EQ(decoded.form, CountingForm::kTarget);
  EXPECT_EQ(decoded.verdict, Verdict::kContinue);
  EXPECT_EQ(decoded.target_options, " --nfacct-name " + rule.counter);
  EXPECT_EQ(decoded.match_text, " -m comment --comment \"nfmeter:rule-1\"");
}

TEST_P(XtCodecTest, TheTargetTakesNoLongNameAndNoVerdict) {
  RuleSpec rule = RuleWith({});
  rule.form = CountingForm::kTarget;
  for (const std::string& counter :
       {std::string(), std::string(254, 'n'), std::string("a\0b", 3)}) {
    rule.counter = counter;
    EXPECT_THAT(EncodeEntry(GetParam(), rule, sets_),
                HasReason("RULE_NOT_EXPRESSIBLE"));
  }
  rule.counter = "traffic";
  rule.verdict = Verdict::kDrop;
  EXPECT_THAT(EncodeEntry(GetParam(), rule, sets_),
              HasReason("RULE_NOT_EXPRESSIBLE"));
}

TEST_P(XtCodecTest, AJumpToAChainOfTheTargetsNameIsAJump) {
  RuleSpec rule = RuleWith({});
  const DecodedEntry decoded = RoundTrip(rule, "NFACCT");
  EXPECT_EQ(decoded.verdict, Verdict::kOther);
  EXPECT_EQ(decoded.form, CountingForm::kMatch);
}

TEST_P(XtCodecTest, RulesThatXtablesCanNotExpressAreRefused) {
  using Ports = std::vector<PortRange>;
  const auto tcp = Negatable<uint8_t>{6};
  const auto ports = [](Ports list) {
    return Negatable<Ports>{std::move(list)};
  };
  const std::vector<std::pair<std::string, RuleMatch>> cases = {
      {"places", {.protocol = tcp, .source_ports = ports({})}},
      {"places", {.protocol = tcp, .source_ports = ports(Ports(16, {1, 1}))}},
      {"places", {.protocol = tcp, .source_ports = ports(Ports(8, {1, 2}))}},
      {"upside down", {.protocol = tcp, .source_ports = ports({{2, 1}})}},
      {"need the protocol", {.source_ports = ports({{1, 1}})}},
      {"need the protocol",
       {.protocol = Negatable<uint8_t>{6, true},
        .destination_ports = ports({{1, 1}})}},
      {"need the protocol",
       {.protocol = Negatable<uint8_t>{1},
        .destination_ports = ports({{1, 1}})}},
      {"protocol 0", {.protocol = Negatable<uint8_t>{0}}},
      {"protocol tcp", {.tcp_flags = Negatable<TcpFlags>{{2, 2}}}},
      {"mask", {.protocol = tcp, .tcp_flags = Negatable<TcpFlags>{{0, 2}}}},
      {"protocol icmp", {.icmp = Negatable<Icmp>{{8, {}}}}},
      {"protocol icmp", {.protocol = tcp, .icmp = Negatable<Icmp>{{8, {}}}}},
      {"interface", {.in_interface = Negatable<std::string>{""}}},
      {"interface",
       {.in_interface = Negatable<std::string>{"1234567890123456"}}},
      {"interface",
       {.out_interface = Negatable<std::string>{std::string("a\0b", 3)}}},
      {"conntrack", {.conntrack_states = Negatable<uint32_t>{0}}},
      {"conntrack", {.conntrack_states = Negatable<uint32_t>{1 << 7}}},
      {"DSCP", {.dscp = Negatable<uint8_t>{64}}},
      {"upside down", {.owner_uid = Negatable<IdRange>{{2, 1}}}},
      {"cgroup", {.cgroup_path = Negatable<std::string>{""}}},
      {"cgroup",
       {.cgroup_path = Negatable<std::string>{std::string(512, 'a')}}},
      {"directions", {.ip_set = Negatable<IpSet>{{"hosts", {}}}}},
      {"directions",
       {.ip_set = Negatable<IpSet>{{"hosts", std::vector<IpSetDirection>(7)}}}},
      {"address types", {.source_address_types = Negatable<uint16_t>{0}}},
      {"bytes", {.comment = std::string(241, 'x')}},
      {"NUL", {.comment = std::string("a\0b", 3)}},
      {"not of family",
       {.source = Negatable<IpPrefix>{*ParseIpPrefix(
            GetParam() == Family::kIpv4 ? "::1" : "10.0.0.1")}}}};
  for (const auto& [why, match] : cases) {
    const auto entry = EncodeEntry(GetParam(), RuleWith(match), sets_);
    EXPECT_THAT(entry,
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(why)));
    EXPECT_THAT(entry, HasReason("RULE_NOT_EXPRESSIBLE"));
  }
}

TEST_P(XtCodecTest, WhatOneFamilyLacksIsRefusedThereOnly) {
  RuleMatch any_type;
  any_type.protocol =
      Negatable<uint8_t>{uint8_t(GetParam() == Family::kIpv4 ? 1 : 58)};
  any_type.icmp = Negatable<Icmp>{{255, {}}};
  const RuleMatch blackhole = {.source_address_types =
                                   Negatable<uint16_t>{kAddrBlackhole}};
  EXPECT_EQ(EncodeEntry(GetParam(), RuleWith(any_type), sets_).ok(),
            GetParam() == Family::kIpv6);
  EXPECT_EQ(EncodeEntry(GetParam(), RuleWith(blackhole), sets_).ok(),
            GetParam() == Family::kIpv4);
}

// match_type6() of xt_addrtype.c wants all of them, that of IPv4 any.
TEST_P(XtCodecTest, SeveralTypesOfIpv6AddressesAreRefusedButThoseOfRoutes) {
  const bool v4 = GetParam() == Family::kIpv4;
  for (const uint16_t other : {kAddrUnspec, kAddrUnicast, kAddrMulticast}) {
    const auto types = Negatable<uint16_t>(uint16_t(kAddrLocal | other));
    const auto entry = EncodeEntry(
        GetParam(), RuleWith({.destination_address_types = types}), sets_);
    EXPECT_EQ(entry.ok(), v4);
    if (v4) continue;
    EXPECT_THAT(entry, HasReason("RULE_NOT_EXPRESSIBLE"));
    EXPECT_EQ(GetErrorDetails(entry.status()).violations.at(0).field,
              "match.destination_address_types");
  }
  const auto of_routes =
      Negatable<uint16_t>(kAddrLocal | kAddrAnycast | kAddrUnreachable);
  EXPECT_OK(EncodeEntry(GetParam(),
                        RuleWith({.source_address_types = of_routes}), sets_));
}

TEST_P(XtCodecTest, ARuleNeedsAnIdAVerdictOfOursAndAShortCounter) {
  const std::vector<std::function<void(RuleSpec&)>> spoilers = {
      [](RuleSpec& rule) { rule.id = ""; },
      [](RuleSpec& rule) { rule.id = "A"; },
      [](RuleSpec& rule) { rule.id = std::string(41, 'a'); },
      [](RuleSpec& rule) { rule.id = "a b"; },
      [](RuleSpec& rule) { rule.verdict = Verdict::kOther; },
      [](RuleSpec& rule) { rule.counter = std::string(254, 'c'); },
      [](RuleSpec& rule) { rule.counter = std::string("c\0d", 3); },
  };
  for (const auto& spoil : spoilers) {
    RuleSpec rule = RuleWith({});
    spoil(rule);
    EXPECT_THAT(EncodeEntry(GetParam(), rule, sets_),
                StatusIs(absl::StatusCode::kInvalidArgument));
  }
}

TEST_P(XtCodecTest, AnUnknownSetIsNotFound) {
  const RuleMatch match = {
      .ip_set = Negatable<IpSet>{{"nope", {IpSetDirection::kSource}}}};
  const auto entry = EncodeEntry(GetParam(), RuleWith(match), sets_);
  EXPECT_THAT(entry, StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(entry, HasReason("IPSET_NOT_FOUND"));
}

// Knows no set by its index.
class ForgetfulSets : public TwoSets {
 public:
  absl::StatusOr<std::string> NameOf(uint16_t) override {
    return absl::PermissionDeniedError("no");
  }
};

TEST_P(XtCodecTest, ASetThatCanNotBeNamedDoesNotHideItsRule) {
  const RuleMatch match = {
      .protocol = Negatable<uint8_t>{6},
      .ip_set = Negatable<IpSet>{{"hosts", {IpSetDirection::kSource}}}};
  const auto entry = EncodeEntry(GetParam(), RuleWith(match), sets_);
  ASSERT_OK(entry);
  ForgetfulSets forgetful;
  const auto decoded = DecodeEntry(GetParam(), *entry, "", forgetful);
  ASSERT_OK(decoded);
  EXPECT_THAT(decoded->match_text, HasSubstr(" -m set --match-set #7 src"));
  EXPECT_THAT(decoded->other_matches, ::testing::ElementsAre("set"));
  EXPECT_TRUE(decoded->match.protocol.has_value());
}

TEST_P(XtCodecTest, LongestIdAndCommentFitTogether) {
  RuleSpec rule = RuleWith({.comment = std::string(200, 'c')});
  rule.id = std::string(40, 'a');
  const DecodedEntry decoded = RoundTrip(rule);
  EXPECT_EQ(decoded.id, rule.id);
  EXPECT_EQ(decoded.match.comment, rule.match.comment);
}

TEST(RuleMarkTest, HoldsIdAndComment) {
  EXPECT_EQ(RuleMark("a-1", ""), "nfmeter:a-1");
  EXPECT_EQ(RuleMark("a-1", "web traffic"), "nfmeter:a-1 web traffic");
}

}  // namespace
}  // namespace nfmeter::kernel
