#include "service/work_threads.h"

#include <pthread.h>

#include <algorithm>
#include <utility>

namespace nfmeter::service {

WorkThreads::WorkThreads(absl::string_view name, size_t max_threads)
    : name_(name), max_threads_(max_threads) {}

WorkThreads::~WorkThreads() {
  std::vector<std::thread> threads;
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
    threads.swap(threads_);
  }
  for (std::thread& thread : threads) thread.join();
}

void WorkThreads::Post(absl::AnyInvocable<void()> job) {
  absl::MutexLock lock(&mutex_);
  PostLocked(std::move(job));
}

bool WorkThreads::TryPost(absl::AnyInvocable<void()> job, size_t max_waiting) {
  absl::MutexLock lock(&mutex_);
  if (jobs_.size() >= idle_ + max_waiting && threads_.size() == max_threads_) {
    return false;
  }
  PostLocked(std::move(job));
  return true;
}

WorkThreads::Load WorkThreads::load() const {
  absl::MutexLock lock(&mutex_);
  return {.waiting = jobs_.size() - std::min(jobs_.size(), idle_),
          .busy = threads_.size() - std::min(threads_.size(), idle_)};
}

void WorkThreads::PostLocked(absl::AnyInvocable<void()> job) {
  jobs_.push_back(std::move(job));
  if (jobs_.size() > idle_ && threads_.size() < max_threads_) {
    threads_.emplace_back([this] { Loop(); });
  }
}

void WorkThreads::Loop() {
  pthread_setname_np(pthread_self(), name_.c_str());
  const auto ready = [this]() ABSL_NO_THREAD_SAFETY_ANALYSIS {
    return stopping_ || !jobs_.empty();
  };
  while (true) {
    absl::AnyInvocable<void()> job;
    {
      absl::MutexLock lock(&mutex_);
      ++idle_;
      mutex_.Await(absl::Condition(&ready));
      --idle_;
      if (jobs_.empty()) return;
      job = std::move(jobs_.front());
      jobs_.pop_front();
    }
    job();
  }
}

}  // namespace nfmeter::service
