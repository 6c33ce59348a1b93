// SPDX-License-Identifier: GPL-3.0-or-later
// Counters and rules from one kernel in memory to another.
#include "kernel/migration.h"

#include <errno.h>

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernel/fake/fake_kernel.h"
#include "tests/support/fake_clock.h"
#include "tests/support/status_matchers.h"

namespace nfmeter::kernel {
namespace {

using ::nfmeter::testing::FakeClock;
using ::nfmeter::testing::HasReason;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class MigrationTest : public ::testing::Test {
 protected:
  MigrationTest() {
    const std::vector<AcctObject> counters = {
        {.name = "web", .packets = 7, .bytes = 700},
        {.name = "capped",
         .packets = 1,
         .bytes = 10,
         .quota = QuotaLimit{QuotaLimit::Unit::kBytes, 1000}}};
    for (const absl::Status& made : from_.acct().Create(counters)) {
      EXPECT_OK(made);
    }
    KernelEdit edit;
    edit.tables = {
        {.insertions = {{.id = "a", .chain = "INPUT", .counter = "web"},
                        {.id = "b",
                         .chain = "OUTPUT",
                         .counter = "capped",
                         .verdict = Verdict::kDrop}}}};
    EXPECT_OK(from_.rules().Apply(edit, EditTerms()).status());
  }

  static std::vector<std::string> RuleIds(FakeKernel& kernel) {
    std::vector<std::string> ids;
    const auto table = kernel.rules().Read(Family::kIpv4, Table::kFilter);
    EXPECT_OK(table);
    for (const Chain& chain : table->chains) {
      for (const Rule& rule : chain.rules) ids.push_back(rule.id);
    }
    return ids;
  }

  FakeKernel from_;
  FakeKernel to_;
  FakeClock clock_;
};

TEST_F(MigrationTest, AllIsThereAndGoneFromHere) {
  const auto moved = MigrateCounting(from_, to_, clock_);
  ASSERT_OK(moved.status());
  EXPECT_EQ(moved->counters, 2u);
  EXPECT_EQ(moved->rules, 2u);
  EXPECT_EQ(to_.acct().Get("web")->packets, 7u);
  EXPECT_EQ(to_.acct().Get("capped")->quota->limit, 1000u);
  EXPECT_THAT(RuleIds(to_), ElementsAre("a", "b"));
  EXPECT_FALSE(from_.acct().Exists("web"));
  EXPECT_THAT(RuleIds(from_), IsEmpty());
}

TEST_F(MigrationTest, WhatIsThereAlreadyStopsItBeforeItBegins) {
  const std::vector<AcctObject> there = {{.name = "web"}};
  ASSERT_OK(to_.acct().Create(there)[0]);
  EXPECT_THAT(MigrateCounting(from_, to_, clock_).status(),
              HasReason("COUNTER_EXISTS"));
  EXPECT_THAT(RuleIds(from_), ElementsAre("a", "b"));
  EXPECT_THAT(RuleIds(to_), IsEmpty());
}

TEST_F(MigrationTest, ACounterOfSomebodyElsesRuleStopsItBeforeItBegins) {
  from_.rules().AddForeignRule(Family::kIpv4, Table::kFilter,
                               "-A INPUT -m nfacct --nfacct-name web");
  EXPECT_THAT(MigrateCounting(from_, to_, clock_).status(),
              HasReason("COUNTER_IN_USE"));
  EXPECT_TRUE(from_.acct().Exists("web"));
  EXPECT_FALSE(to_.acct().Exists("web"));
}

TEST_F(MigrationTest, WhatFailsOnTheOtherSideIsPutBack) {
  to_.rules().FailNext(Operation::kRuleCommit, ENOMEM);
  EXPECT_FALSE(MigrateCounting(from_, to_, clock_).ok());
  EXPECT_EQ(from_.acct().Get("web")->packets, 7u);
  EXPECT_THAT(RuleIds(from_), ElementsAre("a", "b"));
  EXPECT_FALSE(to_.acct().Exists("web"));
}

}  // namespace
}  // namespace nfmeter::kernel
