#include "tests/bench/bare_acct.h"

#include <endian.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_acct.h>

namespace nfmeter::bench {
namespace {

// Acks wait in the default receive buffer, up to a kilobyte each, and the
// kernel drops without a word what does not fit: those of 8 KiB do.
constexpr size_t kSendBytes = 8 << 10;
constexpr size_t kLargestRequest = 128;

nlmsghdr* PutHeader(void* at, int command, uint16_t flags, uint32_t sequence) {
  nlmsghdr* header = mnl_nlmsg_put_header(at);
  header->nlmsg_type = (NFNL_SUBSYS_ACCT << 8) | command;
  header->nlmsg_flags = NLM_F_REQUEST | flags;
  header->nlmsg_seq = sequence;
  auto* family = static_cast<nfgenmsg*>(
      mnl_nlmsg_put_extra_header(header, sizeof(nfgenmsg)));
  family->nfgen_family = AF_UNSPEC;
  family->version = NFNETLINK_V0;
  family->res_id = 0;
  return header;
}

struct DumpTotals {
  size_t objects = 0;
  uint64_t sum = 0;
};

int OnAttribute(const nlattr* attribute, void* data) {
  auto* totals = static_cast<DumpTotals*>(data);
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

int OnObject(const nlmsghdr* header, void* data) {
  ++static_cast<DumpTotals*>(data)->objects;
  return mnl_attr_parse(header, sizeof(nfgenmsg), OnAttribute, data);
}

}  // namespace

absl::StatusOr<std::unique_ptr<BareAcct>> BareAcct::Open() {
  mnl_socket* socket = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
  if (socket == nullptr) return absl::ErrnoToStatus(errno, "netlink socket");
  if (mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0) {
    const int error = errno;
    mnl_socket_close(socket);
    return absl::ErrnoToStatus(error, "netlink bind");
  }
  return std::unique_ptr<BareAcct>(new BareAcct(socket));
}

BareAcct::~BareAcct() { mnl_socket_close(socket_); }

absl::Status BareAcct::AwaitAcks(size_t count) {
  while (count > 0) {
    const ssize_t length =
        mnl_socket_recvfrom(socket_, buffer_.data(), buffer_.size());
    if (length < 0) return absl::ErrnoToStatus(errno, "receiving acks");
    int left = static_cast<int>(length);
    auto* header = reinterpret_cast<nlmsghdr*>(buffer_.data());
    for (; mnl_nlmsg_ok(header, left); header = mnl_nlmsg_next(header, &left)) {
      const auto* error = static_cast<nlmsgerr*>(mnl_nlmsg_get_payload(header));
      if (error->error != 0) return absl::ErrnoToStatus(-error->error, "ack");
      --count;
    }
  }
  return absl::OkStatus();
}

absl::Status BareAcct::Create(absl::Span<const std::string> names) {
  std::vector<char> batch(kSendBytes);
  for (size_t next = 0; next < names.size();) {
    size_t used = 0;
    size_t count = 0;
    for (; next < names.size() && used + kLargestRequest <= batch.size();
         ++next, ++count) {
      nlmsghdr* header =
          PutHeader(batch.data() + used, NFNL_MSG_ACCT_NEW,
                    NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK, ++sequence_);
      mnl_attr_put_strz(header, NFACCT_NAME, names[next].c_str());
      used += MNL_ALIGN(header->nlmsg_len);
    }
    if (mnl_socket_sendto(socket_, batch.data(), used) < 0) {
      return absl::ErrnoToStatus(errno, "sending a batch");
    }
    if (absl::Status status = AwaitAcks(count); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status BareAcct::RequestDump() {
  char request[kLargestRequest];
  nlmsghdr* header =
      PutHeader(request, NFNL_MSG_ACCT_GET, NLM_F_DUMP, ++sequence_);
  if (mnl_socket_sendto(socket_, header, header->nlmsg_len) < 0) {
    return absl::ErrnoToStatus(errno, "sending a dump request");
  }
  return absl::OkStatus();
}

absl::StatusOr<size_t> BareAcct::Dump() {
  if (absl::Status status = RequestDump(); !status.ok()) return status;
  DumpTotals totals;
  for (int more = MNL_CB_OK; more > MNL_CB_STOP;) {
    const ssize_t length =
        mnl_socket_recvfrom(socket_, buffer_.data(), buffer_.size());
    if (length < 0) return absl::ErrnoToStatus(errno, "receiving a dump");
    more = mnl_cb_run(buffer_.data(), length, sequence_,
                      mnl_socket_get_portid(socket_), OnObject, &totals);
    if (more < 0) return absl::ErrnoToStatus(errno, "reading a dump");
  }
  sum_ += totals.sum;
  return totals.objects;
}

absl::StatusOr<size_t> BareAcct::Receive() {
  if (absl::Status status = RequestDump(); !status.ok()) return status;
  size_t objects = 0;
  while (true) {
    const ssize_t length =
        mnl_socket_recvfrom(socket_, buffer_.data(), buffer_.size());
    if (length < 0) return absl::ErrnoToStatus(errno, "receiving a dump");
    int left = static_cast<int>(length);
    auto* header = reinterpret_cast<nlmsghdr*>(buffer_.data());
    for (; mnl_nlmsg_ok(header, left); header = mnl_nlmsg_next(header, &left)) {
      if (header->nlmsg_type == NLMSG_DONE) return objects;
      if (header->nlmsg_type == NLMSG_ERROR) {
        return absl::InternalError("a dump was refused");
      }
      ++objects;
    }
  }
}

absl::Status BareAcct::Flush() {
  char request[kLargestRequest];
  nlmsghdr* header =
      PutHeader(request, NFNL_MSG_ACCT_DEL, NLM_F_ACK, ++sequence_);
  if (mnl_socket_sendto(socket_, header, header->nlmsg_len) < 0) {
    return absl::ErrnoToStatus(errno, "sending a flush");
  }
  return AwaitAcks(1);
}

}  // namespace nfmeter::bench
