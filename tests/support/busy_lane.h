// SPDX-License-Identifier: GPL-3.0-or-later
// A lane that does nothing else for a while.
#ifndef NFMETER_TESTS_SUPPORT_BUSY_LANE_H_
#define NFMETER_TESTS_SUPPORT_BUSY_LANE_H_

#include <memory>

#include "absl/synchronization/notification.h"
#include "accounting/common/lane.h"
#include "tests/support/status_matchers.h"

namespace nfmeter::testing {

// Keeps a lane at one job until it is let go or this is destroyed.
class BusyLane {
 public:
  // Returns when the lane is busy.
  explicit BusyLane(accounting::Lane& lane,
                    accounting::Lane::Priority priority =
                        accounting::Lane::Priority::kUrgent) {
    EXPECT_OK(lane.Post(priority, [job = job_] {
      job->begun.Notify();
      job->released.WaitForNotification();
    }));
    job_->begun.WaitForNotification();
  }
  ~BusyLane() { Release(); }
  BusyLane(const BusyLane&) = delete;
  BusyLane& operator=(const BusyLane&) = delete;

  void Release() {
    if (!job_->released.HasBeenNotified()) job_->released.Notify();
  }

 private:
  struct Job {
    absl::Notification begun;
    absl::Notification released;
  };
  // Outlives this: the job returns from its wait after Release().
  const std::shared_ptr<Job> job_ = std::make_shared<Job>();
};

}  // namespace nfmeter::testing

#endif  // NFMETER_TESTS_SUPPORT_BUSY_LANE_H_
