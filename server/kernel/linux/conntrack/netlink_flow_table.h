// SPDX-License-Identifier: GPL-3.0-or-later
// Connection tracking of the Linux kernel, over netlink.
#ifndef NFMETER_KERNEL_LINUX_CONNTRACK_NETLINK_FLOW_TABLE_H_
#define NFMETER_KERNEL_LINUX_CONNTRACK_NETLINK_FLOW_TABLE_H_

#include <memory>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "kernel/flow_table.h"
#include "kernel/linux/conntrack/conntrack_settings.h"
#include "kernel/linux/netlink/netlink_namespace.h"

namespace nfmeter::kernel {

// nf_conntrack_netlink. Thread-safe: each dump and each subscription has a
// socket of its own. Needs CAP_NET_ADMIN at each call.
class NetlinkFlowTable : public FlowTable {
 public:
  struct Options {
    // How many bytes of deaths the kernel keeps for each subscription that are
    // not read yet: about 1,200 each.
    int death_buffer_bytes = 32 << 20;
  };

  // For the network namespace of the calling thread. Succeeds without
  // nf_conntrack_netlink and without privileges; Probe() tells.
  static std::unique_ptr<NetlinkFlowTable> Open(const Options& options);
  static std::unique_ptr<NetlinkFlowTable> Open() { return Open(Options()); }

  absl::Status Probe() override;
  absl::StatusOr<FlowTracking> Tracking() override;
  absl::Status EnableAccounting() override;
  absl::StatusOr<FlowDumpOutcome> Dump(
      const FlowDumpFilter& filter, OnFlow on_flow,
      absl::FunctionRef<FlowDumpStep()> between) override;
  absl::StatusOr<std::unique_ptr<FlowDeaths>> WatchDeaths() override;

 private:
  explicit NetlinkFlowTable(const Options& options) : options_(options) {}

  const Options options_;
  const NetworkNamespace namespace_;
  std::unique_ptr<const ConntrackSettings> settings_;
};

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_LINUX_CONNTRACK_NETLINK_FLOW_TABLE_H_
