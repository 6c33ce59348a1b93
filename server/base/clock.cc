// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/clock.h"

#include <poll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>

#include "absl/time/clock.h"
#include "base/unique_fd.h"

namespace nfmeter {
namespace {

// A timer of the kernel, because absl::Mutex and condition variables wait by
// clocks that jump or stop in suspend.
class TimerAlarm final : public Alarm {
 public:
  TimerAlarm() : fd_(timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC)) {
    if (!fd_.valid()) {
      perror("nfmeter: timerfd_create");
      abort();
    }
  }

  void WaitUntil(absl::Duration boottime) override {
    // Armed before the flag is looked at: a Ring() in between either is seen
    // here or arms the timer after us.
    Arm(boottime);
    if (rung_.exchange(false)) return;
    pollfd timer{.fd = fd_.get(), .events = POLLIN};
    poll(&timer, 1, -1);
    rung_.store(false);
  }

  void Ring() override {
    rung_.store(true);
    Arm(absl::ZeroDuration());
  }

 private:
  void Arm(absl::Duration boottime) {
    itimerspec at{};
    // All zero would disarm it, which is what an infinite wait wants.
    if (boottime != absl::InfiniteDuration()) {
      at.it_value = absl::ToTimespec(boottime);
      if (boottime <= absl::ZeroDuration()) at.it_value = {0, 1};
    }
    timerfd_settime(fd_.get(), TFD_TIMER_ABSTIME, &at, nullptr);
  }

  const UniqueFd fd_;
  std::atomic<bool> rung_ = false;
};

class KernelClock final : public Clock {
 public:
  absl::Time WallTime() const override { return absl::Now(); }

  absl::Duration BootTime() const override {
    timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return absl::DurationFromTimespec(now);
  }

  std::unique_ptr<Alarm> NewAlarm() override {
    return std::make_unique<TimerAlarm>();
  }
};

}  // namespace

Clock& SystemClock() {
  static KernelClock* const clock = new KernelClock;
  return *clock;
}

}  // namespace nfmeter
