// SPDX-License-Identifier: GPL-3.0-or-later
// Who else uses the xtables lock.
#ifndef NFMETER_KERNEL_LINUX_XTABLES_XTABLES_LOCK_WATCH_H_
#define NFMETER_KERNEL_LINUX_XTABLES_XTABLES_LOCK_WATCH_H_

#include <functional>
#include <memory>
#include <thread>

#include "base/unique_fd.h"
#include "kernel/kernel.h"

namespace nfmeter::kernel {

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

#endif  // NFMETER_KERNEL_LINUX_XTABLES_XTABLES_LOCK_WATCH_H_
