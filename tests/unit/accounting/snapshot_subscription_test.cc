// SPDX-License-Identifier: GPL-3.0-or-later
// Snapshots as they fall due.
#include <errno.h>

#include <deque>
#include <memory>
#include <utility>

#include "gmock/gmock.h"
#include "tests/unit/accounting/snapshot_hub_fixture.h"

namespace nfmeter::accounting {
namespace {

using ::nfmeter::testing::BusyLane;
using ::nfmeter::testing::HasReason;
using ::nfmeter::testing::StatusIs;

using SnapshotSubscriptionTest = SnapshotHubFixture;

// Collects what it is given, for a test to wait for.
class Inbox : public SnapshotSubscriber {
 public:
  void OnSnapshot(SharedSnapshot snapshot) override {
    absl::MutexLock lock(&mutex_);
    snapshots_.push_back(std::move(snapshot));
  }
  void OnError(const absl::Status& status) override {
    absl::MutexLock lock(&mutex_);
    errors_.push_back(status);
  }

  SharedSnapshot Next() {
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(
        +[](std::deque<SharedSnapshot>* queue) { return !queue->empty(); },
        &snapshots_));
    SharedSnapshot next = snapshots_.front();
    snapshots_.pop_front();
    return next;
  }
  absl::Status NextError() {
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(
        +[](std::deque<absl::Status>* queue) { return !queue->empty(); },
        &errors_));
    absl::Status next = errors_.front();
    errors_.pop_front();
    return next;
  }
  size_t size() {
    absl::MutexLock lock(&mutex_);
    return snapshots_.size();
  }

 private:
  absl::Mutex mutex_;
  std::deque<SharedSnapshot> snapshots_;
  std::deque<absl::Status> errors_;
};

TEST_F(SnapshotSubscriptionTest, SubscribersGetOneAtOnceAndThenOnEachMultiple) {
  auto inbox = std::make_shared<Inbox>();
  clock_.Advance(absl::Milliseconds(300));
  const auto subscription = hub_->Subscribe(absl::Seconds(2), inbox);
  EXPECT_EQ(inbox->Next()->boottime, absl::Milliseconds(1000'300));
  clock_.AwaitWaiter(absl::Seconds(1002));
  clock_.Advance(absl::Milliseconds(1700));
  EXPECT_EQ(inbox->Next()->boottime, absl::Seconds(1002));
  clock_.AwaitWaiter(absl::Seconds(1004));
  EXPECT_EQ(inbox->size(), 0u);
}

TEST_F(SnapshotSubscriptionTest, EqualAndMultipleIntervalsShareReadings) {
  auto every = std::make_shared<Inbox>();
  auto same = std::make_shared<Inbox>();
  auto second = std::make_shared<Inbox>();
  const auto a = hub_->Subscribe(absl::Seconds(1), every);
  every->Next();
  const auto b = hub_->Subscribe(absl::Seconds(1), same);
  same->Next();
  const auto c = hub_->Subscribe(absl::Seconds(2), second);
  second->Next();
  EXPECT_EQ(hub_->subscriber_count(), 3u);
  const int before = Dumps();
  for (int i = 0; i < 2; ++i) {
    clock_.AwaitWaiter(absl::Seconds(1001 + i));
    clock_.Advance(absl::Seconds(1));
    const SharedSnapshot snapshot = every->Next();
    EXPECT_EQ(same->Next(), snapshot);
    if (i == 1) {
      EXPECT_EQ(second->Next(), snapshot);
    }
  }
  EXPECT_EQ(Dumps(), before + 2);
}

TEST_F(SnapshotSubscriptionTest, IntervalsBelowTheFloorAreRaisedToIt) {
  Restart({.min_interval = absl::Seconds(1)});
  auto inbox = std::make_shared<Inbox>();
  const auto subscription = hub_->Subscribe(absl::Milliseconds(1), inbox);
  inbox->Next();
  clock_.AwaitWaiter(absl::Seconds(1001));
}

TEST_F(SnapshotSubscriptionTest, ReadsNothingWhenNobodyWantsAny) {
  auto inbox = std::make_shared<Inbox>();
  auto subscription = hub_->Subscribe(absl::Seconds(1), inbox);
  inbox->Next();
  subscription.reset();
  EXPECT_EQ(hub_->subscriber_count(), 0u);
  const int before = Dumps();
  clock_.Advance(absl::Seconds(1));
  clock_.AwaitWaiter(absl::InfiniteDuration());
  // What the tick might have queued is before this.
  ASSERT_OK(
      lane_.Run(Lane::Priority::kNormal, [] { return absl::OkStatus(); }));
  EXPECT_EQ(Dumps(), before);
}

TEST_F(SnapshotSubscriptionTest, TicksThatNoSubscriberWantsAreNotRead) {
  class Choosy final : public Inbox {
    bool Wants(absl::Duration boottime) override {
      return boottime != absl::Seconds(1001);
    }
  };
  auto inbox = std::make_shared<Choosy>();
  const auto subscription = hub_->Subscribe(absl::Seconds(1), inbox);
  EXPECT_EQ(inbox->Next()->sequence, 1u);
  for (int second : {1001, 1002}) {
    clock_.AwaitWaiter(absl::Seconds(second));
    clock_.Advance(absl::Seconds(1));
  }
  const SharedSnapshot next = inbox->Next();
  EXPECT_EQ(next->boottime, absl::Seconds(1002));
  EXPECT_EQ(next->sequence, 2u);
}

TEST_F(SnapshotSubscriptionTest,
       TicksThatPassWhileTheLaneIsBusyBecomeOneReading) {
  auto inbox = std::make_shared<Inbox>();
  const auto subscription = hub_->Subscribe(absl::Seconds(1), inbox);
  inbox->Next();
  clock_.AwaitWaiter(absl::Seconds(1001));
  const int before = Dumps();
  BusyLane busy(lane_);
  for (int i = 1; i <= 5; ++i) {
    clock_.Advance(absl::Seconds(1));
    clock_.AwaitWaiter(absl::Seconds(1001 + i));
  }
  busy.Release();
  EXPECT_EQ(inbox->Next()->boottime, absl::Seconds(1005));
  EXPECT_EQ(Dumps(), before + 1);
}

TEST_F(SnapshotSubscriptionTest, AFailedReadingIsToldAndTheNextOneComes) {
  auto inbox = std::make_shared<Inbox>();
  const auto subscription = hub_->Subscribe(absl::Seconds(1), inbox);
  inbox->Next();
  clock_.AwaitWaiter(absl::Seconds(1001));
  table_.InjectErrno(kernel::Operation::kAcctDump, EPERM);
  clock_.Advance(absl::Seconds(1));
  EXPECT_THAT(inbox->NextError(),
              StatusIs(absl::StatusCode::kPermissionDenied));
  clock_.AwaitWaiter(absl::Seconds(1002));
  clock_.Advance(absl::Seconds(1));
  EXPECT_EQ(inbox->Next()->sequence, 2u);
}

TEST_F(SnapshotSubscriptionTest, AFullLaneIsAnErrorForEverybodyWhoWaits) {
  Lane narrow("narrow", 1);
  auto hub = SnapshotHub::Create({table_, narrow, observers_, clock_}, {});
  BusyLane busy(narrow);
  ASSERT_OK(narrow.Post(Lane::Priority::kNormal, [] {}));
  EXPECT_THAT(hub->Take(absl::ZeroDuration()), HasReason("LANE_FULL"));
  auto inbox = std::make_shared<Inbox>();
  const auto subscription = hub->Subscribe(absl::Seconds(1), inbox);
  EXPECT_THAT(inbox->NextError(), HasReason("LANE_FULL"));
  busy.Release();
}

}  // namespace
}  // namespace nfmeter::accounting
