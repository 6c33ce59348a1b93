// SPDX-License-Identifier: GPL-3.0-or-later
// The lock that all well-behaved users of iptables on a host share.
#ifndef NFMETER_KERNEL_LINUX_XTABLES_XTABLES_LOCK_H_
#define NFMETER_KERNEL_LINUX_XTABLES_XTABLES_LOCK_H_

#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/duration_histogram.h"
#include "base/unique_fd.h"
#include "kernel/kernel.h"

namespace nfmeter::kernel {

class WakeTimer;

// Ends waits for the lock before their time. Thread-safe; outlives the waits.
class XtablesLockInterrupter {
 public:
  // The wait under way ends now, and later ones at once, as at their deadline.
  void Interrupt();
  bool interrupted() const;

 private:
  friend class XtablesLock;

  void SetWaiting(WakeTimer* timer);

  mutable absl::Mutex mutex_;
  bool interrupted_ ABSL_GUARDED_BY(mutex_) = false;
  WakeTimer* waiting_ ABSL_GUARDED_BY(mutex_) = nullptr;
};

// Holds flock(2) on $XTABLES_LOCKFILE, or /run/xtables.lock, for as long as it
// lives, as iptables does (xtables_lock() in iptables/xshared.c): both exclude
// each other, and so do two of these. The kernel itself checks only that the
// number of rules has not changed.
//
// Not thread-safe.
class XtablesLock {
 public:
  // Waits in the kernel's queue, so that a loop of other programs can't starve
  // us, until the clock's BootTime() is `deadline` at the latest. UNAVAILABLE,
  // XTABLES_LOCK_HELD: held by others until then; the sentence names the holder
  // if /proc/locks does. Other statuses: the file can't be opened.
  static absl::StatusOr<XtablesLock> Acquire(
      absl::Duration deadline, XtablesLockInterrupter* interrupter = nullptr);

 private:
  explicit XtablesLock(UniqueFd file) : file_(std::move(file)) {}

  static int LockUntil(int fd, absl::Duration deadline,
                       XtablesLockInterrupter& interrupter);

  UniqueFd file_;
};

// How long this process waited for the lock, each time that it took it or gave
// up.
const DurationHistogram& XtablesLockWaits();

// Whether it could be taken, were it free: that its file can be opened. The
// status of Acquire() otherwise.
absl::Status ProbeXtablesLock();

// Which file it is.
std::string XtablesLockPath();

// The kernel tells nobody that tables of x_tables have changed. But whoever
// changes them takes the lock, and closes its file then (inotify(7)): so a
// change by iptables is known a moment later. Programs that take no lock are
// not seen; changes by this process are.
class XtablesLockWatch final : public RuleChangeWatch {
 public:
  // Null: the file is not there, or can't be watched.
  static std::unique_ptr<XtablesLockWatch> Open(
      std::function<void()> on_change);
  ~XtablesLockWatch() override;

 private:
  XtablesLockWatch(UniqueFd events, UniqueFd stop,
                   std::function<void()> on_change);

  void Loop();
  // Reads all events that wait. False: none.
  bool Drain();
  // Until something happens, or the time is over; -1: for good. False: it ends.
  bool Wait(int milliseconds);

  const UniqueFd events_;
  const UniqueFd stop_;
  const std::function<void()> on_change_;
  std::thread thread_;
};

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_LINUX_XTABLES_XTABLES_LOCK_H_
