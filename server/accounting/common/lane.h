// SPDX-License-Identifier: GPL-3.0-or-later
// A thread of its own that carries out one job at a time.
#ifndef NFMETER_ACCOUNTING_COMMON_LANE_H_
#define NFMETER_ACCOUNTING_COMMON_LANE_H_

#include <array>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/duration_histogram.h"

namespace nfmeter::accounting {

// Serialises what must not overlap: the counter lane keeps deletions out of
// dumps, the rule lanes keep each libiptc handle on one thread. Urgent jobs go
// before normal ones; long work is cut into several jobs so that they can.
// Where both wait all the time they take turns: nobody waits for ever.
//
// Thread-safe. Jobs must not wait for jobs of the same lane.
class Lane {
 public:
  enum class Priority { kUrgent, kNormal };

  // `name` is the thread's, up to 15 bytes. At most `capacity` jobs wait.
  Lane(absl::string_view name, size_t capacity);
  // Carries out what is queued, then ends the thread.
  ~Lane();

  Lane(const Lane&) = delete;
  Lane& operator=(const Lane&) = delete;

  // Queues a job. RESOURCE_EXHAUSTED, and no job, when the queue is full.
  absl::Status Post(Priority priority, absl::AnyInvocable<void()> job);

  // Queues `job`, waits for it and returns its result, an absl::Status or
  // absl::StatusOr; RESOURCE_EXHAUSTED when the queue is full.
  template <typename Job>
  std::invoke_result_t<Job> Run(Priority priority, Job&& job) {
    return *RunBefore(absl::InfiniteDuration(), priority,
                      std::forward<Job>(job));
  }

  // The same, but a job that has not begun when SystemClock().BootTime() is
  // `deadline` leaves the queue and never does: nullopt.
  template <typename Job>
  std::optional<std::invoke_result_t<Job>> RunBefore(absl::Duration deadline,
                                                     Priority priority,
                                                     Job&& job) {
    std::optional<std::invoke_result_t<Job>> result;
    Done done;
    const absl::Status queued = Queue(
        priority,
        [&] {
          result.emplace(job());
          done.Notify();
        },
        &done);
    if (!queued.ok()) return queued;
    if (!done.WaitUntil(deadline) && !TakeBack(priority, &done)) {
      done.WaitUntil(absl::InfiniteDuration());
    }
    return result;
  }

  const std::string& name() const { return name_; }
  size_t capacity() const { return capacity_; }
  // Jobs that wait.
  size_t waiting() const;
  // How long jobs waited, and how long they ran.
  const DurationHistogram& wait_times() const { return wait_times_; }
  const DurationHistogram& run_times() const { return run_times_; }

 private:
  // A notification with a deadline that no wall clock moves, as those of
  // absl::Notification and absl::Mutex do (Abseil 20220623). While the machine
  // sleeps it stands still.
  class Done {
   public:
    void Notify();
    // Whether it was notified by then.
    bool WaitUntil(absl::Duration boottime);

   private:
    std::mutex mutex_;
    std::condition_variable changed_;
    bool notified_ = false;
  };
  struct Queued {
    absl::AnyInvocable<void()> job;
    std::chrono::steady_clock::time_point since;
    const void* waiter = nullptr;  // who may take it back
  };

  absl::Status Queue(Priority priority, absl::AnyInvocable<void()> job,
                     const void* waiter);
  // False: it has begun.
  bool TakeBack(Priority priority, const void* waiter);
  void Loop();
  bool Ready() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Nullopt: nothing waits.
  std::optional<Queued> TakeNext() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::string name_;
  const size_t capacity_;
  DurationHistogram wait_times_;
  DurationHistogram run_times_;
  mutable absl::Mutex mutex_;
  std::array<std::deque<Queued>, 2> queues_ ABSL_GUARDED_BY(mutex_);
  // An urgent job has just gone before a normal one.
  bool owes_turn_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace nfmeter::accounting

#endif  // NFMETER_ACCOUNTING_COMMON_LANE_H_
