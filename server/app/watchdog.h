// SPDX-License-Identifier: GPL-3.0-or-later
// Tells the service manager that the server still does its work.
#ifndef NFMETER_APP_WATCHDOG_H_
#define NFMETER_APP_WATCHDOG_H_

#include <atomic>
#include <memory>

#include "absl/functional/any_invocable.h"
#include "accounting/common/lane.h"

namespace nfmeter::app {

// Feeds a watchdog as long as jobs that it sends down a lane come back: a lane
// that hangs in the kernel, or whose thread does not run, stops the feeding,
// and the service manager starts the server anew. A busy lane takes them in
// between, as they are urgent.
//
// Not thread-safe. Does not own the lane.
class Watchdog {
 public:
  Watchdog(accounting::Lane& lane, absl::AnyInvocable<void()> feed)
      : lane_(lane), feed_(std::move(feed)) {}

  // Feeds if the job sent at an earlier call has come back, and then sends the
  // next. Never waits.
  void Tick() {
    if (*job_ == Job::kUnderWay) return;
    if (*job_ == Job::kBack) feed_();
    *job_ = Job::kUnderWay;
    const absl::Status sent = lane_.Post(accounting::Lane::Priority::kUrgent,
                                         [job = job_] { *job = Job::kBack; });
    // The queue is full. If the lane still works, it takes the job the next
    // time.
    if (!sent.ok()) *job_ = Job::kNone;
  }

 private:
  enum class Job { kNone, kUnderWay, kBack };

  accounting::Lane& lane_;
  absl::AnyInvocable<void()> feed_;
  // Shared with the job, which may come back after this has gone.
  const std::shared_ptr<std::atomic<Job>> job_ =
      std::make_shared<std::atomic<Job>>(Job::kNone);
};

}  // namespace nfmeter::app

#endif  // NFMETER_APP_WATCHDOG_H_
