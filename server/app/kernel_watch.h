// SPDX-License-Identifier: GPL-3.0-or-later
// What the kernel can do, looked at again.
#ifndef NFMETER_APP_KERNEL_WATCH_H_
#define NFMETER_APP_KERNEL_WATCH_H_

#include <atomic>
#include <functional>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "kernel/kernel.h"
#include "telemetry/call_observer.h"

namespace nfmeter::app {

// Probes the kernel each kInterval, and soon after a call that failed for want
// of a part: modules may be loaded after the server has started. Parts that
// have come or gone are logged; those that went are a notice.
//
// Tick(), Start() and Probe() belong to one thread; all else is thread-safe.
// Does not own what it is given.
class KernelWatch final : public telemetry::CallObserver {
 public:
  static constexpr absl::Duration kInterval = absl::Minutes(1);
  // Between two probes that failed calls ask for.
  static constexpr absl::Duration kLeastInterval = absl::Seconds(2);

  explicit KernelWatch(Clock& clock) : clock_(clock) {}

  // `on_change` is called after each probe that has found something else.
  void Start(kernel::Kernel& kernel, std::function<void()> on_change);

  // Probes if it is time. To be called once a second or so.
  void Tick();
  // Probes now.
  void Probe();

  // A sentence about the parts that were there at the start and are missing;
  // empty: none.
  std::string Notice() const;

  void OnCallEnded(const telemetry::CallRecord& record) override;

 private:
  Clock& clock_;
  kernel::Kernel* kernel_ = nullptr;
  std::function<void()> on_change_;
  absl::Duration probed_;
  std::atomic<bool> wanted_ = false;
  mutable absl::Mutex mutex_;
  std::shared_ptr<const kernel::Capabilities> at_start_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace nfmeter::app

#endif  // NFMETER_APP_KERNEL_WATCH_H_
