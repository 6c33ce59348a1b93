// SPDX-License-Identifier: GPL-3.0-or-later
// The wall clock is set while the server waits.
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <string>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/unique_fd.h"
#include "gmock/gmock.h"
#include "kernel/linux/xtables/xtables_lock.h"
#include "tests/support/status_matchers.h"
#include "tests/support/subprocess.h"

namespace {

// From this boottime on, in nanoseconds, the wall clock of this process is an
// hour ahead.
std::atomic<int64_t> step_at = INT64_MAX;

int64_t BootNanoseconds() {
  return absl::ToInt64Nanoseconds(nfmeter::SystemClock().BootTime());
}

}  // namespace

// Stands before libc's, for all that is linked here.
extern "C" int clock_gettime(clockid_t clock, timespec* time) noexcept {
  const int result = static_cast<int>(syscall(SYS_clock_gettime, clock, time));
  if (result == 0 && clock == CLOCK_REALTIME && step_at != INT64_MAX &&
      BootNanoseconds() >= step_at) {
    time->tv_sec += 3600;
  }
  return result;
}

namespace nfmeter::kernel {
namespace {

using ::nfmeter::testing::HasReason;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(WallClockTest, AStepDuringAWaitForTheXtablesLockIsNoWaiting) {
  const testing::TemporaryDirectory dir;
  const std::string path = dir / "xtables.lock";
  setenv("XTABLES_LOCKFILE", path.c_str(), 1);
  const UniqueFd holder(
      open(path.c_str(), O_RDONLY | O_CREAT | O_CLOEXEC, 0600));
  ASSERT_EQ(flock(holder.get(), LOCK_EX), 0);

  const absl::Time before = absl::Now();
  step_at =
      BootNanoseconds() + absl::ToInt64Nanoseconds(absl::Milliseconds(200));
  const auto lock =
      XtablesLock::Acquire(SystemClock().BootTime() + absl::Milliseconds(500));
  ASSERT_GE(absl::Now() - before, absl::Hours(1)) << "the clock did not jump";
  EXPECT_THAT(lock, HasReason("XTABLES_LOCK_HELD"));
  EXPECT_THAT(std::string(lock.status().message()), Not(HasSubstr("1h")));
  EXPECT_LT(XtablesLockWaits().Read().sum, 60);
}

}  // namespace
}  // namespace nfmeter::kernel
