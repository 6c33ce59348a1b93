// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/watchdog.h"

namespace nfmeter::app {

void Watchdog::Tick() {
  if (*job_ == Job::kUnderWay) return;
  if (*job_ == Job::kBack) feed_();
  *job_ = Job::kUnderWay;
  const absl::Status sent = lane_.Post(accounting::Lane::Priority::kUrgent,
                                       [job = job_] { *job = Job::kBack; });
  // The queue is full. If the lane still works, it takes the job the next time.
  if (!sent.ok()) *job_ = Job::kNone;
}

}  // namespace nfmeter::app
