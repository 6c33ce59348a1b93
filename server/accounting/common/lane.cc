// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/common/lane.h"

#include <pthread.h>

#include "absl/strings/str_cat.h"
#include "base/clock.h"
#include "base/error.h"

namespace nfmeter::accounting {

Lane::Lane(absl::string_view name, size_t capacity)
    : name_(name), capacity_(capacity), thread_([this] { Loop(); }) {}

Lane::~Lane() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  thread_.join();
}

void Lane::Done::Notify() {
  const std::lock_guard lock(mutex_);
  notified_ = true;
  changed_.notify_all();  // under the lock, as the waiter destroys this
}

bool Lane::Done::WaitUntil(absl::Duration boottime) {
  std::unique_lock lock(mutex_);
  const auto notified = [this] { return notified_; };
  if (boottime == absl::InfiniteDuration()) {
    changed_.wait(lock, notified);
    return true;
  }
  const absl::Duration left = boottime - SystemClock().BootTime();
  return changed_.wait_until(
      lock, std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(left),
      notified);
}

absl::Status Lane::Post(Priority priority, absl::AnyInvocable<void()> job) {
  return Queue(priority, std::move(job), /*waiter=*/nullptr);
}

absl::Status Lane::Queue(Priority priority, absl::AnyInvocable<void()> job,
                         const void* waiter) {
  absl::MutexLock lock(&mutex_);
  if (queues_[0].size() + queues_[1].size() >= capacity_) {
    return MakeError(
        absl::StatusCode::kResourceExhausted,
        absl::StrCat("the server already has ", capacity_,
                     " requests waiting for the kernel; try again later"),
        BoundDetails("LANE_FULL", capacity_, {{"lane", name_}}));
  }
  queues_[static_cast<size_t>(priority)].push_back(
      {std::move(job), std::chrono::steady_clock::now(), waiter});
  return absl::OkStatus();
}

bool Lane::TakeBack(Priority priority, const void* waiter) {
  absl::MutexLock lock(&mutex_);
  return std::erase_if(
             queues_[static_cast<size_t>(priority)],
             [&](const Queued& each) { return each.waiter == waiter; }) > 0;
}

size_t Lane::waiting() const {
  absl::MutexLock lock(&mutex_);
  return queues_[0].size() + queues_[1].size();
}

bool Lane::Ready() const {
  return stopping_ || !queues_[0].empty() || !queues_[1].empty();
}

std::optional<Lane::Queued> Lane::TakeNext() {
  auto& [urgent, normal] = queues_;
  auto& queue =
      urgent.empty() || (owes_turn_ && !normal.empty()) ? normal : urgent;
  if (queue.empty()) return std::nullopt;
  owes_turn_ = &queue == &urgent && !normal.empty();
  Queued next = std::move(queue.front());
  queue.pop_front();
  return next;
}

void Lane::Loop() {
  pthread_setname_np(pthread_self(), name_.c_str());
  while (true) {
    std::optional<Queued> next;
    {
      absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(this, &Lane::Ready));
      next = TakeNext();
    }
    if (!next.has_value()) return;  // stopping, and nothing left to do
    const auto begin = std::chrono::steady_clock::now();
    wait_times_.Add(begin - next->since);
    next->job();
    next.reset();  // to destroy what the job holds is part of its time
    run_times_.Add(std::chrono::steady_clock::now() - begin);
  }
}

}  // namespace nfmeter::accounting
