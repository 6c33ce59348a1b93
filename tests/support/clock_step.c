// SPDX-License-Identifier: GPL-3.0-or-later
/* Preloaded into a program: one second after its start the wall clock, as the
   program sees it, steps by CLOCK_STEP seconds. Other clocks go on. Waits for a
   time of day (futexes with FUTEX_CLOCK_REALTIME, as those of Abseil and of
   gRPC with it) follow the clock, as the kernel's do. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <linux/futex.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>

static int (*real_clock_gettime)(clockid_t, struct timespec *);
static long (*real_syscall)(long, ...);
static time_t start;
static long step;

__attribute__((constructor)) static void load(void) {
  struct timespec now;
  *(void **)&real_syscall = dlsym(RTLD_NEXT, "syscall");
  *(void **)&real_clock_gettime = dlsym(RTLD_NEXT, "clock_gettime");
  const char *text = getenv("CLOCK_STEP");
  step = text == NULL ? 0 : atol(text);
  real_clock_gettime(CLOCK_MONOTONIC, &now);
  start = now.tv_sec;
}

static long step_now(void) {
  struct timespec now;
  real_clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec > start + 1 ? step : 0;
}

int clock_gettime(clockid_t id, struct timespec *time) {
  if (real_clock_gettime == NULL) load();
  const int result = real_clock_gettime(id, time);
  if (result == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) {
    time->tv_sec += step_now();
  }
  return result;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone) {
  struct timespec now;
  (void)zone;
  clock_gettime(CLOCK_REALTIME, &now);
  time->tv_sec = now.tv_sec;
  time->tv_usec = now.tv_nsec / 1000;
  return 0;
}

time_t time(time_t *result) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (result != NULL) *result = now.tv_sec;
  return now.tv_sec;
}

static int is_before(const struct timespec *a, const struct timespec *b) {
  return a->tv_sec != b->tv_sec ? a->tv_sec < b->tv_sec
                                : a->tv_nsec < b->tv_nsec;
}

/* A wait until a time of day: in slices, after each of which the clock is looked
   at again. */
static long wait_until(const long *a) {
  const struct timespec *until = (const struct timespec *)a[3];
  for (;;) {
    struct timespec now, slice;
    clock_gettime(CLOCK_REALTIME, &now);
    if (!is_before(&now, until)) {
      errno = ETIMEDOUT;
      return -1;
    }
    real_clock_gettime(CLOCK_REALTIME, &slice);
    slice.tv_nsec += 20 * 1000 * 1000;
    if (slice.tv_nsec >= 1000 * 1000 * 1000) {
      slice.tv_nsec -= 1000 * 1000 * 1000;
      ++slice.tv_sec;
    }
    struct timespec real_until = *until;
    real_until.tv_sec -= step_now();
    const long result =
        real_syscall(SYS_futex, a[0], a[1], a[2],
                     is_before(&slice, &real_until) ? &slice : &real_until,
                     a[4], a[5]);
    if (result != -1 || errno != ETIMEDOUT) return result;
  }
}

long syscall(long number, ...) {
  va_list arguments;
  long a[6];
  va_start(arguments, number);
  for (int i = 0; i < 6; ++i) a[i] = va_arg(arguments, long);
  va_end(arguments);
  if (real_syscall == NULL) load();
  if (number == SYS_futex && (a[1] & FUTEX_CLOCK_REALTIME) != 0 && a[3] != 0) {
    return wait_until(a);
  }
  return real_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
