// SPDX-License-Identifier: Apache-2.0
// An event that ends waits.
#ifndef NFMETER_CLIENT_SRC_CANCELLATION_H_
#define NFMETER_CLIENT_SRC_CANCELLATION_H_

#include <chrono>
#include <condition_variable>
#include <mutex>

#include "absl/time/time.h"

namespace nfmeter::client_internal {

// Thread-safe. As absl::Notification, whose waits of bounded length end by the
// wall clock: when that is set back they are longer by as much. Hence the
// standard library's mutex, whose waits go by CLOCK_MONOTONIC.
class Cancellation {
 public:
  Cancellation() = default;
  Cancellation(const Cancellation&) = delete;
  Cancellation& operator=(const Cancellation&) = delete;

  // May be called again.
  void Notify() {
    const std::lock_guard<std::mutex> lock(mutex_);
    notified_ = true;
    changed_.notify_all();
  }

  bool HasBeenNotified() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return notified_;
  }

  // Waits for Notify() or until `longest` is over; whether it was notified.
  bool WaitFor(absl::Duration longest) const {
    const auto most = std::min(longest, absl::Hours(24 * 365 * 100));
    std::unique_lock<std::mutex> lock(mutex_);
    return changed_.wait_for(lock, absl::ToChronoMicroseconds(most),
                             [this] { return notified_; });
  }

 private:
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  bool notified_ = false;
};

}  // namespace nfmeter::client_internal

#endif  // NFMETER_CLIENT_SRC_CANCELLATION_H_
