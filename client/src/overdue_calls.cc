// SPDX-License-Identifier: Apache-2.0
#include "client/src/overdue_calls.h"

#include <algorithm>

namespace nfmeter::client_internal {
namespace {

using std::chrono::steady_clock;

// gRPC's own deadline, whose status says more, comes first.
constexpr absl::Duration kGrace = absl::Milliseconds(500);
constexpr absl::Duration kMostWait = absl::Hours(100 * 365 * 24);

steady_clock::time_point EndOf(absl::Duration wait) {
  const absl::Duration until =
      std::clamp(wait, absl::ZeroDuration(), kMostWait) + kGrace;
  return steady_clock::now() + absl::ToChronoMicroseconds(until);
}

}  // namespace

std::shared_ptr<OverdueCalls> OverdueCalls::Shared() {
  static std::mutex& mutex = *new std::mutex;
  static std::weak_ptr<OverdueCalls>& shared = *new std::weak_ptr<OverdueCalls>;
  const std::lock_guard<std::mutex> lock(mutex);
  std::shared_ptr<OverdueCalls> calls = shared.lock();
  if (calls == nullptr)
    shared = calls = std::shared_ptr<OverdueCalls>(new OverdueCalls);
  return calls;
}

OverdueCalls::OverdueCalls() : thread_([this] { Loop(); }) {}

OverdueCalls::~OverdueCalls() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void OverdueCalls::Loop() {
  std::unique_lock<std::mutex> lock(mutex_);
  while (!stopping_) {
    Watch* const first = watches_.empty() ? nullptr : *watches_.begin();
    if (first == nullptr) {
      wakes_ = steady_clock::time_point::max();
      changed_.wait(lock);
    } else if (first->end_ > steady_clock::now()) {
      wakes_ = first->end_;
      changed_.wait_until(lock, steady_clock::time_point(wakes_));
    } else {
      watches_.erase(watches_.begin());
      first->cancelled_ = true;
      // Under the lock, as the context may be gone after it.
      first->context_.TryCancel();
    }
  }
}

OverdueCalls::Watch::Watch(OverdueCalls& calls, grpc::ClientContext& context,
                           absl::Duration wait)
    : calls_(calls), context_(context), end_(EndOf(wait)) {
  const std::lock_guard<std::mutex> lock(calls_.mutex_);
  calls_.watches_.insert(this);
  // Calls that are over do not wake the thread, nor do those that end later
  // than it looks anyway: a call costs an entry in a set.
  if (end_ >= calls_.wakes_) return;
  calls_.wakes_ = end_;
  calls_.changed_.notify_all();
}

OverdueCalls::Watch::~Watch() {
  const std::lock_guard<std::mutex> lock(calls_.mutex_);
  calls_.watches_.erase(this);
}

grpc::Status OverdueCalls::Watch::Ended(const grpc::Status& status) const {
  const std::lock_guard<std::mutex> lock(calls_.mutex_);
  if (!cancelled_ || status.error_code() != grpc::StatusCode::CANCELLED) {
    return status;
  }
  return grpc::Status(grpc::StatusCode::DEADLINE_EXCEEDED, "Deadline Exceeded");
}

}  // namespace nfmeter::client_internal
