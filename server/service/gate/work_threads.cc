// SPDX-License-Identifier: GPL-3.0-or-later
#include "service/gate/work_threads.h"

#include <pthread.h>

#include <system_error>
#include <utility>

namespace nfmeter::service {

WorkThreads::WorkThreads(absl::string_view name, size_t max_threads)
    : name_(name), max_threads_(max_threads) {
  // By the time there is work, others may have used up the host's limit of
  // threads.
  absl::MutexLock lock(&mutex_);
  StartThread();
}

WorkThreads::~WorkThreads() {
  std::vector<std::thread> threads;
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
    threads.swap(threads_);
  }
  for (std::thread& thread : threads) thread.join();
}

void WorkThreads::Post(Job job) {
  absl::MutexLock lock(&mutex_);
  if (!Hand(job)) waiting_.Push("", std::move(job));
}

bool WorkThreads::TryPost(absl::string_view caller, Job job,
                          size_t max_waiting) {
  absl::MutexLock lock(&mutex_);
  if (Hand(job)) return true;
  if (threads_.empty() || waiting_.size() >= max_waiting ||
      waiting_.SizeOf(caller) >= (max_waiting + 1) / 2) {
    return false;
  }
  waiting_.Push(caller, std::move(job));
  return true;
}

WorkThreads::Load WorkThreads::load() const {
  absl::MutexLock lock(&mutex_);
  return {.waiting = waiting_.size(),
          .busy = threads_.size() - idle_ + handed_.size()};
}

bool WorkThreads::Hand(Job& job) {
  if (handed_.size() == idle_ && !StartThread()) return false;
  handed_.push_back(std::move(job));
  return true;
}

bool WorkThreads::StartThread() {
  if (threads_.size() == max_threads_) return false;
  try {
    threads_.emplace_back([this] { Loop(); });
  } catch (const std::system_error&) {
    return false;  // a limit of the host's or the container's
  }
  ++idle_;
  return true;
}

WorkThreads::Job WorkThreads::Take() {
  if (handed_.empty()) return waiting_.Pop();
  Job job = std::move(handed_.front());
  handed_.pop_front();
  return job;
}

void WorkThreads::Loop() {
  pthread_setname_np(pthread_self(), name_.c_str());
  const auto ready = [this]() ABSL_NO_THREAD_SAFETY_ANALYSIS {
    return stopping_ || HasJob();
  };
  mutex_.Lock();
  while (true) {
    mutex_.Await(absl::Condition(&ready));
    if (!HasJob()) break;
    Job job = Take();
    --idle_;
    mutex_.Unlock();
    job();
    job = nullptr;  // without the lock, as destroying it may take long
    mutex_.Lock();
    ++idle_;
  }
  mutex_.Unlock();
}

}  // namespace nfmeter::service
