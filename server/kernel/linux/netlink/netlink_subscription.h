// SPDX-License-Identifier: GPL-3.0-or-later
// What the kernel multicasts, waited for until somebody calls it off.
#ifndef NFMETER_KERNEL_LINUX_NETLINK_NETLINK_SUBSCRIPTION_H_
#define NFMETER_KERNEL_LINUX_NETLINK_NETLINK_SUBSCRIPTION_H_

#include <atomic>
#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "base/unique_fd.h"
#include "kernel/linux/netlink/netlink_namespace.h"
#include "kernel/linux/netlink/netlink_socket.h"

namespace nfmeter::kernel {

// A socket of its own in one multicast group. Not thread-safe, but for what
// says so.
class NetlinkSubscription {
 public:
  // `group` is one of NFNLGRP_*. Statuses of Operation::kQuotaEvents.
  static absl::StatusOr<std::unique_ptr<NetlinkSubscription>> Open(
      const NetworkNamespace& there, int group, int receive_buffer_bytes);

  // Leaves the group, which it is in from Open() on, and joins it again. What
  // has come before is still handed out. Thread-safe. An errno, 0 for success.
  int Join() { return socket_->Join(group_); }
  void Leave() { socket_->Leave(group_); }

  // Waits for the next datagram, which lives until the next call. Statuses of
  // Operation::kQuotaEvents; CANCELLED: after Cancel().
  absl::StatusOr<absl::Span<const uint8_t>> Next();

  // Makes the present and all later Next() return CANCELLED. Thread-safe.
  void Cancel();
  bool cancelled() const { return cancelled_; }

 private:
  NetlinkSubscription(std::unique_ptr<NetlinkSocket> socket, int group,
                      UniqueFd cancel);

  const std::unique_ptr<NetlinkSocket> socket_;
  const int group_;
  // An eventfd that is readable from Cancel() on.
  const UniqueFd cancel_;
  std::atomic<bool> cancelled_ = false;
};

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_LINUX_NETLINK_NETLINK_SUBSCRIPTION_H_
