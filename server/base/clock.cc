#include "base/clock.h"

#include <time.h>

#include "absl/time/clock.h"

namespace nfmeter {
namespace {

class KernelClock final : public Clock {
 public:
  absl::Time WallTime() const override { return absl::Now(); }

  absl::Duration BootTime() const override {
    timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return absl::DurationFromTimespec(now);
  }
};

}  // namespace

Clock& SystemClock() {
  static KernelClock* const clock = new KernelClock;
  return *clock;
}

}  // namespace nfmeter
