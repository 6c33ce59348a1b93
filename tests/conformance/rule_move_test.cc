// SPDX-License-Identifier: GPL-3.0-or-later
// What every RuleTable does when rules are to count into another counter, the
// fake as the real ones.
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernel/acct_names.h"
#include "tests/conformance/rule_table_fixture.h"
#include "tests/support/status_matchers.h"

namespace nfmeter::kernel {
namespace {

using ::nfmeter::testing::HasReason;
using ::nfmeter::testing::IsOkAndHolds;
using ::nfmeter::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using Code = absl::StatusCode;

template <typename K>
class RuleMoveTest : public RuleTableTest<K> {
 protected:
  absl::StatusOr<size_t> Move(std::string from, std::string to,
                              bool dry_run = false) {
    return this->rules().MoveRules(
        {.from = std::move(from), .to = std::move(to), .dry_run = dry_run},
        Patience(Soon()));
  }
  std::vector<std::string> CountersOf(const std::string& chain) {
    std::vector<std::string> counters;
    for (const Rule& rule : this->ChainOf(chain).rules) {
      counters.push_back(rule.counter);
    }
    return counters;
  }
};
TYPED_TEST_SUITE(RuleMoveTest, Kernels, KernelNames);

TYPED_TEST(RuleMoveTest, RulesOfAllTablesMoveAndStayWhereTheyStand) {
  RuleSpec drops = Spec("c", "INPUT", "web");
  drops.verdict = Verdict::kDrop;
  drops.match.comment = "a cap";
  ASSERT_OK(this->Insert({Spec("a"), Spec("b", "INPUT", "dns"), drops}));
  ASSERT_OK(this->Edit({.family = Family::kIpv6,
                        .table = Table::kMangle,
                        .insertions = {Spec("d", "OUTPUT")}}));
  const std::vector<Rule> before = this->ChainOf("INPUT").rules;
  EXPECT_THAT(this->Move("web", "dns", /*dry_run=*/true), IsOkAndHolds(3u));
  EXPECT_EQ(this->UseCount("web"), 3u);
  EXPECT_THAT(this->Move("web", "dns"), IsOkAndHolds(3u));
  EXPECT_EQ(this->UseCount("web"), 0u);
  EXPECT_EQ(this->UseCount("dns"), 4u);
  const std::vector<Rule> after = this->ChainOf("INPUT").rules;
  ASSERT_EQ(after.size(), before.size());
  for (size_t i = 0; i < after.size(); ++i) {
    EXPECT_EQ(after[i].id, before[i].id);
    EXPECT_EQ(after[i].counter, "dns");
    EXPECT_EQ(after[i].match, before[i].match);
    EXPECT_EQ(after[i].verdict, before[i].verdict);
    EXPECT_TRUE(after[i].managed);
  }
  EXPECT_THAT(this->Move("web", "dns"), IsOkAndHolds(0u));
}

TYPED_TEST(RuleMoveTest, RulesMoveBetweenCountersWithLongNames) {
  const std::string name(kAcctNameMaxBytes, 'x');
  ASSERT_OK(this->acct().Create({AcctObject{.name = name}})[0]);
  ASSERT_OK(this->Insert({Spec("a", "INPUT", name)}));
  EXPECT_THAT(this->CountersOf("INPUT"), ElementsAre(name));
  const std::string stand_in = StandInName(name);
  ASSERT_OK(this->acct().Create({AcctObject{.name = stand_in}})[0]);
  ASSERT_THAT(this->Move(name, stand_in), IsOkAndHolds(1u));
  EXPECT_THAT(this->CountersOf("INPUT"), ElementsAre(stand_in));
  ASSERT_THAT(this->Move(stand_in, name), IsOkAndHolds(1u));
  EXPECT_THAT(this->CountersOf("INPUT"), ElementsAre(name));
}

TYPED_TEST(RuleMoveTest, ARuleOfSomebodyElsesKeepsAllWhereTheyAre) {
  ASSERT_OK(this->Insert({Spec("a")}));
  this->host_.AddForeignRule(Family::kIpv4, Table::kFilter,
                             "-A OUTPUT -m nfacct --nfacct-name web");
  for (const bool dry_run : {true, false}) {
    EXPECT_THAT(this->Move("web", "dns", dry_run),
                AllOf(StatusIs(Code::kFailedPrecondition),
                      HasReason("COUNTER_IN_USE")));
  }
  EXPECT_EQ(this->UseCount("web"), 2u);
  EXPECT_EQ(this->UseCount("dns"), 0u);
}

TYPED_TEST(RuleMoveTest, WithoutTheOtherCounterNothingMoves) {
  ASSERT_OK(this->Insert({Spec("a")}));
  EXPECT_FALSE(this->Move("web", "nowhere").ok());
  EXPECT_THAT(this->Move("web", "nowhere", /*dry_run=*/true), IsOkAndHolds(1u));
  EXPECT_THAT(this->CountersOf("INPUT"), ElementsAre("web"));
}

// Chains that are owned as a whole, where a kernel has them.
template <typename K>
class OwnedRuleMoveTest : public RuleMoveTest<K> {};
using KernelsWithChains = ::testing::Types<FakeHost, LinuxHost>;
TYPED_TEST_SUITE(OwnedRuleMoveTest, KernelsWithChains, KernelNames);

TYPED_TEST(OwnedRuleMoveTest, RulesOfOwnedChainsMoveToo) {
  const OwnedEdit edit = {
      .owner = "test-",
      .wanted = {{.hooks = {{.from = "INPUT", .to = "NFM-test-in"}},
                  .chains = {{.name = "NFM-test-in",
                              .rules = {{.counter = "web"},
                                        {.counter = "dns"},
                                        {.counter = "web",
                                         .action = OwnedAction::kDrop}}}}}}};
  ASSERT_OK(this->rules().ApplyOwned(edit, Patience(Soon())));
  EXPECT_THAT(this->Move("web", "dns"), IsOkAndHolds(2u));
  EXPECT_THAT(this->CountersOf("NFM-test-in"),
              ElementsAre("dns", "dns", "dns"));
  EXPECT_EQ(this->UseCount("web"), 0u);
  EXPECT_THAT(this->Move("dns", "web"), IsOkAndHolds(3u));
  EXPECT_EQ(this->UseCount("web"), 3u);
}

}  // namespace
}  // namespace nfmeter::kernel
