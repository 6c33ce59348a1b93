// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/counters/label_pruner.h"

#include <errno.h>

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "kernel/fake/fake_acct_table.h"
#include "tests/support/fake_clock.h"
#include "tests/support/status_matchers.h"
#include "tests/support/subprocess.h"

namespace nfmeter::accounting {
namespace {

using ::nfmeter::testing::FakeClock;
using ::nfmeter::testing::TemporaryDirectory;
using ::testing::IsEmpty;

const Labels& SomeLabels() {
  static const Labels* const labels = new Labels{{"team", "blue"}};
  return *labels;
}

class LabelPrunerTest : public ::testing::Test {
 protected:
  LabelPrunerTest() {
    for (const char* name : {"a", "b", "c", "unlabelled"}) Create(name);
    for (const char* name : {"a", "b", "c"}) Label(name);
  }

  void Create(const std::string& name) {
    ASSERT_OK(table_.Create({{.name = name}})[0]);
  }
  void Delete(const std::string& name) { ASSERT_OK(table_.Delete({name})[0]); }
  void Label(const std::string& name) {
    ASSERT_OK(labels_->Set({{name, SomeLabels()}}));
  }
  bool HasLabels(const std::string& name) {
    return !labels_->Get(name).empty();
  }
  int Dumps() const { return table_.dumps(); }

  // Returns after the first round.
  void Start() {
    pruner_ = std::make_unique<LabelPruner>(
        table_, *hub_, *labels_, clock_,
        [this](const absl::StatusOr<size_t>& pruned) {
          EXPECT_OK(pruned);
          pruned_ += pruned.value_or(0);
        });
    AwaitRound();
  }
  void NextRound() {
    clock_.Advance(LabelPruner::kInterval);
    AwaitRound();
  }
  void AwaitRound() {
    clock_.AwaitWaiter(clock_.BootTime() + LabelPruner::kInterval);
  }

  TemporaryDirectory directory_;
  kernel::FakeAcctTable table_{{.dump_group_size = 1}};
  FakeClock clock_;
  CounterObservers observers_;
  Lane lane_{"lane", 1000};
  std::unique_ptr<LabelStore> labels_ =
      *LabelStore::Open(directory_ / "labels.db");
  std::unique_ptr<SnapshotHub> hub_ =
      SnapshotHub::Create({table_, lane_, observers_, clock_}, {});
  std::atomic<size_t> pruned_ = 0;
  std::unique_ptr<LabelPruner> pruner_;
};

TEST_F(LabelPrunerTest, LabelsOfCountersThatOthersDeletedGoForGood) {
  Start();
  Delete("b");
  NextRound();
  EXPECT_TRUE(HasLabels("b"));
  NextRound();
  EXPECT_FALSE(HasLabels("b"));
  EXPECT_EQ(pruned_, 1u);
  NextRound();
  EXPECT_EQ(pruned_, 1u);
  pruner_.reset();
  labels_ = *LabelStore::Open(directory_ / "labels.db");
  EXPECT_THAT(labels_->Get("b"), IsEmpty());
  EXPECT_EQ(labels_->Get("a"), SomeLabels());
  EXPECT_EQ(labels_->Get("c"), SomeLabels());
}

TEST_F(LabelPrunerTest, CountersThatComeUpAfterTheServerKeepTheirLabels) {
  for (const char* name : {"a", "b", "c"}) Delete(name);
  Start();
  for (const char* name : {"a", "b"}) Create(name);
  NextRound();
  NextRound();
  EXPECT_TRUE(HasLabels("a"));
  EXPECT_TRUE(HasLabels("b"));
  EXPECT_FALSE(HasLabels("c"));
}

TEST_F(LabelPrunerTest, ACounterThatOthersMakeAgainKeepsItsLabels) {
  Start();
  for (int i = 0; i < 3; ++i) {
    Delete("b");
    NextRound();
    Create("b");
    NextRound();
  }
  EXPECT_EQ(labels_->Get("b"), SomeLabels());
}

TEST_F(LabelPrunerTest, LabelsThatWereSetSinceAreThoseOfANewCounter) {
  Delete("b");
  Start();
  Label("b");  // its counter is just being made
  NextRound();
  EXPECT_TRUE(HasLabels("b"));
  // The same during the reading that would be the second to lack it.
  table_.SetDumpHook([&](size_t) { Label("b"); });
  NextRound();
  EXPECT_TRUE(HasLabels("b"));
  table_.SetDumpHook({});
  NextRound();
  NextRound();
  EXPECT_FALSE(HasLabels("b"));
}

TEST_F(LabelPrunerTest, AnIncompleteReadingProvesNothing) {
  Delete("b");
  table_.CutDumps(1, 10);  // two readings of five passes
  Start();
  NextRound();
  NextRound();  // the first that counts
  EXPECT_TRUE(HasLabels("b"));
  NextRound();
  EXPECT_FALSE(HasLabels("b"));
}

TEST_F(LabelPrunerTest, AFailedReadingProvesNothing) {
  Delete("b");
  table_.InjectErrno(kernel::Operation::kAcctDump, ENOMEM, 2);
  Start();
  NextRound();
  NextRound();
  EXPECT_TRUE(HasLabels("b"));
  NextRound();
  EXPECT_FALSE(HasLabels("b"));
}

TEST_F(LabelPrunerTest, WhatTheKernelCannotSayByNameIsKept) {
  Delete("b");
  Start();
  table_.InjectErrno(kernel::Operation::kAcctGet, EPERM);
  NextRound();
  EXPECT_TRUE(HasLabels("b"));
  NextRound();
  EXPECT_FALSE(HasLabels("b"));
}

TEST_F(LabelPrunerTest, WithoutLabelsNothingIsRead) {
  ASSERT_OK(labels_->Set({{"a", {}}, {"b", {}}, {"c", {}}}));
  Start();
  NextRound();
  EXPECT_EQ(Dumps(), 0);
  Label("a");
  NextRound();
  EXPECT_EQ(Dumps(), 1);
}

}  // namespace
}  // namespace nfmeter::accounting
