#include <memory>

#include "absl/synchronization/notification.h"
#include "accounting/lane.h"
#include "gmock/gmock.h"
#include "tests/support/status_matchers.h"

namespace nfmeter::accounting {
namespace {

TEST(LaneTimesTest, JobsThatWaitAreCountedAndTheirTimesAreTaken) {
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

}  // namespace
}  // namespace nfmeter::accounting
