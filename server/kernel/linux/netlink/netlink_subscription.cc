// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/linux/netlink/netlink_subscription.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <utility>

#include "absl/memory/memory.h"
#include "base/status_macros.h"
#include "kernel/errno_status.h"

namespace nfmeter::kernel {
namespace {

absl::Status Failed(int err) {
  return ErrnoStatus(Operation::kQuotaEvents, err, "quota events");
}

}  // namespace

absl::StatusOr<std::unique_ptr<NetlinkSubscription>> NetlinkSubscription::Open(
    const NetworkNamespace& there, int group, int receive_buffer_bytes) {
  NFM_ASSIGN_OR_RETURN(auto socket,
                       NetlinkSocket::OpenIn(there, receive_buffer_bytes));
  if (const int err = socket->Join(group); err != 0) return Failed(err);
  UniqueFd cancel(eventfd(0, EFD_CLOEXEC));
  if (!cancel.valid()) return Failed(errno);
  return absl::WrapUnique(
      new NetlinkSubscription(std::move(socket), group, std::move(cancel)));
}

NetlinkSubscription::NetlinkSubscription(std::unique_ptr<NetlinkSocket> socket,
                                         int group, UniqueFd cancel)
    : socket_(std::move(socket)), group_(group), cancel_(std::move(cancel)) {}

absl::StatusOr<absl::Span<const uint8_t>> NetlinkSubscription::Next() {
  while (!cancelled_) {
    pollfd ready[2] = {{.fd = cancel_.get(), .events = POLLIN},
                       {.fd = socket_->fd(), .events = POLLIN}};
    if (poll(ready, 2, -1) < 0 && errno != EINTR) return Failed(errno);
    const NetlinkSocket::Received received = socket_->Receive();
    if (received.err == EAGAIN) continue;
    if (received.err != 0) return Failed(received.err);
    return received.datagram;
  }
  return absl::CancelledError("the subscription to quota events has ended");
}

void NetlinkSubscription::Cancel() {
  cancelled_ = true;
  const uint64_t one = 1;
  // Fails only when 2^64 - 1 calls came before.
  [[maybe_unused]] const ssize_t written =
      write(cancel_.get(), &one, sizeof(one));
}

}  // namespace nfmeter::kernel
