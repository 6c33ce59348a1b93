// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/common/lane.h"

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "absl/status/statusor.h"
#include "absl/synchronization/notification.h"
#include "base/clock.h"
#include "gmock/gmock.h"
#include "tests/support/status_matchers.h"

namespace nfmeter::accounting {
namespace {

TEST(LaneTest, JobsThatWaitAreCountedAndTheirTimesAreTaken) {
  auto lane = std::make_unique<Lane>("lane", 10);
  absl::Notification running;
  absl::Notification go_on;
  ASSERT_OK(lane->Post(Lane::Priority::kNormal, [&] {
    running.Notify();
    go_on.WaitForNotification();
  }));
  running.WaitForNotification();
  EXPECT_EQ(lane->waiting(), 0);
  ASSERT_OK(lane->Post(Lane::Priority::kNormal, [] {}));
  ASSERT_OK(lane->Post(Lane::Priority::kUrgent, [] {}));
  EXPECT_EQ(lane->waiting(), 2);
  EXPECT_EQ(lane->run_times().Read().total(), 0);
  go_on.Notify();
  // The job of the third is under way when this one runs; the two before have
  // been counted.
  ASSERT_OK(
      lane->Run(Lane::Priority::kNormal, [] { return absl::OkStatus(); }));
  EXPECT_EQ(lane->waiting(), 0);
  EXPECT_GE(lane->run_times().Read().total(), 3);
  EXPECT_EQ(lane->wait_times().Read().total(), 4);
  EXPECT_EQ(lane->name(), "lane");
  EXPECT_EQ(lane->capacity(), 10);
}

// A lane whose thread does nothing until this goes.
class BusyLane {
 public:
  explicit BusyLane(size_t capacity = 10) : lane_("lane", capacity) {
    EXPECT_OK(lane_.Post(Lane::Priority::kNormal, [this] {
      running_.Notify();
      go_on_.WaitForNotification();
    }));
    running_.WaitForNotification();
  }
  ~BusyLane() { GoOn(); }

  Lane& lane() { return lane_; }
  void GoOn() {
    if (!go_on_.HasBeenNotified()) go_on_.Notify();
  }

 private:
  absl::Notification running_;
  absl::Notification go_on_;
  Lane lane_;
};

absl::Status Nothing() { return absl::OkStatus(); }

TEST(LaneTest, AJobThatHasNotBegunByItsDeadlineNeverDoes) {
  BusyLane busy;
  bool begun = false;
  EXPECT_EQ(
      busy.lane().RunBefore(SystemClock().BootTime() + absl::Milliseconds(20),
                            Lane::Priority::kNormal,
                            [&] {
                              begun = true;
                              return absl::OkStatus();
                            }),
      std::nullopt);
  busy.GoOn();
  ASSERT_OK(busy.lane().Run(Lane::Priority::kNormal, Nothing));
  EXPECT_FALSE(begun);
}

TEST(LaneTest, AJobThatHasBegunByItsDeadlineEnds) {
  Lane lane("lane", 10);
  std::optional<absl::StatusOr<std::string>> result;
  // A busy machine may begin it too late: then again, with more time.
  for (absl::Duration time = absl::Milliseconds(20);
       !result.has_value() && time < absl::Seconds(10); time *= 4) {
    const absl::Duration deadline = SystemClock().BootTime() + time;
    result = lane.RunBefore(deadline, Lane::Priority::kNormal,
                            [&]() -> absl::StatusOr<std::string> {
                              while (SystemClock().BootTime() < deadline) {
                                std::this_thread::yield();
                              }
                              return "done";
                            });
  }
  ASSERT_TRUE(result.has_value());
  EXPECT_THAT(*result, ::nfmeter::testing::IsOkAndHolds("done"));
}

TEST(LaneTest, AJobThatWasTakenBackLeavesItsPlaceToOthers) {
  BusyLane busy(/*capacity=*/1);
  EXPECT_EQ(
      busy.lane().RunBefore(SystemClock().BootTime() + absl::Milliseconds(20),
                            Lane::Priority::kNormal, Nothing),
      std::nullopt);
  EXPECT_EQ(busy.lane().waiting(), 0);
  EXPECT_OK(busy.lane().Post(Lane::Priority::kNormal, [] {}));
}

TEST(LaneTest, AFullLaneRefusesAtOnceWhateverTheDeadline) {
  BusyLane busy(/*capacity=*/1);
  ASSERT_OK(busy.lane().Post(Lane::Priority::kNormal, [] {}));
  const auto result = busy.lane().RunBefore(absl::InfiniteDuration(),
                                            Lane::Priority::kNormal, Nothing);
  ASSERT_TRUE(result.has_value());
  EXPECT_THAT(*result, ::nfmeter::testing::HasReason("LANE_FULL"));
}

// Like readings for subscribers whose interval is shorter than a reading.
TEST(LaneTest, UrgentJobsWithoutEndLeaveNormalOnesTheirTurn) {
  std::atomic<bool> stop = false;
  std::function<void()> again;
  BusyLane busy;
  Lane& lane = busy.lane();
  again = [&] {
    if (!stop) lane.Post(Lane::Priority::kUrgent, again).IgnoreError();
  };
  ASSERT_OK(lane.Post(Lane::Priority::kUrgent, again));
  std::thread release([&] { busy.GoOn(); });
  const auto done = lane.RunBefore(SystemClock().BootTime() + absl::Seconds(20),
                                   Lane::Priority::kNormal, Nothing);
  stop = true;
  release.join();
  EXPECT_EQ(done, absl::OkStatus());
}

TEST(LaneTest, UrgentJobsGoFirstAndThenTakeTurns) {
  std::string order;
  BusyLane busy;
  for (const char name : {'a', 'b', 'c'}) {
    ASSERT_OK(busy.lane().Post(Lane::Priority::kNormal,
                               [&order, name] { order.push_back(name); }));
  }
  for (const char name : {'1', '2'}) {
    ASSERT_OK(busy.lane().Post(Lane::Priority::kUrgent,
                               [&order, name] { order.push_back(name); }));
  }
  busy.GoOn();
  ASSERT_OK(busy.lane().Run(Lane::Priority::kNormal, Nothing));
  EXPECT_EQ(order, "1a2bc");
}

}  // namespace
}  // namespace nfmeter::accounting
