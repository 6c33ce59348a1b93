// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/watchdog.h"

#include "gmock/gmock.h"
#include "tests/support/busy_lane.h"
#include "tests/support/status_matchers.h"

namespace nfmeter::app {
namespace {

using accounting::Lane;
using ::nfmeter::testing::BusyLane;

// Waits until everything sent down the lane so far has been carried out.
void Drain(Lane& lane) {
  ASSERT_OK(lane.Run(Lane::Priority::kNormal, [] { return absl::OkStatus(); }));
}

TEST(WatchdogTest, IsFedWhileJobsComeBack) {
  Lane lane("lane", 8);
  int fed = 0;
  Watchdog watchdog(lane, [&fed] { ++fed; });
  watchdog.Tick();
  EXPECT_EQ(fed, 0);  // nothing has come back yet
  for (int i = 1; i <= 3; ++i) {
    Drain(lane);
    watchdog.Tick();
    EXPECT_EQ(fed, i);
  }
}

TEST(WatchdogTest, IsNotFedWhileTheLaneHangs) {
  Lane lane("lane", 8);
  int fed = 0;
  Watchdog watchdog(lane, [&fed] { ++fed; });
  BusyLane busy(lane);
  for (int i = 0; i < 100; ++i) watchdog.Tick();
  EXPECT_EQ(fed, 0);
  busy.Release();
  Drain(lane);
  watchdog.Tick();
  EXPECT_EQ(fed, 1);
}

TEST(WatchdogTest, IsNotFedWhileTheQueueIsFullOfWaitingJobs) {
  Lane lane("lane", 1);
  int fed = 0;
  Watchdog watchdog(lane, [&fed] { ++fed; });
  BusyLane busy(lane);
  ASSERT_OK(lane.Post(Lane::Priority::kNormal, [] {}));
  for (int i = 0; i < 100; ++i) watchdog.Tick();
  EXPECT_EQ(fed, 0);
}

TEST(WatchdogTest, AJobMayComeBackAfterTheWatchdogHasGone) {
  Lane lane("lane", 8);
  BusyLane busy(lane);
  {
    Watchdog watchdog(lane, [] {});
    watchdog.Tick();
  }
  busy.Release();
  Drain(lane);
}

}  // namespace
}  // namespace nfmeter::app
