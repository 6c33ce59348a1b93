// SPDX-License-Identifier: GPL-3.0-or-later
// A clock that stands still until a test moves it.
#ifndef NFMETER_TESTS_SUPPORT_FAKE_CLOCK_H_
#define NFMETER_TESTS_SUPPORT_FAKE_CLOCK_H_

#include <algorithm>
#include <map>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/clock.h"

namespace nfmeter::testing {

// Starts at boottime 1,000 s, on 2026-01-01. Thread-safe.
class FakeClock final : public Clock {
 public:
  FakeClock() = default;
  // Starts so much later.
  explicit FakeClock(absl::Duration later) { Advance(later); }

  absl::Time WallTime() const override {
    absl::MutexLock lock(&mutex_);
    return wall_time_;
  }

  absl::Duration BootTime() const override {
    absl::MutexLock lock(&mutex_);
    return boottime_;
  }

  std::unique_ptr<Alarm> NewAlarm() override {
    return std::make_unique<FakeAlarm>(this);
  }

  // Moves both clocks, and wakes whoever waits for a time that is now past.
  void Advance(absl::Duration by) {
    absl::MutexLock lock(&mutex_);
    AdvanceLocked(by);
  }

  // The same, but only if all waiters sleep on, and one of them for a time to
  // come; false: they have something to do, or nothing to do with time.
  bool AdvanceSleepers(absl::Duration by) {
    absl::MutexLock lock(&mutex_);
    if (!IsAsleep() || waiting_.begin()->first == absl::InfiniteDuration()) {
      return false;
    }
    AdvanceLocked(by);
    return true;
  }

  // Waits until somebody waits, and nobody has anything to do.
  void AwaitSleepers() {
    absl::MutexLock lock(&mutex_);
    auto asleep = [this] { return IsAsleep(); };
    mutex_.Await(absl::Condition(&asleep));
  }

  // The wall clock alone.
  void JumpWallTime(absl::Duration by) {
    absl::MutexLock lock(&mutex_);
    wall_time_ += by;
  }

  // Waits until some alarm waits for exactly this time; infinite: until one
  // waits for Ring() only.
  void AwaitWaiter(absl::Duration boottime) {
    absl::MutexLock lock(&mutex_);
    auto waits = [this, boottime] {
      return waiting_.find(boottime) != waiting_.end();
    };
    mutex_.Await(absl::Condition(&waits));
  }

 private:
  class FakeAlarm final : public Alarm {
   public:
    explicit FakeAlarm(FakeClock* clock) : clock_(clock) {}

    void WaitUntil(absl::Duration boottime) override {
      absl::MutexLock lock(&clock_->mutex_);
      auto due = [this, boottime] { return IsDue(boottime); };
      const auto waiting = clock_->waiting_.emplace(boottime, this);
      clock_->mutex_.Await(absl::Condition(&due));
      clock_->waiting_.erase(waiting);
      rung_ = false;
    }

    void Ring() override {
      absl::MutexLock lock(&clock_->mutex_);
      rung_ = true;
    }

    // With the clock's mutex held.
    bool IsDue(absl::Duration boottime) const {
      return rung_ || clock_->boottime_ >= boottime;
    }

   private:
    FakeClock* const clock_;
    bool rung_ = false;  // guarded by the clock's mutex
  };

  void AdvanceLocked(absl::Duration by) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    wall_time_ += by;
    boottime_ += by;
  }

  bool IsAsleep() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return !waiting_.empty() &&
           std::none_of(waiting_.begin(), waiting_.end(), [](const auto& each) {
             return each.second->IsDue(each.first);
           });
  }

  mutable absl::Mutex mutex_;
  absl::Time wall_time_ ABSL_GUARDED_BY(mutex_) =
      absl::FromUnixSeconds(1'767'225'600);
  absl::Duration boottime_ ABSL_GUARDED_BY(mutex_) = absl::Seconds(1'000);
  std::multimap<absl::Duration, const FakeAlarm*> waiting_
      ABSL_GUARDED_BY(mutex_);
};

}  // namespace nfmeter::testing

#endif  // NFMETER_TESTS_SUPPORT_FAKE_CLOCK_H_
