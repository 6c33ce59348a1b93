// A batch over several tables, when the commit of one of them fails after
// others went through.
#include <optional>
#include <string>
#include <vector>

#include "accounting/rules/rules.h"
#include "base/error.h"
#include "gmock/gmock.h"
#include "kernel/fake/fake_acct_table.h"
#include "kernel/fake/fake_rule_table.h"
#include "tests/support/status_matchers.h"

namespace nfmeter::accounting {
namespace {

using kernel::Family;
using kernel::Table;
using ::nfmeter::testing::HasReason;
using ::nfmeter::testing::IsOkAndHolds;
using ::nfmeter::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// Commits to `broken` fail, rehearsals don't; and once it has failed, neither
// does `stuck` take any.
class BreakingRuleTable final : public kernel::FakeRuleTable {
 public:
  using FakeRuleTable::FakeRuleTable;

  absl::StatusOr<kernel::EditOutcome> Edit(
      const kernel::TableEdit& edit,
      const kernel::Patience& patience) override {
    stoppable.push_back(patience.stoppable());
    if (!edit.dry_run && edit.table == broken) {
      has_broken_ = true;
      return MakeError(absl::StatusCode::kUnavailable, "TABLE_CHANGED",
                       "the table kept changing");
    }
    if (!edit.dry_run && has_broken_ && edit.table == stuck) {
      return MakeError(absl::StatusCode::kPermissionDenied, "DENIED", "stuck");
    }
    return FakeRuleTable::Edit(edit, patience);
  }

  std::optional<Table> broken;
  std::optional<Table> stuck;
  std::vector<bool> stoppable;  // of the edits so far

 private:
  bool has_broken_ = false;
};

class RulesUndoTest : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const absl::Status& status : acct_.Create({{.name = "c"}})) {
      ASSERT_OK(status);
    }
  }

  absl::Status CreateInFilterAndMangle() {
    std::vector<NewRule> rules(2);
    rules[0].spec = {.id = "f", .chain = "INPUT", .counter = "c"};
    rules[1].spec = {.id = "m", .chain = "INPUT", .counter = "c"};
    rules[1].table = Table::kMangle;
    return rules_.Create(rules, {}).status();
  }

  kernel::FakeAcctTable acct_;
  BreakingRuleTable table_{&acct_};
  Lane rule_lane_{"rules", 16};
  Rules rules_{{table_, rule_lane_}, {table_, rule_lane_}, acct_};
};

TEST_F(RulesUndoTest, ACreationIsTakenBackFromTheOtherTables) {
  table_.broken = Table::kMangle;
  EXPECT_THAT(CreateInFilterAndMangle(), HasReason("TABLE_CHANGED"));
  EXPECT_EQ(table_.commits(Family::kIpv4, Table::kFilter), 2);
  EXPECT_THAT(rules_.Holders({"c"}), IsOkAndHolds(IsEmpty()));
  EXPECT_EQ(acct_.Get("c")->use_count, 0);
}

TEST_F(RulesUndoTest, ADeletionIsTakenBackFromTheOtherTables) {
  ASSERT_OK(CreateInFilterAndMangle());
  table_.broken = Table::kMangle;
  EXPECT_THAT(rules_.Delete({"f", "m"}, {}), HasReason("TABLE_CHANGED"));
  EXPECT_THAT(rules_.Holders({"c"}), IsOkAndHolds(SizeIs(2)));
  EXPECT_OK(rules_.Get("f"));
}

TEST_F(RulesUndoTest, DeletedRulesAreBackInTheirPlaceWithTheirCounters) {
  ASSERT_OK(CreateInFilterAndMangle());
  std::vector<NewRule> others(3);
  others[0].spec = {.id = "head", .chain = "INPUT", .counter = "c"};
  others[1].spec = {.id = "t", .chain = "INPUT", .counter = "c"};
  others[1].form = kernel::CountingForm::kTarget;
  others[2].spec = {.id = "below", .chain = "INPUT", .counter = "c"};
  ASSERT_OK(rules_.Create(others, {}));
  table_.SetRuleCounters(Family::kIpv4, Table::kFilter, "f", 7, 700);
  table_.SetRuleCounters(Family::kIpv4, Table::kFilter, "t", 3, 300);
  const auto before = rules_.List({.filter = {.table = Table::kFilter}});
  ASSERT_OK(before);
  table_.broken = Table::kMangle;
  EXPECT_THAT(rules_.Delete({"f", "m", "t"}, {}), HasReason("TABLE_CHANGED"));
  const auto after = rules_.List({.filter = {.table = Table::kFilter}});
  ASSERT_OK(after);
  ASSERT_EQ(after->rules.size(), 4u);
  for (size_t i = 0; i < before->rules.size(); ++i) {
    EXPECT_EQ(after->rules[i].id, before->rules[i].id);
    EXPECT_EQ(after->rules[i].text, before->rules[i].text);
    EXPECT_EQ(after->rules[i].packets, before->rules[i].packets);
    EXPECT_EQ(after->rules[i].bytes, before->rules[i].bytes);
  }
}

TEST_F(RulesUndoTest, WhatCantBeTakenBackIsSaid) {
  table_.broken = Table::kMangle;
  table_.stuck = Table::kFilter;
  EXPECT_THAT(CreateInFilterAndMangle(),
              AllOf(StatusIs(absl::StatusCode::kAborted,
                             HasSubstr("could not be undone: filter: stuck")),
                    HasReason("CHANGE_HALF_DONE")));
}

TEST_F(RulesUndoTest, WhatIsTakenBackIsSoAlsoWhenTheServerEnds) {
  table_.broken = Table::kMangle;
  CreateInFilterAndMangle().IgnoreError();
  // The rehearsals, the two changes, and what puts the first one back.
  EXPECT_THAT(table_.stoppable, ElementsAre(true, true, true, true, false));
}

}  // namespace
}  // namespace nfmeter::accounting
