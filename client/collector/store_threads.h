// SPDX-License-Identifier: Apache-2.0
// Threads that carry records into the sink.
#ifndef NFMETER_COLLECTOR_STORE_THREADS_H_
#define NFMETER_COLLECTOR_STORE_THREADS_H_

#include <deque>
#include <functional>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace nfmeter::collector {

// As many as the sink has connections. Thread-safe.
class StoreThreads {
 public:
  explicit StoreThreads(int count) {
    for (int i = 0; i < count; ++i) threads_.emplace_back([this] { Loop(); });
  }
  // Does what was posted first.
  ~StoreThreads() {
    {
      absl::MutexLock lock(&mutex_);
      ending_ = true;
    }
    for (std::thread& thread : threads_) thread.join();
  }
  StoreThreads(const StoreThreads&) = delete;
  StoreThreads& operator=(const StoreThreads&) = delete;

  // In turn. Whoever posts sees to it that it does so once at a time.
  void Post(std::function<void()> work) {
    absl::MutexLock lock(&mutex_);
    work_.push_back(std::move(work));
  }

 private:
  bool HasWork() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return !work_.empty() || ending_;
  }
  void Loop() {
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

  absl::Mutex mutex_;
  std::deque<std::function<void()>> work_ ABSL_GUARDED_BY(mutex_);
  bool ending_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace nfmeter::collector

#endif  // NFMETER_COLLECTOR_STORE_THREADS_H_
