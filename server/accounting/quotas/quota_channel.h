// SPDX-License-Identifier: GPL-3.0-or-later
// The events that wait for one subscriber of the quota hub.
#ifndef NFMETER_ACCOUNTING_QUOTAS_QUOTA_CHANNEL_H_
#define NFMETER_ACCOUNTING_QUOTAS_QUOTA_CHANNEL_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "accounting/quotas/quota_hub.h"
#include "kernel/acct_table.h"

namespace nfmeter::accounting {

// First the quotas that were exceeded when it began, then a marker, then what
// happens. Guarded by the hub's mutex, but for the calls.
class QuotaChannel {
 public:
  using Standing = std::shared_ptr<const std::vector<kernel::AcctObject>>;

  // See QuotaHub::Subscribe().
  QuotaChannel(std::function<bool(const std::string&)> wanted,
               std::function<void()> on_ready)
      : wanted_(std::move(wanted)), on_ready_(std::move(on_ready)) {}

  // What was exceeded when it began.
  void Begin(Standing standing, absl::Time time) {
    standing_ = std::move(standing);
    standing_time_ = time;
  }

  // Queues the event if the subscriber wants it. Beyond `max_queue` the oldest
  // are dropped; returns how many were.
  size_t Push(const QuotaEvent& event, size_t max_queue) {
    if (!wanted_(event.object.name)) return 0;
    const bool full = queue_.size() >= max_queue;
    if (full) {
      queue_.pop_front();
      ++missed_;
    }
    queue_.push_back(event);
    return full ? 1 : 0;
  }

  // There will be no more.
  void Fail(const absl::Status& why) { error_ = why; }
  // See QuotaHub::Subscription.
  absl::StatusOr<std::optional<QuotaEvent>> Take() {
    if (standing_ != nullptr) {
      while (next_standing_ < standing_->size()) {
        const kernel::AcctObject& object = (*standing_)[next_standing_++];
        if (!wanted_(object.name)) continue;
        return QuotaEvent{QuotaEvent::Kind::kStanding, object, standing_time_};
      }
      standing_ = nullptr;
      synced_ = true;
      return QuotaEvent{.time = standing_time_};
    }
    // Events from before an error are still delivered.
    if (synced_ && !queue_.empty()) {
      QuotaEvent event = std::move(queue_.front());
      queue_.pop_front();
      event.missed = std::exchange(missed_, 0);
      return event;
    }
    if (!error_.ok()) return error_;
    return std::nullopt;
  }

  // Thread-safe. After StopCalls(), which waits for one under way, nothing is
  // called.
  void CallOnReady() {
    absl::MutexLock lock(&call_mutex_);
    if (on_ready_) on_ready_();
  }

  void StopCalls() {
    absl::MutexLock lock(&call_mutex_);
    on_ready_ = nullptr;
  }

 private:
  const std::function<bool(const std::string&)> wanted_;
  Standing standing_;  // null: not read yet, or all taken
  absl::Time standing_time_;
  size_t next_standing_ = 0;
  bool synced_ = false;  // the marker was taken
  std::deque<QuotaEvent> queue_;
  uint64_t missed_ = 0;
  absl::Status error_;

  absl::Mutex call_mutex_;  // held during calls
  std::function<void()> on_ready_ ABSL_GUARDED_BY(call_mutex_);
};

}  // namespace nfmeter::accounting

#endif  // NFMETER_ACCOUNTING_QUOTAS_QUOTA_CHANNEL_H_
