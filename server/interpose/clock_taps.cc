// SPDX-License-Identifier: GPL-3.0-or-later
// Between Abseil's waits and the wall clock.
//
// A wait of bounded length (absl::CondVar, and with it gRPC 1.51's timers) is a
// futex that ends at a time of day: Abseil 20220623 knows no other. When
// somebody sets the clock back, those under way are longer by as much. gRPC's
// timers then stand still, and with them its handshake timeout, keepalive and
// connection age. Programs come before libraries when the dynamic linker looks
// for a function, so the one of this file, which is part of nfmeterd alone, is
// called instead of libc's: it has the same wait end by CLOCK_MONOTONIC.
//
// What an Abseil to come does by itself is not touched.
// tests/system/wall_clock_test.cc says whether this is needed.
#include <dlfcn.h>
#include <linux/futex.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>

namespace {

constexpr int64_t kNanosecondsPerSecond = 1'000'000'000;

using Syscall = long(long, ...);  // NOLINT(google-runtime-int): libc's

// The function that this file's hides. Not a static inside a function, because
// the lock around its initialization may call syscall() itself.
Syscall* real = nullptr;

__attribute__((constructor(101))) void FindReal() {
  real = reinterpret_cast<Syscall*>(dlsym(RTLD_NEXT, "syscall"));
}

int64_t Now(clockid_t clock) {
  timespec now = {};
  clock_gettime(clock, &now);
  return now.tv_sec * kNanosecondsPerSecond + now.tv_nsec;
}

// A time of day as the same moment by CLOCK_MONOTONIC.
timespec ByMonotonicClock(const timespec& until) {
  // What lies further ahead than a century would not fit.
  constexpr int64_t kMostSeconds = int64_t{100} * 365 * 24 * 3600;
  const int64_t today = Now(CLOCK_REALTIME);
  const int64_t seconds = until.tv_sec - today / kNanosecondsPerSecond;
  const int64_t wait =
      seconds > kMostSeconds ? kMostSeconds * kNanosecondsPerSecond
      : seconds < -kMostSeconds
          ? 0
          : until.tv_sec * kNanosecondsPerSecond + until.tv_nsec - today;
  const int64_t end = Now(CLOCK_MONOTONIC) + (wait > 0 ? wait : 0);
  return {.tv_sec = end / kNanosecondsPerSecond,
          .tv_nsec = end % kNanosecondsPerSecond};
}

// A wait with a bound, which is a time of day.
bool IsWaitForTimeOfDay(long number,  // NOLINT(google-runtime-int)
                        const uintptr_t* arguments) {
  return number == SYS_futex && arguments[3] != 0 &&
         (arguments[1] & FUTEX_CMD_MASK) == FUTEX_WAIT_BITSET &&
         (arguments[1] & FUTEX_CLOCK_REALTIME) != 0;
}

}  // namespace

// NOLINTBEGIN(google-runtime-int,cert-dcl50-cpp): as libc declares it.
extern "C" __attribute__((visibility("default"))) long syscall(long number,
                                                               ...) noexcept {
  uintptr_t a[6];
  va_list arguments;
  va_start(arguments, number);
  for (uintptr_t& each : a) each = va_arg(arguments, uintptr_t);
  va_end(arguments);
  if (real == nullptr) FindReal();
  timespec until;
  if (IsWaitForTimeOfDay(number, a)) {
    until = ByMonotonicClock(*reinterpret_cast<const timespec*>(a[3]));
    a[1] &= ~uintptr_t{FUTEX_CLOCK_REALTIME};
    a[3] = reinterpret_cast<uintptr_t>(&until);
  }
  return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
// NOLINTEND(google-runtime-int,cert-dcl50-cpp)
