// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/bench/bare_acct.h"

#include <endian.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_acct.h>

#include <utility>
#include <vector>

namespace nfmeter::bench {
namespace {

// Acks wait in the default receive buffer, up to a kilobyte each, and the
// kernel drops without a word what does not fit: those of 8 KiB do.
constexpr size_t kBatchBytes = 8 << 10;
constexpr size_t kLargestRequest = 128;

constexpr uint16_t AcctType(int command) {
  return MessageType(NFNL_SUBSYS_ACCT, command);
}

struct AcctTotals {
  size_t objects = 0;
  uint64_t sum = 0;
};

int OnAcctAttribute(const nlattr* attribute, void* data) {
  auto* totals = static_cast<AcctTotals*>(data);
  switch (mnl_attr_get_type(attribute)) {
    case NFACCT_NAME:
      totals->sum += mnl_attr_get_payload_len(attribute);
      break;
    case NFACCT_PKTS:
    case NFACCT_BYTES:
      totals->sum += be64toh(mnl_attr_get_u64(attribute));
      break;
    default:
      break;
  }
  return MNL_CB_OK;
}

int OnAcctObject(const nlmsghdr* header, void* data) {
  ++static_cast<AcctTotals*>(data)->objects;
  return mnl_attr_parse(header, sizeof(nfgenmsg), OnAcctAttribute, data);
}

}  // namespace

absl::StatusOr<std::unique_ptr<BareAcct>> BareAcct::Open() {
  auto netlink = BareNetlink::Open();
  if (!netlink.ok()) return netlink.status();
  return std::unique_ptr<BareAcct>(new BareAcct(*std::move(netlink)));
}

absl::Status BareAcct::AwaitAcks(size_t count) {
  while (count > 0) {
    const absl::StatusOr<size_t> acks = netlink_->ReceiveAcks();
    if (!acks.ok()) return acks.status();
    count -= *acks;
  }
  return absl::OkStatus();
}

absl::Status BareAcct::Create(absl::Span<const std::string> names) {
  std::vector<char> batch(kBatchBytes);
  for (size_t next = 0; next < names.size();) {
    size_t used = 0;
    size_t count = 0;
    for (; next < names.size() && used + kLargestRequest <= batch.size();
         ++next, ++count) {
      nlmsghdr* header =
          PutHeader(batch.data() + used, AcctType(NFNL_MSG_ACCT_NEW),
                    NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK, ++sequence_);
      mnl_attr_put_strz(header, NFACCT_NAME, names[next].c_str());
      used += MNL_ALIGN(header->nlmsg_len);
    }
    absl::Status sent = netlink_->Send(batch.data(), used);
    if (!sent.ok()) return sent;
    if (absl::Status status = AwaitAcks(count); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::StatusOr<size_t> BareAcct::Dump() {
  char request[kLargestRequest];
  AcctTotals totals;
  absl::Status status = netlink_->Dump(
      PutHeader(request, AcctType(NFNL_MSG_ACCT_GET), NLM_F_DUMP, ++sequence_),
      OnAcctObject, &totals);
  if (!status.ok()) return status;
  sum_ += totals.sum;
  return totals.objects;
}

absl::StatusOr<size_t> BareAcct::Receive() {
  char request[kLargestRequest];
  return netlink_->CountDump(
      PutHeader(request, AcctType(NFNL_MSG_ACCT_GET), NLM_F_DUMP, ++sequence_));
}

absl::Status BareAcct::Flush() {
  char request[kLargestRequest];
  const nlmsghdr* header =
      PutHeader(request, AcctType(NFNL_MSG_ACCT_DEL), NLM_F_ACK, ++sequence_);
  absl::Status sent = netlink_->Send(header, header->nlmsg_len);
  if (!sent.ok()) return sent;
  return AwaitAcks(1);
}

}  // namespace nfmeter::bench
