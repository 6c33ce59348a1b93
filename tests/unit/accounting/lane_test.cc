// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/common/lane.h"

#include <atomic>
#include <functional>
#include <optional>
#include <string>
#include <thread>

#include "absl/status/statusor.h"
#include "base/clock.h"
#include "gmock/gmock.h"
#include "tests/support/busy_lane.h"
#include "tests/support/status_matchers.h"

namespace nfmeter::accounting {
namespace {

using ::nfmeter::testing::BusyLane;
using ::nfmeter::testing::HasReason;
using ::nfmeter::testing::IsOkAndHolds;

TEST(LaneTest, JobsThatWaitAreCountedAndTheirTimesAreTaken) {
  Lane lane("lane", 10);
  BusyLane busy(lane, Lane::Priority::kNormal);
  EXPECT_EQ(lane.waiting(), 0);
  ASSERT_OK(lane.Post(Lane::Priority::kNormal, [] {}));
  ASSERT_OK(lane.Post(Lane::Priority::kUrgent, [] {}));
  EXPECT_EQ(lane.waiting(), 2);
  EXPECT_EQ(lane.run_times().Read().total(), 0);
  busy.Release();
  // The job of the third is under way when this one runs; the two before have
  // been counted.
  ASSERT_OK(lane.Run(Lane::Priority::kNormal, [] { return absl::OkStatus(); }));
  EXPECT_EQ(lane.waiting(), 0);
  EXPECT_GE(lane.run_times().Read().total(), 3);
  EXPECT_EQ(lane.wait_times().Read().total(), 4);
  EXPECT_EQ(lane.name(), "lane");
  EXPECT_EQ(lane.capacity(), 10);
}

absl::Status Nothing() { return absl::OkStatus(); }

TEST(LaneTest, AJobThatHasNotBegunByItsDeadlineNeverDoes) {
  Lane lane("lane", 10);
  BusyLane busy(lane, Lane::Priority::kNormal);
  bool begun = false;
  EXPECT_EQ(lane.RunBefore(SystemClock().BootTime() + absl::Milliseconds(20),
                           Lane::Priority::kNormal,
                           [&] {
                             begun = true;
                             return absl::OkStatus();
                           }),
            std::nullopt);
  busy.Release();
  ASSERT_OK(lane.Run(Lane::Priority::kNormal, Nothing));
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
  EXPECT_THAT(*result, IsOkAndHolds("done"));
}

TEST(LaneTest, AJobThatWasTakenBackLeavesItsPlaceToOthers) {
  Lane lane("lane", /*capacity=*/1);
  const BusyLane busy(lane, Lane::Priority::kNormal);
  EXPECT_EQ(lane.RunBefore(SystemClock().BootTime() + absl::Milliseconds(20),
                           Lane::Priority::kNormal, Nothing),
            std::nullopt);
  EXPECT_EQ(lane.waiting(), 0);
  EXPECT_OK(lane.Post(Lane::Priority::kNormal, [] {}));
}

TEST(LaneTest, AFullLaneRefusesAtOnceWhateverTheDeadline) {
  Lane lane("lane", /*capacity=*/1);
  const BusyLane busy(lane, Lane::Priority::kNormal);
  ASSERT_OK(lane.Post(Lane::Priority::kNormal, [] {}));
  const auto result = lane.RunBefore(absl::InfiniteDuration(),
                                     Lane::Priority::kNormal, Nothing);
  ASSERT_TRUE(result.has_value());
  EXPECT_THAT(*result, HasReason("LANE_FULL"));
}

// Like readings for subscribers whose interval is shorter than a reading.
TEST(LaneTest, UrgentJobsWithoutEndLeaveNormalOnesTheirTurn) {
  std::atomic<bool> stop = false;
  std::function<void()> again;
  Lane lane("lane", 10);
  BusyLane busy(lane, Lane::Priority::kNormal);
  again = [&] {
    if (!stop) lane.Post(Lane::Priority::kUrgent, again).IgnoreError();
  };
  ASSERT_OK(lane.Post(Lane::Priority::kUrgent, again));
  std::thread release([&] { busy.Release(); });
  const auto done = lane.RunBefore(SystemClock().BootTime() + absl::Seconds(20),
                                   Lane::Priority::kNormal, Nothing);
  stop = true;
  release.join();
  EXPECT_EQ(done, absl::OkStatus());
}

TEST(LaneTest, UrgentJobsGoFirstAndThenTakeTurns) {
  std::string order;
  Lane lane("lane", 10);
  BusyLane busy(lane, Lane::Priority::kNormal);
  for (const char name : {'a', 'b', 'c'}) {
    ASSERT_OK(lane.Post(Lane::Priority::kNormal,
                        [&order, name] { order.push_back(name); }));
  }
  for (const char name : {'1', '2'}) {
    ASSERT_OK(lane.Post(Lane::Priority::kUrgent,
                        [&order, name] { order.push_back(name); }));
  }
  busy.Release();
  ASSERT_OK(lane.Run(Lane::Priority::kNormal, Nothing));
  EXPECT_EQ(order, "1a2bc");
}

}  // namespace
}  // namespace nfmeter::accounting
