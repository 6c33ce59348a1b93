// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/rule_law.h"

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernel/ip_prefix.h"

namespace nfmeter::kernel {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// A rule that breaks no law, changed by `change`.
RuleSpec ChangedRule(const std::function<void(RuleSpec&)>& change) {
  RuleSpec rule = {.id = "a-1", .chain = "INPUT", .counter = "web"};
  change(rule);
  return rule;
}

std::vector<RuleFault> Faults(const std::function<void(RuleSpec&)>& change,
                              Family family = Family::kIpv4,
                              Table table = Table::kFilter) {
  return FaultsOfRule(ChangedRule(change), family, table);
}

auto IsFault(const std::string& field, const std::string& description) {
  return AllOf(Field(&RuleFault::field, field),
               Field(&RuleFault::description, HasSubstr(description)));
}

TEST(RuleLawTest, APlainRuleBreaksNone) {
  EXPECT_THAT(Faults([](RuleSpec&) {}), IsEmpty());
  EXPECT_THAT(Faults([](RuleSpec& rule) { rule.id.clear(); }), IsEmpty());
}

// iptables-save prints names of interfaces bare: what is quoted or spaced would
// come back as options, a verdict even.
TEST(RuleLawTest, InterfacesHaveNothingThatRestoringReadsDifferently) {
  for (const std::string& bad :
       {std::string("\"+\"-j\"\"ACCEPT"), std::string("\""), std::string("a b"),
        std::string("a\tb"), std::string("a\nb"), std::string("-eth0"),
        std::string("!"), std::string("!lo"), std::string("#lo"),
        std::string("a\\b"), std::string("a'b"), std::string("$(id)"),
        std::string("a/b"), std::string("eth0:1"), std::string("a\0b", 3),
        std::string("caf\xa0"), std::string("\x7f"), std::string()}) {
    EXPECT_THAT(Faults([&](RuleSpec& rule) {
                  rule.chain = "FORWARD";
                  rule.match.in_interface = {bad};
                  rule.match.out_interface = {bad, true};
                }),
                ElementsAre(IsFault("match.in_interface", "letters, digits, "),
                            IsFault("match.out_interface", "can't have")))
        << bad;
  }
  for (const std::string good : {"lo", "eth+", "+", "br-0a1b", "wg_x.5",
                                 "caf\xe9", "z\xc3\xa4hler", "veth1@if2"}) {
    EXPECT_THAT(
        Faults([&](RuleSpec& rule) { rule.match.in_interface = {good}; }),
        IsEmpty())
        << good;
  }
}

TEST(RuleLawTest, EveryInterfaceHasNoNegation) {
  const auto negated = [](RuleSpec& rule) {
    rule.chain = "FORWARD";
    rule.match.in_interface = {"+", true};
    rule.match.out_interface = {"+", true};
  };
  EXPECT_THAT(
      Faults(negated),
      ElementsAre(IsFault("match.in_interface", "matches no packet"),
                  IsFault("match.out_interface", "every packet after")));
  EXPECT_THAT(Faults([](RuleSpec& rule) {
                rule.match.in_interface = {"e+", true};
              }),
              IsEmpty());
}

TEST(RuleLawTest, SetsAndChainsHaveNothingThatRestoringReadsDifferently) {
  for (const std::string bad :
       {"a\"b", "a b", "a\tb", "-t", "!", "a\nb", "\x01"}) {
    EXPECT_THAT(
        Faults([&](RuleSpec& rule) {
          rule.chain = bad;
          rule.match.ip_set = {{bad, {IpSetDirection::kSource}}};
        }),
        ElementsAre(IsFault("chain", "iptables-restore reads"),
                    IsFault("match.ip_set.name", "iptables-restore reads")))
        << bad;
  }
  for (const std::string good :
       {"z\xc3\xa4hler", "caf\xe9", "a\\b", "it's", "#1", "a:b/c", "~log0"}) {
    EXPECT_THAT(Faults([&](RuleSpec& rule) {
                  rule.chain = good;
                  rule.match.ip_set = {{good, {IpSetDirection::kSource}}};
                }),
                IsEmpty())
        << good;
  }
}

TEST(RuleLawTest, WhatIsPrintedInQuotesHasNoControlsAndIsNoOption) {
  for (const std::string bad : {"a\nb", "\x7f", "-t", "-"}) {
    EXPECT_THAT(Faults([&](RuleSpec& rule) {
                  rule.counter = bad;
                  rule.match.cgroup_path = {bad};
                }),
                ElementsAre(Field(&RuleFault::field, "counter"),
                            Field(&RuleFault::field, "match.cgroup_path")))
        << bad;
  }
  EXPECT_THAT(Faults([](RuleSpec& rule) { rule.match.comment = "a\nb"; }),
              ElementsAre(IsFault("match.comment", "control characters")));
  for (const std::string good : {"a \"b\" \\ 'c'", "!", "z\xc3\xa4hler"}) {
    EXPECT_THAT(Faults([&](RuleSpec& rule) {
                  rule.counter = good;
                  rule.match.cgroup_path = {good};
                  rule.match.comment = good;
                }),
                IsEmpty())
        << good;
  }
}

TEST(RuleLawTest, AddressesAndProtocolsAreOfTheRulesFamily) {
  const auto mixed = [](RuleSpec& rule) {
    rule.match.source = {*ParseIpPrefix("2001:db8::/32")};
    rule.match.destination = {*ParseIpPrefix("192.0.2.1")};
    rule.match.protocol = {kProtocolIcmpv6};
  };
  EXPECT_THAT(Faults(mixed),
              ElementsAre(IsFault("match.source", "is an IPv6 address"),
                          IsFault("match.protocol", "belongs to IPv6")));
  EXPECT_THAT(Faults(mixed, Family::kIpv6),
              ElementsAre(IsFault("match.destination", "is an IPv4 address")));
}

// addrtype_mt_checkentry_v1() and the match of ICMP in IPv4.
TEST(RuleLawTest, WhatOneFamilyLacksIsRefusedThereOnly) {
  for (const uint16_t type : {kAddrBroadcast, kAddrBlackhole, kAddrProhibit}) {
    const auto with_type = [&](RuleSpec& rule) {
      rule.match.source_address_types = {type};
    };
    EXPECT_THAT(Faults(with_type), IsEmpty());
    EXPECT_THAT(
        Faults(with_type, Family::kIpv6),
        ElementsAre(IsFault("match.source_address_types", "IPv4 only")));
  }
  const auto any_type = [](RuleSpec& rule) { rule.match.icmp = {{255, {}}}; };
  EXPECT_THAT(Faults([&](RuleSpec& rule) {
                any_type(rule);
                rule.match.protocol = {kProtocolIcmp};
              }),
              ElementsAre(IsFault("match.icmp.type", "any type")));
  EXPECT_THAT(Faults(
                  [&](RuleSpec& rule) {
                    any_type(rule);
                    rule.match.protocol = {kProtocolIcmpv6};
                  },
                  Family::kIpv6),
              IsEmpty());
}

TEST(RuleLawTest, SocketsAreKnownOnlyAtTheirEndOfTheWay) {
  RuleMatch match;
  match.owner_gid = {{1, 1}};
  match.cgroup_path = {"/"};
  EXPECT_THAT(FaultsOfSocket(match, "POSTROUTING"), IsEmpty());
  EXPECT_THAT(FaultsOfSocket(match, "INPUT"),
              ElementsAre(IsFault("match.owner_gid", "from INPUT")));
  EXPECT_THAT(FaultsOfSocket(match, "FORWARD"),
              ElementsAre(IsFault("match.owner_gid", "from FORWARD"),
                          IsFault("match.cgroup_path", "from FORWARD")));
}

TEST(RuleLawTest, EveryFaultIsNamedAtOnce) {
  EXPECT_THAT(
      Faults(
          [](RuleSpec& rule) {
            rule.id = "A";
            rule.chain = "FORWARD";
            rule.counter = "";
            rule.verdict = Verdict::kDrop;
            rule.form = CountingForm::kTarget;
            rule.match.owner_uid = {{2, 1}};
          },
          Family::kIpv4, Table::kNat),
      ElementsAre(IsFault("id", "[a-z0-9-]"), IsFault("chain", "no FORWARD"),
                  IsFault("counter", "is empty"),
                  IsFault("verdict", "not for dropping"),
                  IsFault("counting_form", "counts by MATCH"),
                  IsFault("match.owner_uid", "below first")));
}

}  // namespace
}  // namespace nfmeter::kernel
