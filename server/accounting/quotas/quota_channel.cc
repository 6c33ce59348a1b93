// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/quotas/quota_channel.h"

#include <utility>

namespace nfmeter::accounting {

void QuotaChannel::Begin(Standing standing, absl::Time time) {
  standing_ = std::move(standing);
  standing_time_ = time;
}

size_t QuotaChannel::Push(const QuotaEvent& event, size_t max_queue) {
  if (!wanted_(event.object.name)) return 0;
  const bool full = queue_.size() >= max_queue;
  if (full) {
    queue_.pop_front();
    ++missed_;
  }
  queue_.push_back(event);
  return full ? 1 : 0;
}

absl::StatusOr<std::optional<QuotaEvent>> QuotaChannel::Take() {
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

void QuotaChannel::CallOnReady() {
  absl::MutexLock lock(&call_mutex_);
  if (on_ready_) on_ready_();
}

void QuotaChannel::StopCalls() {
  absl::MutexLock lock(&call_mutex_);
  on_ready_ = nullptr;
}

}  // namespace nfmeter::accounting
