// SPDX-License-Identifier: GPL-3.0-or-later
// How long a change waits, and for whom.
#ifndef NFMETER_KERNEL_PATIENCE_H_
#define NFMETER_KERNEL_PATIENCE_H_

#include <functional>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace nfmeter::kernel {

// A deadline, by the time since boot of the system's clock (a wall clock that
// is set would make waits end at once or much too late), and a test of whether
// anybody still waits.
class Patience {
 public:
  // `abandoned`: whether nobody wants the answer any more; without it somebody
  // always does.
  Patience(  // NOLINT(google-explicit-constructor): a deadline is one
      absl::Duration deadline = absl::InfiniteDuration(),
      std::function<bool()> abandoned = nullptr)
      : deadline_(deadline), abandoned_(std::move(abandoned)) {}

  // For what must be done even after all waiting has been stopped: putting back
  // what a change has begun.
  static Patience ToTheEnd(absl::Duration deadline) {
    Patience patience(deadline);
    patience.stoppable_ = false;
    return patience;
  }

  // Of SystemClock().BootTime().
  absl::Duration deadline() const { return deadline_; }
  // Whether RuleTable::StopWaiting() ends the wait.
  bool stoppable() const { return stoppable_; }
  // CANCELLED: what is not done yet should not be done.
  absl::Status CheckWanted() const {
    return abandoned_ != nullptr && abandoned_()
               ? absl::CancelledError("the caller gave up; nothing was changed")
               : absl::OkStatus();
  }

 private:
  absl::Duration deadline_;
  std::function<bool()> abandoned_;
  bool stoppable_ = true;
};

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_PATIENCE_H_
