// SPDX-License-Identifier: GPL-3.0-or-later
// Threads that calls and streams are served on.
#ifndef NFMETER_SERVICE_GATE_WORK_THREADS_H_
#define NFMETER_SERVICE_GATE_WORK_THREADS_H_

#include <cstddef>
#include <deque>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "service/gate/fair_queue.h"

namespace nfmeter::service {

// Runs jobs on as many threads as have been needed at once so far, at least one
// and at most `max_threads`: in the order in which they came, but when all
// threads are busy callers take turns. gRPC does a write's transport work on
// the thread that starts it: it must be none that others wait for, such as the
// counter lane. Thread-safe.
class WorkThreads {
 public:
  // `name`, of at most 15 bytes, is what ps -T shows.
  WorkThreads(absl::string_view name, size_t max_threads);
  // Carries out what is queued, then ends the threads.
  ~WorkThreads();

  WorkThreads(const WorkThreads&) = delete;
  WorkThreads& operator=(const WorkThreads&) = delete;

  void Post(absl::AnyInvocable<void()> job);

  // Posts a job of the caller, unless `max_waiting` jobs wait for a thread, or
  // half as many of that caller, or there can be no thread; whether it did.
  [[nodiscard]] bool TryPost(absl::string_view caller,
                             absl::AnyInvocable<void()> job,
                             size_t max_waiting);

  struct Load {
    size_t waiting = 0;  // jobs without a thread
    size_t busy = 0;     // threads with one
  };
  Load load() const;

 private:
  using Job = FairQueue::Job;

  // Gives it to an idle thread, or to a new one; false, and the job is still
  // there: all are busy.
  bool Hand(Job& job) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // False: there may be, or can be, no more of them.
  bool StartThread() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool HasJob() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return !handed_.empty() || !waiting_.empty();
  }
  Job Take() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Loop();

  const std::string name_;
  const size_t max_threads_;
  mutable absl::Mutex mutex_;
  // Jobs that idle threads are about to take: not more than there are.
  std::deque<Job> handed_ ABSL_GUARDED_BY(mutex_);
  FairQueue waiting_ ABSL_GUARDED_BY(mutex_);
  size_t idle_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace nfmeter::service

#endif  // NFMETER_SERVICE_GATE_WORK_THREADS_H_
