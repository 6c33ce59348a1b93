// SPDX-License-Identifier: GPL-3.0-or-later
// What every RuleTable does, the fake as the real one.
#include "kernel/rule_table.h"

#include <netinet/in.h>

#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernel/ip_prefix.h"
#include "tests/conformance/rule_table_fixture.h"
#include "tests/support/status_matchers.h"

namespace nfmeter::kernel {
namespace {

using ::nfmeter::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;
using Code = absl::StatusCode;

TYPED_TEST_SUITE(RuleTableTest, Kernels, KernelNames);

TYPED_TEST(RuleTableTest, ProbesSayThatTablesAndMatchAreThere) {
  for (Family family : kAllFamilies) {
    const auto found = this->kernel().capabilities();
    EXPECT_OK(found->rules.tables(family));
    EXPECT_OK(found->rules.match(family));
  }
  EXPECT_THAT(this->kernel().rule_backend(), Not(IsEmpty()));
}

TYPED_TEST(RuleTableTest, AFreshTableHasItsBuiltInChains) {
  const std::map<Table, std::vector<std::string>> expected = {
      {Table::kFilter, {"INPUT", "FORWARD", "OUTPUT"}},
      {Table::kMangle,
       {"PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"}},
      {Table::kRaw, {"PREROUTING", "OUTPUT"}},
      {Table::kNat, {"PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"}},
      {Table::kSecurity, {"INPUT", "FORWARD", "OUTPUT"}}};
  for (Family family : kAllFamilies) {
    for (const auto& [table, names] : expected) {
      const TableContents contents = this->Contents(family, table);
      EXPECT_EQ(contents.family, family);
      EXPECT_EQ(contents.table, table);
      std::vector<std::string> found;
      for (const Chain& chain : contents.chains) {
        found.push_back(chain.name);
        EXPECT_TRUE(chain.builtin);
        EXPECT_EQ(chain.policy, "ACCEPT");
        EXPECT_EQ(chain.references, 0u);
        EXPECT_THAT(chain.rules, IsEmpty());
      }
      EXPECT_EQ(found, names) << TableName(table);
    }
  }
}

TYPED_TEST(RuleTableTest, ARuleIsReadBackAsItWasGiven) {
  RuleSpec spec = Spec("http-in");
  spec.match.protocol = {IPPROTO_TCP};
  spec.match.source = {*ParseIpPrefix("10.1.0.0/16"), true};
  spec.match.source_ports = {{{80, 80}}};
  spec.match.comment = "the \"user's\" own words";
  const auto outcome = this->Insert({spec});
  ASSERT_OK(outcome);
  ASSERT_THAT(outcome->inserted, SizeIs(1));
  EXPECT_THAT(outcome->deleted, IsEmpty());
  EXPECT_FALSE(outcome->rule_counters_lost);

  const std::vector<Rule> read = this->ChainOf("INPUT").rules;
  ASSERT_THAT(read, SizeIs(1));
  for (const Rule& rule : {outcome->inserted[0], read[0]}) {
    EXPECT_EQ(rule.family, Family::kIpv4);
    EXPECT_EQ(rule.table, Table::kFilter);
    EXPECT_EQ(rule.id, "http-in");
    EXPECT_EQ(rule.chain, "INPUT");
    EXPECT_EQ(rule.match, spec.match);
    EXPECT_EQ(rule.counter, "web");
    EXPECT_EQ(rule.verdict, Verdict::kContinue);
    EXPECT_EQ(rule.target, "");
    EXPECT_TRUE(rule.managed);
    EXPECT_EQ(rule.position, 1u);
    EXPECT_EQ(rule.packets, 0u);
    EXPECT_THAT(rule.other_matches, IsEmpty());
    if (TypeParam::kIptablesText) {
      EXPECT_THAT(rule.text,
                  AllOf(StartsWith("-A INPUT ! -s 10.1.0.0/16"),
                        HasSubstr("--nfacct-name  web"), HasSubstr("80")));
    } else {
      EXPECT_THAT(rule.text,
                  AllOf(StartsWith("ip saddr != 10.1.0.0/16 tcp sport 80"),
                        HasSubstr("counter name \"c.web\"")));
    }
  }
  EXPECT_EQ(read[0].text, outcome->inserted[0].text);
}

TYPED_TEST(RuleTableTest, EachVerdictIsKept) {
  std::vector<RuleSpec> specs;
  for (Verdict verdict : {Verdict::kContinue, Verdict::kAccept, Verdict::kDrop,
                          Verdict::kReturn}) {
    specs.push_back(Spec(absl::StrCat("v", specs.size())));
    specs.back().verdict = verdict;
  }
  ASSERT_OK(this->Insert(specs));
  const std::vector<Rule> rules = this->ChainOf("INPUT").rules;
  EXPECT_THAT(rules, ElementsAre(Field(&Rule::target, ""),
                                 Field(&Rule::target, "ACCEPT"),
                                 Field(&Rule::target, "DROP"),
                                 Field(&Rule::target, "RETURN")));
  for (size_t i = 0; i < rules.size() && i < specs.size(); ++i) {
    EXPECT_EQ(rules[i].verdict, specs[i].verdict);
  }
}

TYPED_TEST(RuleTableTest, HeadPutsABatchInFrontInItsOrder) {
  ASSERT_OK(this->Insert({Spec("c")}));
  const auto outcome = this->Insert({Spec("a"), Spec("b")});
  ASSERT_OK(outcome);
  EXPECT_THAT(
      outcome->inserted,
      ElementsAre(AllOf(Field(&Rule::id, "a"), Field(&Rule::position, 1u)),
                  AllOf(Field(&Rule::id, "b"), Field(&Rule::position, 2u))));
  EXPECT_THAT(this->Ids("INPUT"), ElementsAre("a", "b", "c"));
}

TYPED_TEST(RuleTableTest, TailPutsABatchBehindInItsOrder) {
  this->host_.AddForeignRule(Family::kIpv4, Table::kFilter,
                             "-A INPUT -s 10.0.0.1/32 -j ACCEPT");
  ASSERT_OK(this->Insert({Spec("a"), Spec("b")}, RulePlacement::kTail));
  ASSERT_OK(this->Insert({Spec("c")}, RulePlacement::kTail));
  EXPECT_THAT(this->Ids("INPUT"), ElementsAre("foreign", "a", "b", "c"));
}

TYPED_TEST(RuleTableTest, ABatchMayConcernSeveralChains) {
  ASSERT_OK(this->Insert({Spec("i1"), Spec("o1", "OUTPUT"), Spec("i2"),
                          Spec("f1", "FORWARD", "dns"), Spec("o2", "OUTPUT")}));
  EXPECT_THAT(this->Ids("INPUT"), ElementsAre("i1", "i2"));
  EXPECT_THAT(this->Ids("OUTPUT"), ElementsAre("o1", "o2"));
  EXPECT_THAT(this->Ids("FORWARD"), ElementsAre("f1"));
}

TYPED_TEST(RuleTableTest, ABatchMayConcernChainsOfUsers) {
  if (!TypeParam::kUserChains) GTEST_SKIP() << "there are none";
  this->host_.AddUserChain(Family::kIpv4, Table::kFilter, "mine");
  ASSERT_OK(this->Insert({Spec("i1"), Spec("o1", "OUTPUT"), Spec("i2"),
                          Spec("m1", "mine", "dns"), Spec("o2", "OUTPUT")}));
  EXPECT_THAT(this->Ids("INPUT"), ElementsAre("i1", "i2"));
  EXPECT_THAT(this->Ids("OUTPUT"), ElementsAre("o1", "o2"));
  EXPECT_THAT(this->Ids("mine"), ElementsAre("m1"));
  EXPECT_THAT(this->Ids("FORWARD"), IsEmpty());
}

TYPED_TEST(RuleTableTest, AllTablesOfBothFamiliesTakeRules) {
  for (Family family : kAllFamilies) {
    for (Table table : kAllTables) {
      const TableEdit edit = {.family = family,
                              .table = table,
                              .insertions = {Spec("r", "OUTPUT")}};
      const auto outcome = this->Edit(edit);
      ASSERT_OK(outcome);
      EXPECT_EQ(outcome->inserted[0].family, family);
      EXPECT_EQ(outcome->inserted[0].table, table);
      EXPECT_THAT(this->Ids("OUTPUT", family, table), ElementsAre("r"));
    }
  }
  EXPECT_EQ(this->UseCount("web"), 10u);
}

TYPED_TEST(RuleTableTest, FamiliesAreApart) {
  RuleSpec spec = Spec("six");
  spec.match.source = {*ParseIpPrefix("2001:db8::/32")};
  ASSERT_OK(this->Edit({.family = Family::kIpv6, .insertions = {spec}}));
  EXPECT_THAT(this->Ids("INPUT", Family::kIpv6), ElementsAre("six"));
  EXPECT_THAT(this->Ids("INPUT", Family::kIpv4), IsEmpty());
  EXPECT_EQ(this->ChainOf("INPUT", Family::kIpv6).rules[0].match, spec.match);
}

TYPED_TEST(RuleTableTest, RulesGoAwayByTheirIds) {
  ASSERT_OK(this->Insert(
      {Spec("a"), Spec("b"), Spec("c"), Spec("d"), Spec("o", "OUTPUT")}));
  const auto outcome = this->Delete({"o", "d", "b"});
  ASSERT_OK(outcome);
  EXPECT_THAT(outcome->deleted,
              ElementsAre(Field(&Rule::id, "o"), Field(&Rule::id, "d"),
                          Field(&Rule::id, "b")));
  EXPECT_THAT(this->Ids("INPUT"), ElementsAre("a", "c"));
  EXPECT_THAT(this->Ids("OUTPUT"), IsEmpty());
  EXPECT_EQ(this->UseCount("web"), 2u);
}

TYPED_TEST(RuleTableTest, EveryPatternOfDeletionsLeavesTheRightRules) {
  for (unsigned pattern = 1; pattern < 128; pattern += 3) {
    std::vector<RuleSpec> specs;
    std::vector<std::string> gone;
    std::vector<std::string> left;
    for (unsigned i = 0; i < 7; ++i) {
      specs.push_back(Spec(absl::StrCat("r", i)));
      ((pattern >> i) & 1 ? gone : left).push_back(specs.back().id);
    }
    ASSERT_OK(this->Insert(specs));
    ASSERT_OK(this->Delete(gone));
    EXPECT_EQ(this->Ids("INPUT"), left);
    ASSERT_OK(this->Delete(left));
  }
}

TYPED_TEST(RuleTableTest, OneEditDeletesAndInserts) {
  ASSERT_OK(this->Insert({Spec("old"), Spec("kept")}));
  RuleSpec renewed = Spec("old", "OUTPUT", "dns");
  const auto outcome =
      this->Edit({.deletions = {"old"}, .insertions = {renewed, Spec("new")}});
  ASSERT_OK(outcome);
  EXPECT_THAT(outcome->deleted, ElementsAre(Field(&Rule::chain, "INPUT")));
  EXPECT_THAT(outcome->inserted, ElementsAre(Field(&Rule::counter, "dns"),
                                             Field(&Rule::id, "new")));
  EXPECT_THAT(this->Ids("INPUT"), ElementsAre("new", "kept"));
  EXPECT_THAT(this->Ids("OUTPUT"), ElementsAre("old"));
}

TYPED_TEST(RuleTableTest, AnEmptyEditDoesNothing) {
  const auto outcome = this->Edit({});
  ASSERT_OK(outcome);
  EXPECT_THAT(outcome->inserted, IsEmpty());
  EXPECT_THAT(outcome->deleted, IsEmpty());
}

TYPED_TEST(RuleTableTest, RulesHoldTheirCounters) {
  EXPECT_EQ(this->UseCount("web"), 0u);
  ASSERT_OK(this->Insert({Spec("a"), Spec("b"), Spec("c", "INPUT", "dns")}));
  EXPECT_EQ(this->UseCount("web"), 2u);
  EXPECT_EQ(this->UseCount("dns"), 1u);
  const std::vector<std::string> names = {"web"};
  EXPECT_THAT(this->acct().Delete(names)[0],
              StatusIs(Code::kFailedPrecondition));
  ASSERT_OK(this->Delete({"a", "b"}));
  EXPECT_OK(this->acct().Delete(names)[0]);
}

TYPED_TEST(RuleTableTest, AThousandRulesInOneBatch) {
  std::vector<RuleSpec> specs;
  std::vector<std::string> ids;
  for (int i = 0; i < 1000; ++i) {
    specs.push_back(Spec(absl::StrCat("r", i)));
    ids.push_back(specs.back().id);
  }
  ASSERT_OK(this->Insert(specs));
  EXPECT_EQ(this->Ids("INPUT"), ids);
  const auto outcome = this->Delete(ids);
  ASSERT_OK(outcome);
  EXPECT_THAT(outcome->deleted, SizeIs(1000));
  EXPECT_THAT(this->Ids("INPUT"), IsEmpty());
}

}  // namespace
}  // namespace nfmeter::kernel
