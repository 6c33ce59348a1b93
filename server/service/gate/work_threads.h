// SPDX-License-Identifier: GPL-3.0-or-later
// Threads that calls and streams are served on.
#ifndef NFMETER_SERVICE_GATE_WORK_THREADS_H_
#define NFMETER_SERVICE_GATE_WORK_THREADS_H_

#include <cstddef>
#include <deque>
#include <iterator>
#include <list>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/functional/any_invocable.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"

namespace nfmeter::service {

// Takes jobs of several callers and gives them out in turn: one of each caller
// that has any, each caller's in the order in which they came. Not thread-safe.
class FairQueue {
 public:
  using Job = absl::AnyInvocable<void()>;

  bool empty() const { return size_ == 0; }
  size_t size() const { return size_; }
  size_t SizeOf(absl::string_view caller) const {
    const auto found = places_.find(caller);
    return found == places_.end() ? 0 : found->second->jobs.size();
  }

  void Push(absl::string_view caller, Job job) {
    auto found = places_.find(caller);
    if (found == places_.end()) {
      turns_.push_back({.name = std::string(caller)});
      const auto last = std::prev(turns_.end());
      found = places_.emplace(last->name, last).first;
    }
    found->second->jobs.push_back(std::move(job));
    ++size_;
  }

  // Not when empty().
  Job Pop() {
    const auto first = turns_.begin();
    Job job = std::move(first->jobs.front());
    first->jobs.pop_front();
    --size_;
    if (first->jobs.empty()) {
      places_.erase(first->name);
      turns_.erase(first);
    } else {
      turns_.splice(turns_.end(), turns_, first);
    }
    return job;
  }

 private:
  struct Caller {
    std::string name;
    std::deque<Job> jobs;  // never empty
  };

  std::list<Caller> turns_;  // whose is next
  // By the names in turns_, which stay where they are.
  absl::flat_hash_map<absl::string_view, std::list<Caller>::iterator> places_;
  size_t size_ = 0;
};

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
