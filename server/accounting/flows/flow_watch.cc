// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/flows/flow_watch.h"

namespace nfmeter::accounting {

FlowLosses& FlowLosses::operator+=(const FlowLosses& other) {
  lost_ends += other.lost_ends;
  findings.awaited += other.findings.awaited;
  findings.vanished += other.findings.vanished;
  findings.went_back += other.findings.went_back;
  findings.untracked += other.findings.untracked;
  no_ends |= other.no_ends;
  return *this;
}

std::optional<FlowFrame> FlowWatch::Take() {
  absl::MutexLock lock(&mutex_);
  if (frames_ == 0) return std::nullopt;
  FlowFrame frame = {.since = since_,
                     .until = until_,
                     .ranking = finished_.Rank(query_.order, query_.limit),
                     .losses = std::exchange(finished_losses_, {}),
                     .merged_frames = std::exchange(frames_, 0) - 1};
  finished_.Clear();
  since_ = until_;
  return frame;
}

std::optional<absl::Status> FlowWatch::End() const {
  absl::MutexLock lock(&mutex_);
  return end_;
}

void FlowWatch::Cancel() {
  {
    absl::MutexLock lock(&ready_mutex_);
    on_ready_ = nullptr;
  }
  Finish(absl::CancelledError("nobody watches any more"));
}

void FlowWatch::Add(const kernel::FlowRecord& flow, const FlowDelta& delta) {
  const bool has_baseline = last_reading_.has_value();
  if (!has_baseline && !delta.after_reading) return;
  if (query_.filter.Matches(flow)) collected_.Add(flow, delta.sums);
}

void FlowWatch::EndReading(const FlowReading& reading,
                           const FlowLosses& losses) {
  const bool is_baseline = !last_reading_.has_value();
  last_reading_ = reading;
  if (is_baseline) {
    due_ = absl::Floor(reading.boottime, interval_) + interval_;
    // Less than a whole interval is no frame.
    if (due_ - reading.boottime < interval_ / 2) due_ += interval_;
    absl::MutexLock lock(&mutex_);
    since_ = reading;
    return;
  }
  losses_ += losses;
  if (!IsDue(reading.boottime)) return;
  due_ = absl::Floor(reading.boottime, interval_) + interval_;
  {
    absl::MutexLock lock(&mutex_);
    finished_.Add(collected_);
    finished_losses_ += std::exchange(losses_, {});
    until_ = reading;
    ++frames_;
  }
  collected_.Clear();
  NotifyReady();
}

void FlowWatch::Finish(const absl::Status& status) {
  {
    absl::MutexLock lock(&mutex_);
    if (end_.has_value()) return;
    end_ = status;
  }
  NotifyReady();
}

void FlowWatch::NotifyReady() {
  absl::MutexLock lock(&ready_mutex_);
  if (on_ready_ != nullptr) on_ready_();
}

}  // namespace nfmeter::accounting
