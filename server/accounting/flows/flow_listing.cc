// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/flows/flow_listing.h"

#include "absl/status/status.h"

namespace nfmeter::accounting {

void FlowListRoom::Add(size_t flows) {
  absl::MutexLock lock(&mutex_);
  held_ += flows;
}

void FlowListRoom::GiveBack(size_t flows) {
  absl::MutexLock lock(&mutex_);
  held_ -= flows;
}

bool FlowListRoom::HasRoom() const {
  absl::MutexLock lock(&mutex_);
  return held_ < max_flows_;
}

bool FlowListRoom::AwaitRoom(absl::Duration at_most) {
  absl::MutexLock lock(&mutex_);
  const auto has_room = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return held_ < max_flows_;
  };
  return mutex_.AwaitWithTimeout(absl::Condition(&has_room), at_most);
}

FlowListing::~FlowListing() {
  absl::MutexLock lock(&mutex_);
  room_.GiveBack(Forget());
}

FlowChunk FlowListing::Take() {
  FlowChunk chunk;
  {
    absl::MutexLock lock(&mutex_);
    if (chunks_.empty()) return nullptr;
    chunk = std::move(chunks_.front());
    chunks_.pop_front();
    waiting_ -= chunk->size();
  }
  room_.GiveBack(chunk->size());
  return chunk;
}

std::optional<absl::StatusOr<FlowReading>> FlowListing::End() const {
  absl::MutexLock lock(&mutex_);
  if (!chunks_.empty()) return std::nullopt;
  return end_;
}

void FlowListing::Cancel() {
  {
    absl::MutexLock lock(&ready_mutex_);
    on_ready_ = nullptr;
  }
  Finish(absl::CancelledError("nobody reads the list any more"));
}

void FlowListing::Put(FlowChunk chunk) {
  const size_t flows = chunk->size();
  {
    absl::MutexLock lock(&mutex_);
    if (end_.has_value()) return;
    waiting_ += flows;
    chunks_.push_back(std::move(chunk));
  }
  room_.Add(flows);
  absl::MutexLock lock(&ready_mutex_);
  NotifyReady();
}

void FlowListing::Finish(absl::StatusOr<FlowReading> end) {
  size_t forgotten = 0;
  {
    absl::MutexLock lock(&mutex_);
    if (end_.has_value()) return;
    // What came before an error is void.
    if (!end.ok()) forgotten = Forget();
    end_ = std::move(end);
  }
  room_.GiveBack(forgotten);
  absl::MutexLock lock(&ready_mutex_);
  NotifyReady();
}

size_t FlowListing::waiting() const {
  absl::MutexLock lock(&mutex_);
  return waiting_;
}

void FlowListing::NotifyReady() {
  if (on_ready_ != nullptr) on_ready_();
}

size_t FlowListing::Forget() {
  chunks_.clear();
  return std::exchange(waiting_, 0);
}

}  // namespace nfmeter::accounting
