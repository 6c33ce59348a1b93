// SPDX-License-Identifier: GPL-3.0-or-later
// Time, injected so that tests decide what time it is.
#ifndef NFMETER_BASE_CLOCK_H_
#define NFMETER_BASE_CLOCK_H_

#include <memory>

#include "absl/time/time.h"

namespace nfmeter {

// Wakes one thread at a time, or earlier when told to.
class Alarm {
 public:
  virtual ~Alarm() = default;

  // Waits until BootTime() is at least `boottime`, or Ring() was called since
  // the last wait. May return early. One thread at a time.
  virtual void WaitUntil(absl::Duration boottime) = 0;

  // Ends the present wait, or else the next one. Thread-safe.
  virtual void Ring() = 0;
};

// Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;

  // The wall clock. May jump; only shown, never computed with.
  virtual absl::Time WallTime() const = 0;

  // CLOCK_BOOTTIME: time since boot, suspend included. Never goes back.
  virtual absl::Duration BootTime() const = 0;

  // An alarm on BootTime(). The clock must outlive it.
  virtual std::unique_ptr<Alarm> NewAlarm() = 0;
};

// The system's clocks. Never destroyed.
Clock& SystemClock();

}  // namespace nfmeter

#endif  // NFMETER_BASE_CLOCK_H_
