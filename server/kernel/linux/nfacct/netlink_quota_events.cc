#include "kernel/linux/nfacct/netlink_quota_events.h"

#include <errno.h>
#include <linux/netfilter/nfnetlink.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <optional>
#include <utility>

#include "base/status_macros.h"
#include "kernel/errno_status.h"

namespace nfmeter::kernel {
namespace {

constexpr char kSubject[] = "quota events";

}  // namespace

absl::StatusOr<std::unique_ptr<NetlinkQuotaEvents>> NetlinkQuotaEvents::Open(
    const NetworkNamespace& there, int receive_buffer_bytes) {
  NFM_ASSIGN_OR_RETURN(auto socket,
                       NetlinkSocket::OpenIn(there, receive_buffer_bytes));
  if (const int err = socket->Join(NFNLGRP_ACCT_QUOTA); err != 0) {
    return ErrnoStatus(Operation::kQuotaEvents, err, kSubject);
  }
  UniqueFd cancel(eventfd(0, EFD_CLOEXEC));
  if (!cancel.valid()) {
    return ErrnoStatus(Operation::kQuotaEvents, errno, kSubject);
  }
  return std::unique_ptr<NetlinkQuotaEvents>(
      new NetlinkQuotaEvents(std::move(socket), std::move(cancel)));
}

NetlinkQuotaEvents::NetlinkQuotaEvents(std::unique_ptr<NetlinkSocket> socket,
                                       UniqueFd cancel)
    : socket_(std::move(socket)), cancel_(std::move(cancel)) {}

absl::StatusOr<AcctObject> NetlinkQuotaEvents::Next() {
  while (!cancelled_) {
    // The type of an event's message is that of a new object, not OVERQUOTA.
    while (const AcctMessage* message = messages_.Next()) {
      if (message->kind == AcctMessage::Kind::kRecord) {
        return ObjectOf(message->record);
      }
    }
    pollfd ready[2] = {{.fd = cancel_.get(), .events = POLLIN},
                       {.fd = socket_->fd(), .events = POLLIN}};
    if (poll(ready, 2, -1) < 0 && errno != EINTR) {
      return ErrnoStatus(Operation::kQuotaEvents, errno, kSubject);
    }
    const NetlinkSocket::Received received = socket_->Receive();
    if (received.err == EAGAIN) continue;
    if (received.err != 0) {
      return ErrnoStatus(Operation::kQuotaEvents, received.err, kSubject);
    }
    messages_ = AcctMessageReader(received.datagram);
  }
  return absl::CancelledError("the subscription to quota events has ended");
}

void NetlinkQuotaEvents::Cancel() {
  cancelled_ = true;
  const uint64_t one = 1;
  // Fails only when 2^64 - 1 calls came before.
  [[maybe_unused]] const ssize_t written =
      write(cancel_.get(), &one, sizeof(one));
}

}  // namespace nfmeter::kernel
