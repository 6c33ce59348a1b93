// SPDX-License-Identifier: GPL-3.0-or-later
// The hooks of FakeRuleTable; what it does as a table, the conformance suite
// checks.
#include <errno.h>

#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernel/fake/fake_rule_table.h"
#include "tests/support/kernel_edits.h"
#include "tests/support/status_matchers.h"

namespace nfmeter::kernel {
namespace {

using ::nfmeter::testing::HasReason;
using ::nfmeter::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Code = absl::StatusCode;

TableEdit Insertion(std::string id, Table table = Table::kFilter) {
  return {.table = table,
          .insertions = {
              {.id = std::move(id), .chain = "OUTPUT", .counter = "web"}}};
}

class FakeRuleTableTest : public ::testing::Test {
 protected:
  absl::StatusOr<TableOutcome> Edit(const TableEdit& edit,
                                    bool dry_run = false) {
    return testing::Edit(table_, edit, {}, dry_run);
  }
  std::vector<Rule> Output() {
    return table_.Read(Family::kIpv4, Table::kFilter)->chains[2].rules;
  }

  FakeRuleTable table_;
};

TEST_F(FakeRuleTableTest, CountsCommitsByTableAndFamily) {
  ASSERT_OK(Edit(Insertion("a")));
  ASSERT_OK(Edit(Insertion("a", Table::kMangle)));
  ASSERT_OK(Edit({.deletions = {"a"}, .insertions = {}}));
  ASSERT_OK(Edit(Insertion("b"), /*dry_run=*/true));
  EXPECT_EQ(table_.commits(Family::kIpv4, Table::kFilter), 2);
  EXPECT_EQ(table_.commits(Family::kIpv4, Table::kMangle), 1);
  EXPECT_EQ(table_.commits(Family::kIpv6, Table::kFilter), 0);
  EXPECT_EQ(table_.total_commits(), 3);
}

TEST_F(FakeRuleTableTest, AHeldLockKeepsEditsOutAndReadsIn) {
  table_.HoldXtablesLock(true);
  EXPECT_THAT(Edit(Insertion("a")), StatusIs(Code::kUnavailable));
  EXPECT_THAT(Edit(Insertion("a")), HasReason("XTABLES_LOCK_HELD"));
  EXPECT_THAT(Output(), IsEmpty());
  table_.HoldXtablesLock(false);
  EXPECT_OK(Edit(Insertion("a")));
}

TEST_F(FakeRuleTableTest, FailuresAreInjectedSoManyTimes) {
  table_.FailNext(Operation::kRuleCommit, EAGAIN, 2);
  EXPECT_THAT(Edit(Insertion("a")), HasReason("TABLE_CHANGED"));
  EXPECT_THAT(Edit(Insertion("a")), HasReason("TABLE_CHANGED"));
  EXPECT_EQ(table_.total_commits(), 0);
  EXPECT_OK(Edit(Insertion("a")));
  table_.FailNext(Operation::kRuleRead, EPERM);
  EXPECT_THAT(table_.Read(Family::kIpv4, Table::kFilter),
              StatusIs(Code::kPermissionDenied));
  EXPECT_OK(table_.Read(Family::kIpv4, Table::kFilter));
}

TEST_F(FakeRuleTableTest, RuleCountersCanBeSetAndLost) {
  ASSERT_OK(Edit(Insertion("a")));
  table_.SetRuleCounters(Family::kIpv4, Table::kFilter, "a", 5, 500);
  EXPECT_THAT(Output(), ElementsAre(::testing::Field(&Rule::bytes, 500u)));
  table_.LoseRuleCountersOnNextCommit();
  const auto outcome = Edit(Insertion("b"));
  ASSERT_OK(outcome);
  EXPECT_TRUE(outcome->rule_counters_lost);
  EXPECT_EQ(Output()[1].packets, 0u);
  EXPECT_FALSE(Edit(Insertion("c"))->rule_counters_lost);
}

TEST_F(FakeRuleTableTest, WhatTheKernelLacksIsRefused) {
  RuleCapabilities found;
  found.tables_ipv6 = absl::UnimplementedError("none");
  found.match_ipv4 = absl::UnimplementedError("no match");
  table_.SetCapabilities(found);
  EXPECT_THAT(table_.Read(Family::kIpv6, Table::kFilter),
              StatusIs(Code::kUnimplemented));
  EXPECT_OK(table_.Read(Family::kIpv4, Table::kFilter));
  EXPECT_THAT(Edit(Insertion("a")), StatusIs(Code::kUnimplemented));
  TableEdit by_target = Insertion("t");
  by_target.insertions[0].form = CountingForm::kTarget;
  EXPECT_OK(Edit(by_target));
  found.target_ipv4 = absl::UnimplementedError("no target");
  table_.SetCapabilities(found);
  by_target = Insertion("u");
  by_target.insertions[0].form = CountingForm::kTarget;
  EXPECT_THAT(Edit(by_target), StatusIs(Code::kUnimplemented));
}

// iptables allows no such chain where it knows the target.
TEST_F(FakeRuleTableTest, AChainOfItsNameHidesTheTarget) {
  table_.AddUserChain(Family::kIpv4, Table::kFilter, "NFACCT");
  TableEdit edit = Insertion("t");
  edit.insertions[0].form = CountingForm::kTarget;
  EXPECT_THAT(Edit(edit), HasReason("RULE_REFUSED"));
  EXPECT_OK(Edit(Insertion("m")));
}

TEST_F(FakeRuleTableTest, PausedEditsWaitWhileReadsGoOn) {
  table_.PauseEdits(true);
  std::thread editor([&] { EXPECT_OK(Edit(Insertion("a"))); });
  EXPECT_THAT(Output(), IsEmpty());
  table_.PauseEdits(false);
  editor.join();
  EXPECT_EQ(Output().size(), 1u);
}

}  // namespace
}  // namespace nfmeter::kernel
