// Time, injected so that tests decide what time it is.
#ifndef NFMETER_BASE_CLOCK_H_
#define NFMETER_BASE_CLOCK_H_

#include "absl/time/time.h"

namespace nfmeter {

// Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;

  // The wall clock. May jump; only shown, never computed with.
  virtual absl::Time WallTime() const = 0;

  // CLOCK_BOOTTIME: time since boot, suspend included. Never goes back.
  virtual absl::Duration BootTime() const = 0;
};

// The system's clocks. Never destroyed.
Clock& SystemClock();

}  // namespace nfmeter

#endif  // NFMETER_BASE_CLOCK_H_
