// SPDX-License-Identifier: GPL-3.0-or-later
// The settings of connection tracking in /proc/sys/net/netfilter.
#ifndef NFMETER_KERNEL_LINUX_CONNTRACK_CONNTRACK_SETTINGS_H_
#define NFMETER_KERNEL_LINUX_CONNTRACK_CONNTRACK_SETTINGS_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernel/flow_types.h"

namespace nfmeter::kernel {

// Those of the network namespace of the thread that opens it: /proc/sys/net
// shows each thread its own namespace's, and what is open stays that one's.
// Thread-safe.
class ConntrackSettings {
 public:
  // Opens what is there. What is not answers UNIMPLEMENTED later.
  ConntrackSettings();
  ~ConntrackSettings();
  ConntrackSettings(const ConntrackSettings&) = delete;
  ConntrackSettings& operator=(const ConntrackSettings&) = delete;

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
  uint32_t Number(int fd) const;

  const int accounting_;
  const int timestamps_;
  const int events_;
  const int flows_;
  const int max_flows_;
  const int buckets_;
};

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_LINUX_CONNTRACK_CONNTRACK_SETTINGS_H_
