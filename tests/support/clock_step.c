// SPDX-License-Identifier: GPL-3.0-or-later
/* Preloaded into a program: one second after its start the wall clock, as the
   program sees it, steps by CLOCK_STEP seconds. Other clocks go on. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

static int (*real_clock_gettime)(clockid_t, struct timespec *);
static time_t start;
static long step;

__attribute__((constructor)) static void load(void) {
  struct timespec now;
  *(void **)&real_clock_gettime = dlsym(RTLD_NEXT, "clock_gettime");
  const char *text = getenv("CLOCK_STEP");
  step = text == NULL ? 0 : atol(text);
  real_clock_gettime(CLOCK_MONOTONIC, &now);
  start = now.tv_sec;
}

int clock_gettime(clockid_t id, struct timespec *time) {
  struct timespec now;
  if (real_clock_gettime == NULL) load();
  const int result = real_clock_gettime(id, time);
  if (result != 0 || (id != CLOCK_REALTIME && id != CLOCK_REALTIME_COARSE)) {
    return result;
  }
  real_clock_gettime(CLOCK_MONOTONIC, &now);
  if (now.tv_sec > start + 1) time->tv_sec += step;
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
