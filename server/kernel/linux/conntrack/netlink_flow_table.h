// SPDX-License-Identifier: GPL-3.0-or-later
// Connection tracking of the Linux kernel, over netlink.
#ifndef NFMETER_KERNEL_LINUX_CONNTRACK_NETLINK_FLOW_TABLE_H_
#define NFMETER_KERNEL_LINUX_CONNTRACK_NETLINK_FLOW_TABLE_H_

#include <memory>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/unique_fd.h"
#include "kernel/flow_table.h"
#include "kernel/flow_types.h"
#include "kernel/linux/netlink/netlink_namespace.h"

namespace nfmeter::kernel {

// Those of the network namespace of the thread that opens it: /proc/sys/net
// shows each thread its own namespace's, and what is open stays that one's.
// Thread-safe.
class ConntrackSettings {
 public:
  // Opens what is there. What is not answers UNIMPLEMENTED later.
  ConntrackSettings();

  // UNIMPLEMENTED (CONNTRACK_UNAVAILABLE): nf_conntrack is not in this kernel,
  // or was not when this was opened.
  absl::StatusOr<FlowTracking> Read() const;

  // nf_conntrack_buckets; 0 when it can't be read.
  uint32_t Buckets() const;

  // Turns accounting and timestamps on, in the namespace of the calling thread.
  // FAILED_PRECONDITION (CONNTRACK_SETTINGS_READ_ONLY).
  absl::Status EnableAccounting() const;

 private:
  // 0 where it is not there.
  static uint32_t Number(const UniqueFd& setting);

  const UniqueFd accounting_;
  const UniqueFd timestamps_;
  const UniqueFd events_;
  const UniqueFd flows_;
  const UniqueFd max_flows_;
  const UniqueFd buckets_;
};

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
