// SPDX-License-Identifier: Apache-2.0
#include "collector/store_threads.h"

#include <utility>

namespace nfmeter::collector {

StoreThreads::StoreThreads(int count) {
  for (int i = 0; i < count; ++i) {
    threads_.emplace_back([this] { Loop(); });
  }
}

StoreThreads::~StoreThreads() {
  {
    absl::MutexLock lock(&mutex_);
    ending_ = true;
  }
  for (std::thread& thread : threads_) thread.join();
}

void StoreThreads::Post(std::function<void()> work) {
  absl::MutexLock lock(&mutex_);
  work_.push_back(std::move(work));
}

void StoreThreads::Loop() {
  for (;;) {
    std::function<void()> work;
    {
      absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(this, &StoreThreads::HasWork));
      if (work_.empty()) return;
      work = std::move(work_.front());
      work_.pop_front();
    }
    work();
  }
}

}  // namespace nfmeter::collector
