// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/linux/conntrack/netlink_flow_deaths.h"

#include <errno.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/sock_diag.h>
#include <sys/socket.h>

#include <algorithm>
#include <utility>

#include "base/status_macros.h"
#include "kernel/errno_status.h"
#include "kernel/linux/conntrack/flow_codec.h"

namespace nfmeter::kernel {

absl::StatusOr<std::unique_ptr<FlowDeaths>> NetlinkFlowDeaths::Open(
    const NetworkNamespace& there, int receive_buffer_bytes) {
  NFM_ASSIGN_OR_RETURN(auto socket,
                       NetlinkSocket::OpenIn(there, receive_buffer_bytes));
  if (const int err = socket->Join(NFNLGRP_CONNTRACK_DESTROY); err != 0) {
    return ErrnoStatus(Operation::kFlowEvents, err, "ends of flows");
  }
  return std::unique_ptr<FlowDeaths>(new NetlinkFlowDeaths(std::move(socket)));
}

absl::StatusOr<FlowDeaths::Outcome> NetlinkFlowDeaths::Drain(OnFlow on_death) {
  Outcome outcome;
  while (true) {
    const NetlinkSocket::Received received = socket_->Receive();
    if (received.err == EAGAIN) break;
    if (received.err == ENOBUFS) {
      outcome.any_lost = true;
      continue;
    }
    if (received.err != 0) {
      return ErrnoStatus(Operation::kFlowEvents, received.err, "ends of flows");
    }
    FlowMessageReader reader(received.datagram);
    while (const FlowMessage* message = reader.Next()) {
      if (message->kind != FlowMessage::Kind::kDeath) continue;
      ++outcome.deaths;
      on_death(message->flow);
    }
  }
  // ENOBUFS gives no number; the socket's own count does.
  const uint32_t drops = socket_->Drops();
  outcome.lost = drops - std::exchange(drops_, drops);
  outcome.any_lost |= outcome.lost > 0;
  if (outcome.any_lost) outcome.lost = std::max<uint64_t>(outcome.lost, 1);
  return outcome;
}

}  // namespace nfmeter::kernel
