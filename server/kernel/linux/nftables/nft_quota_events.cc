#include "kernel/linux/nftables/nft_quota_events.h"

#include <errno.h>
#include <linux/netfilter/nfnetlink.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <string>
#include <utility>

#include "base/status_macros.h"
#include "kernel/errno_status.h"
#include "kernel/linux/nftables/nft_name.h"

namespace nfmeter::kernel {
namespace {

constexpr char kSubject[] = "quota events";

}  // namespace

absl::StatusOr<std::unique_ptr<NftQuotaEvents>> NftQuotaEvents::Open(
    AcctTable& acct, const NetworkNamespace& there, int receive_buffer_bytes) {
  NFM_ASSIGN_OR_RETURN(auto socket,
                       NetlinkSocket::OpenIn(there, receive_buffer_bytes));
  if (const int err = socket->Join(NFNLGRP_NFTABLES); err != 0) {
    return ErrnoStatus(Operation::kQuotaEvents, err, kSubject);
  }
  UniqueFd cancel(eventfd(0, EFD_CLOEXEC));
  if (!cancel.valid()) {
    return ErrnoStatus(Operation::kQuotaEvents, errno, kSubject);
  }
  return std::unique_ptr<NftQuotaEvents>(
      new NftQuotaEvents(acct, std::move(socket), std::move(cancel)));
}

NftQuotaEvents::NftQuotaEvents(AcctTable& acct,
                               std::unique_ptr<NetlinkSocket> socket,
                               UniqueFd cancel)
    : acct_(acct), socket_(std::move(socket)), cancel_(std::move(cancel)) {}

std::optional<AcctObject> NftQuotaEvents::CrossingOf(
    const NftMessage& message) {
  // Those of transactions have the sequence number of their message, not 0.
  NftObjectInfo info;
  if (message.kind != NftMessage::Kind::kObject || message.sequence != 0 ||
      !ReadNftObject(message.attributes, info) || info.table != kNftTable ||
      info.type != static_cast<uint32_t>(NftObjectType::kQuota) ||
      !info.exceeded) {
    return std::nullopt;
  }
  std::string scratch;
  const std::string name(CounterNameOf(info.name, scratch));
  if (name.empty()) return std::nullopt;
  absl::StatusOr<AcctObject> object = acct_.Get(name);
  if (object.ok() && object->quota_exceeded) return *std::move(object);
  return AcctObject{.name = name,
                    .bytes = info.limit,
                    .quota = QuotaLimit{QuotaLimit::Unit::kBytes, info.limit},
                    .quota_exceeded = true,
                    .use_count = info.use};
}

absl::StatusOr<AcctObject> NftQuotaEvents::Next() {
  while (!cancelled_) {
    while (const NftMessage* message = messages_.Next()) {
      if (std::optional<AcctObject> crossing = CrossingOf(*message)) {
        return *std::move(crossing);
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
    messages_ = NftMessageReader(received.datagram);
  }
  return absl::CancelledError("the subscription to quota events has ended");
}

void NftQuotaEvents::Cancel() {
  cancelled_ = true;
  const uint64_t one = 1;
  // Fails only when 2^64 - 1 calls came before.
  [[maybe_unused]] const ssize_t written =
      write(cancel_.get(), &one, sizeof(one));
}

}  // namespace nfmeter::kernel
