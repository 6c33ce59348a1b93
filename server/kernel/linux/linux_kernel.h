// SPDX-License-Identifier: GPL-3.0-or-later
// The kernel of this host.
#ifndef NFMETER_KERNEL_LINUX_LINUX_KERNEL_H_
#define NFMETER_KERNEL_LINUX_LINUX_KERNEL_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "base/clock.h"
#include "kernel/acct_names.h"
#include "kernel/kernel.h"
#include "kernel/linux/cgroup/cgroup_paths.h"
#include "kernel/linux/netlink/netlink_namespace.h"
#include "kernel/linux/xtables/xtables_lock.h"

namespace nfmeter::kernel {

// Accounting objects by nfnetlink_acct, rules by legacy iptables, flows by
// nf_conntrack_netlink. The one place that knows more than one of the
// mechanisms below kernel/linux. Thread-safe.
class LinuxKernel : public Kernel {
 public:
  // Opens a network namespace and probes all parts. A part that is missing is
  // no error; PERMISSION_DENIED: not even accounting objects may be read.
  // `choice`: why this one, for people.
  static absl::StatusOr<std::unique_ptr<LinuxKernel>> Open(
      Clock& clock = SystemClock(), std::string choice = "",
      const NetworkNamespace& network = {});

  AcctTable& acct() override { return *acct_; }
  AcctTable& rule_acct() override { return *rule_acct_; }
  RuleTable& rules() override { return *rules_; }
  RuleTable& rule_reads() override { return *rule_reads_; }
  FlowTable& flows() override { return *flows_; }
  CgroupTree& cgroups() override { return cgroups_; }
  std::vector<std::string> Notices() override;
  void KnowCounters(absl::Span<const std::string> names) override;
  std::string ToolName(absl::string_view counter) const override {
    return NfacctName(counter);
  }
  std::unique_ptr<RuleChangeWatch> WatchRuleChanges(
      std::function<void()> on_change) override {
    return XtablesLockWatch::Open(std::move(on_change));
  }
  absl::string_view acct_backend() const override { return "nfnetlink_acct"; }
  absl::string_view rule_backend() const override {
    return "legacy iptables (libiptc)";
  }

 private:
  LinuxKernel(Clock& clock, std::string choice, const NetworkNamespace& network)
      : clock_(clock), choice_(std::move(choice)), network_(network) {}

  Capabilities FindCapabilities() override;

  Clock& clock_;
  const std::string choice_;
  const NetworkNamespace network_;
  const std::shared_ptr<AcctNames> names_ = std::make_shared<AcctNames>();
  std::unique_ptr<AcctTable> acct_;
  std::unique_ptr<AcctTable> rule_acct_;
  std::unique_ptr<RuleTable> rules_;
  std::unique_ptr<RuleTable> rule_reads_;
  std::unique_ptr<FlowTable> flows_;
  LinuxCgroupTree cgroups_;

  absl::Mutex mutex_;
  std::vector<std::string> notices_ ABSL_GUARDED_BY(mutex_);
  absl::Duration notices_read_ ABSL_GUARDED_BY(mutex_) =
      -absl::InfiniteDuration();
};

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_LINUX_LINUX_KERNEL_H_
