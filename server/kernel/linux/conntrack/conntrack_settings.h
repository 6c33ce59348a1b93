// SPDX-License-Identifier: GPL-3.0-or-later
// The settings of connection tracking in /proc/sys/net/netfilter.
#ifndef NFMETER_KERNEL_LINUX_CONNTRACK_CONNTRACK_SETTINGS_H_
#define NFMETER_KERNEL_LINUX_CONNTRACK_CONNTRACK_SETTINGS_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/unique_fd.h"
#include "kernel/flow_types.h"

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

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_LINUX_CONNTRACK_CONNTRACK_SETTINGS_H_
