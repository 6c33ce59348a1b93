// SPDX-License-Identifier: GPL-3.0-or-later
// An edit of several tables, when one of them fails after others went through.
#include "kernel/linux/xtables/xt_table_by_table.h"

#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "gmock/gmock.h"
#include "kernel/fake/fake_kernel.h"
#include "tests/support/kernel_edits.h"
#include "tests/support/status_matchers.h"

namespace nfmeter::kernel {
namespace {

using ::nfmeter::testing::HasReason;
using ::nfmeter::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// Over tables that are changed one by one. Commits to `broken_` fail,
// rehearsals don't; and once it has failed, neither does `stuck_` take any.
class TableByTableTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK(kernel_.acct().Create({{.name = "c"}})[0]);
  }

  absl::StatusOr<KernelOutcome> Apply(const KernelEdit& edit) {
    return ApplyTableByTable(
        edit, {}, kernel_.acct(),
        {.rehearse = [this](const TableEdit& table,
                            absl::Span<const AcctObject> new_counters)
             -> absl::StatusOr<TableOutcome> {
           absl::StatusOr<KernelOutcome> outcome = kernel_.rules().Apply(
               {.new_counters = {new_counters.begin(), new_counters.end()},
                .tables = {table},
                .dry_run = true},
               {});
           if (!outcome.ok()) return outcome.status();
           return outcome->tables.front();
         },
         .edit = [this](const TableEdit& table, const Patience& patience)
             -> absl::StatusOr<TableOutcome> {
           stoppable_.push_back(patience.stoppable());
           if (table.table == broken_) {
             has_broken_ = true;
             return MakeError(absl::StatusCode::kUnavailable, "TABLE_CHANGED",
                              "the table kept changing");
           }
           if (has_broken_ && table.table == stuck_) {
             return MakeError(absl::StatusCode::kPermissionDenied, "DENIED",
                              "stuck");
           }
           return testing::Edit(kernel_.rules(), table, patience);
         }});
  }
  absl::StatusOr<KernelOutcome> CreateInFilterAndMangle() {
    return Apply({.tables = {{.insertions = {{"f", "INPUT", {}, "c"}}},
                             {.table = Table::kMangle,
                              .insertions = {{"m", "INPUT", {}, "c"}}}}});
  }
  KernelEdit DeletionOfAll() {
    return {.tables = {{.deletions = {"f"}},
                       {.table = Table::kMangle, .deletions = {"m"}}}};
  }
  std::vector<Rule> Input(Table table = Table::kFilter) {
    const TableContents contents = *kernel_.rules().Read(Family::kIpv4, table);
    for (const Chain& chain : contents.chains) {
      if (chain.name == "INPUT") return chain.rules;
    }
    return {};
  }

  FakeKernel kernel_;
  std::optional<Table> broken_;
  std::optional<Table> stuck_;
  std::vector<bool> stoppable_;  // of the edits so far
  bool has_broken_ = false;
};

TEST_F(TableByTableTest, ACreationIsTakenBackFromTheOtherTables) {
  broken_ = Table::kMangle;
  EXPECT_THAT(CreateInFilterAndMangle(), HasReason("TABLE_CHANGED"));
  EXPECT_EQ(kernel_.rules().commits(Family::kIpv4, Table::kFilter), 2);
  EXPECT_THAT(Input(), IsEmpty());
  EXPECT_EQ(kernel_.acct().Get("c")->use_count, 0);
}

TEST_F(TableByTableTest, ADeletionIsTakenBackFromTheOtherTables) {
  ASSERT_OK(CreateInFilterAndMangle());
  broken_ = Table::kMangle;
  EXPECT_THAT(Apply(DeletionOfAll()), HasReason("TABLE_CHANGED"));
  EXPECT_EQ(Input().size(), 1u);
  EXPECT_EQ(Input(Table::kMangle).size(), 1u);
  EXPECT_EQ(kernel_.acct().Get("c")->use_count, 2);
}

TEST_F(TableByTableTest, DeletedRulesAreBackInTheirPlaceWithTheirCounters) {
  ASSERT_OK(CreateInFilterAndMangle());
  ASSERT_OK(testing::Edit(kernel_.rules(),
                          {.insertions = {{"head", "INPUT", {}, "c"},
                                          {.id = "t",
                                           .chain = "INPUT",
                                           .counter = "c",
                                           .form = CountingForm::kTarget},
                                          {"below", "INPUT", {}, "c"}}}));
  kernel_.rules().SetRuleCounters(Family::kIpv4, Table::kFilter, "f", 7, 700);
  kernel_.rules().SetRuleCounters(Family::kIpv4, Table::kFilter, "t", 3, 300);
  const std::vector<Rule> before = Input();
  broken_ = Table::kMangle;
  KernelEdit edit = DeletionOfAll();
  edit.tables[0].deletions.push_back("t");
  EXPECT_THAT(Apply(edit), HasReason("TABLE_CHANGED"));
  const std::vector<Rule> after = Input();
  ASSERT_EQ(after.size(), 4u);
  for (size_t i = 0; i < before.size(); ++i) {
    EXPECT_EQ(after[i].id, before[i].id);
    EXPECT_EQ(after[i].text, before[i].text);
    EXPECT_EQ(after[i].packets, before[i].packets);
    EXPECT_EQ(after[i].bytes, before[i].bytes);
  }
}

TEST_F(TableByTableTest, WhatCantBeTakenBackIsSaid) {
  broken_ = Table::kMangle;
  stuck_ = Table::kFilter;
  EXPECT_THAT(CreateInFilterAndMangle(),
              AllOf(StatusIs(absl::StatusCode::kAborted,
                             HasSubstr("could not be undone: filter: stuck")),
                    HasReason("CHANGE_HALF_DONE")));
}

TEST_F(TableByTableTest, WhatIsTakenBackIsSoAlsoWhenTheServerEnds) {
  broken_ = Table::kMangle;
  CreateInFilterAndMangle().IgnoreError();
  // The two changes, and what puts the first one back.
  EXPECT_THAT(stoppable_, ElementsAre(true, true, false));
}

TEST_F(TableByTableTest, CountersAreTakenBackToo) {
  broken_ = Table::kFilter;
  EXPECT_THAT(Apply({.new_counters = {{.name = "new"}},
                     .tables = {{.insertions = {{"f", "INPUT", {}, "new"}}}}}),
              HasReason("TABLE_CHANGED"));
  EXPECT_THAT(kernel_.acct().Get("new"), HasReason("COUNTER_NOT_FOUND"));
}

}  // namespace
}  // namespace nfmeter::kernel
