// SPDX-License-Identifier: GPL-3.0-or-later
// The ends of flows as the Linux kernel multicasts them.
#ifndef NFMETER_KERNEL_LINUX_CONNTRACK_NETLINK_FLOW_DEATHS_H_
#define NFMETER_KERNEL_LINUX_CONNTRACK_NETLINK_FLOW_DEATHS_H_

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "kernel/flow_table.h"
#include "kernel/linux/netlink/netlink_socket.h"

namespace nfmeter::kernel {

// Listens to NFNLGRP_CONNTRACK_DESTROY on a socket of its own. Never in the
// reliable mode, in which flows stay until somebody has read of their end: a
// reader that stops would fill the table.
class NetlinkFlowDeaths : public FlowDeaths {
 public:
  static absl::StatusOr<std::unique_ptr<FlowDeaths>> Open(
      const NetworkNamespace& there, int receive_buffer_bytes);

  absl::StatusOr<Outcome> Drain(OnFlow on_death) override;

 private:
  explicit NetlinkFlowDeaths(std::unique_ptr<NetlinkSocket> socket)
      : socket_(std::move(socket)) {}

  const std::unique_ptr<NetlinkSocket> socket_;
  uint32_t drops_ = 0;  // of the socket, when it was last drained
};

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_LINUX_CONNTRACK_NETLINK_FLOW_DEATHS_H_
