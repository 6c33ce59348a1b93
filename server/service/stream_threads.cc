#include "service/stream_threads.h"

#include <pthread.h>

#include <utility>

namespace nfmeter::service {

StreamThreads::StreamThreads(int threads) {
  for (int i = 0; i < threads; ++i) {
    threads_.emplace_back([this] { Loop(); });
  }
}

StreamThreads::~StreamThreads() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  for (std::thread& thread : threads_) thread.join();
}

void StreamThreads::Post(absl::AnyInvocable<void()> job) {
  absl::MutexLock lock(&mutex_);
  jobs_.push_back(std::move(job));
}

void StreamThreads::Loop() {
  pthread_setname_np(pthread_self(), "nfm-streams");
  auto ready = [this] { return stopping_ || !jobs_.empty(); };
  while (true) {
    absl::AnyInvocable<void()> job;
    {
      absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(&ready));
      if (jobs_.empty()) return;
      job = std::move(jobs_.front());
      jobs_.pop_front();
    }
    job();
  }
}

}  // namespace nfmeter::service
