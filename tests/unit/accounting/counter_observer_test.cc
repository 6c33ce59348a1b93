// SPDX-License-Identifier: GPL-3.0-or-later
// What observers of counters are told, in which order, and that a mutation
// waits for them.
#include "accounting/common/counter_observer.h"

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "accounting/domain.h"
#include "base/error.h"
#include "gmock/gmock.h"
#include "kernel/fake/fake_kernel.h"
#include "tests/support/fake_clock.h"
#include "tests/support/status_matchers.h"

namespace nfmeter::accounting {
namespace {

using ::nfmeter::testing::HasReason;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class Recorder final : public CounterObserver {
 public:
  absl::Status Admit(size_t counters) override {
    events.push_back(absl::StrCat("admit ", counters));
    return admits;
  }
  void OnCreated(absl::Span<const kernel::AcctObject> counters) override {
    Note("created", counters);
  }
  void OnReset(absl::Span<const kernel::AcctObject> counters) override {
    Note("reset", counters);
  }
  void OnDeleted(absl::Span<const kernel::AcctObject> counters) override {
    Note("deleted", counters);
  }
  void OnSnapshot(const std::shared_ptr<const Snapshot>& snapshot) override {
    events.push_back(absl::StrCat("snapshot of ", snapshot->size()));
  }
  absl::Status Commit() override {
    events.push_back("commit");
    return commits;
  }

  std::vector<std::string> events;
  absl::Status admits;
  absl::Status commits;

 private:
  void Note(absl::string_view what,
            absl::Span<const kernel::AcctObject> counters) {
    for (const kernel::AcctObject& counter : counters) {
      events.push_back(
          absl::StrCat(what, " ", counter.name, " at ", counter.packets));
    }
  }
};

class CounterObserverTest : public ::testing::Test {
 protected:
  absl::Status Create(std::vector<std::string> names) {
    std::vector<Counter> counters;
    for (const std::string& name : names) {
      counters.push_back({.object = {.name = name, .packets = 1}});
    }
    return domain_->counter_editor().Create(counters, false).status();
  }
  absl::Status Reset(const std::string& name) {
    const CounterTarget target = {.name = name};
    return domain_->counter_editor().Reset({&target, 1}, false).status();
  }
  absl::Status Delete(const std::string& name) {
    const CounterTarget target = {.name = name};
    return domain_->counter_editor().Delete({&target, 1}, {}).status();
  }

  testing::FakeClock clock_;
  kernel::FakeKernel kernel_;
  Recorder recorder_;
  std::unique_ptr<Domain> domain_ = *Domain::Open(
      kernel_, clock_, {.observers = {&recorder_}, .ledger_reads = false});
};

const absl::Status kDiskFull =
    MakeError(absl::StatusCode::kUnavailable, "DISK_FULL", "no room");

TEST_F(CounterObserverTest, EachMutationIsAdmittedToldAndCommitted) {
  ASSERT_OK(Create({"a", "b"}));
  ASSERT_OK(kernel_.acct().Count("a", 4, 400));
  ASSERT_OK(Reset("a"));
  ASSERT_OK(kernel_.acct().Count("a", 2, 200));
  ASSERT_OK(Delete("a"));
  EXPECT_THAT(recorder_.events,
              ElementsAre("admit 2", "created a at 1", "created b at 1",
                          "commit", "admit 1", "reset a at 5", "commit",
                          "admit 1", "deleted a at 2", "commit"));
}

TEST_F(CounterObserverTest, WhatIsNotAdmittedIsNotDone) {
  ASSERT_OK(Create({"a"}));
  recorder_.admits = kDiskFull;
  EXPECT_THAT(Create({"b"}), HasReason("DISK_FULL"));
  EXPECT_THAT(Reset("a"), HasReason("DISK_FULL"));
  EXPECT_THAT(Delete("a"), HasReason("DISK_FULL"));
  EXPECT_FALSE(kernel_.acct().Exists("b"));
  EXPECT_EQ(kernel_.acct().Get("a")->packets, 1u);
}

TEST_F(CounterObserverTest, WhatIsNotDurableIsNotAnsweredAsDone) {
  ASSERT_OK(Create({"a"}));
  recorder_.commits = kDiskFull;
  EXPECT_THAT(Reset("a"), HasReason("DISK_FULL"));
  // It was, and the observer knows.
  EXPECT_EQ(kernel_.acct().Get("a")->packets, 0u);
  EXPECT_THAT(recorder_.events, ::testing::Contains("reset a at 1"));
}

TEST_F(CounterObserverTest, WhatAFailedBatchMadeIsToldAndTakenBack) {
  kernel_.acct().InjectErrno(kernel::Operation::kAcctCreate, ENOMEM);
  EXPECT_FALSE(Create({"a", "b"}).ok());
  EXPECT_THAT(recorder_.events, ElementsAre("admit 2", "created b at 1",
                                            "deleted b at 1", "commit"));
}

TEST_F(CounterObserverTest, CompleteSnapshotsAreTold) {
  ASSERT_OK(Create({"a", "b"}));
  recorder_.events.clear();
  ASSERT_OK(domain_->snapshots().Take(absl::ZeroDuration()));
  EXPECT_THAT(recorder_.events, ElementsAre("snapshot of 2"));
  recorder_.events.clear();
  kernel_.acct().CutDumps(1, 100);
  ASSERT_OK(domain_->snapshots().Take(absl::ZeroDuration()));
  EXPECT_THAT(recorder_.events, IsEmpty());
}

}  // namespace
}  // namespace nfmeter::accounting
