#include "tests/bench/bare_nft.h"

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <string.h>
#include <sys/socket.h>

namespace nfmeter::bench {
namespace {

constexpr char kTable[] = "bare";
constexpr uint8_t kInet = 1;  // NFPROTO_INET
constexpr size_t kLargest = 256;
constexpr int kSendBytes = 64 << 20;

nlmsghdr* PutHeader(void* at, uint16_t type, uint16_t flags, uint8_t family,
                    uint16_t resource, uint32_t sequence) {
  nlmsghdr* header = mnl_nlmsg_put_header(at);
  header->nlmsg_type = type;
  header->nlmsg_flags = NLM_F_REQUEST | flags;
  header->nlmsg_seq = sequence;
  auto* body = static_cast<nfgenmsg*>(
      mnl_nlmsg_put_extra_header(header, sizeof(nfgenmsg)));
  body->nfgen_family = family;
  body->version = NFNETLINK_V0;
  body->res_id = htons(resource);
  return header;
}

uint16_t Type(int command) {
  return static_cast<uint16_t>((NFNL_SUBSYS_NFTABLES << 8) | command);
}

// Messages one after the other.
class Batch {
 public:
  explicit Batch(size_t messages) : bytes_((messages + 2) * kLargest) {
    Add(NFNL_MSG_BATCH_BEGIN, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
  }

  nlmsghdr* Add(uint16_t type, uint16_t flags, uint8_t family = kInet,
                uint16_t resource = 0) {
    if (last_ != nullptr) used_ += MNL_ALIGN(last_->nlmsg_len);
    last_ = PutHeader(bytes_.data() + used_, type, flags, family, resource, 1);
    return last_;
  }

  const std::vector<char>& End() {
    last_->nlmsg_flags |= NLM_F_ACK;
    Add(NFNL_MSG_BATCH_END, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
    used_ += MNL_ALIGN(last_->nlmsg_len);
    return bytes_;
  }
  size_t used() const { return used_; }

 private:
  std::vector<char> bytes_;
  size_t used_ = 0;
  nlmsghdr* last_ = nullptr;
};

struct DumpTotals {
  size_t objects = 0;
  uint64_t sum = 0;
};

int OnValue(const nlattr* attribute, void* data) {
  static_cast<DumpTotals*>(data)->sum += be64toh(mnl_attr_get_u64(attribute));
  return MNL_CB_OK;
}

int OnAttribute(const nlattr* attribute, void* data) {
  auto* totals = static_cast<DumpTotals*>(data);
  if (mnl_attr_get_type(attribute) == NFTA_OBJ_NAME) {
    totals->sum += mnl_attr_get_payload_len(attribute);
  } else if (mnl_attr_get_type(attribute) == NFTA_OBJ_DATA) {
    return mnl_attr_parse_nested(attribute, OnValue, data);
  }
  return MNL_CB_OK;
}

int OnObject(const nlmsghdr* header, void* data) {
  ++static_cast<DumpTotals*>(data)->objects;
  return mnl_attr_parse(header, sizeof(nfgenmsg), OnAttribute, data);
}

}  // namespace

absl::StatusOr<std::unique_ptr<BareNft>> BareNft::Open() {
  mnl_socket* socket = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
  if (socket == nullptr) return absl::ErrnoToStatus(errno, "netlink socket");
  if (mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0) {
    const int error = errno;
    mnl_socket_close(socket);
    return absl::ErrnoToStatus(error, "netlink bind");
  }
  setsockopt(mnl_socket_get_fd(socket), SOL_SOCKET, SO_SNDBUFFORCE, &kSendBytes,
             sizeof(kSendBytes));
  return std::unique_ptr<BareNft>(new BareNft(socket));
}

BareNft::~BareNft() { mnl_socket_close(socket_); }

absl::Status BareNft::SendBatch(const std::vector<char>& batch, size_t used) {
  if (mnl_socket_sendto(socket_, batch.data(), used) < 0) {
    return absl::ErrnoToStatus(errno, "sending a batch");
  }
  const ssize_t length =
      mnl_socket_recvfrom(socket_, buffer_.data(), buffer_.size());
  if (length < 0) return absl::ErrnoToStatus(errno, "receiving an answer");
  const auto* header = reinterpret_cast<nlmsghdr*>(buffer_.data());
  const auto* error = static_cast<nlmsgerr*>(mnl_nlmsg_get_payload(header));
  if (error->error != 0) return absl::ErrnoToStatus(-error->error, "a batch");
  return absl::OkStatus();
}

absl::Status BareNft::Create(absl::Span<const std::string> names) {
  Batch batch(names.size() + 1);
  mnl_attr_put_strz(batch.Add(Type(NFT_MSG_NEWTABLE), NLM_F_CREATE),
                    NFTA_TABLE_NAME, kTable);
  for (const std::string& name : names) {
    nlmsghdr* header =
        batch.Add(Type(NFT_MSG_NEWOBJ), NLM_F_CREATE | NLM_F_EXCL);
    mnl_attr_put_strz(header, NFTA_OBJ_TABLE, kTable);
    mnl_attr_put_strz(header, NFTA_OBJ_NAME, name.c_str());
    mnl_attr_put_u32(header, NFTA_OBJ_TYPE, htonl(NFT_OBJECT_COUNTER));
    nlattr* data = mnl_attr_nest_start(header, NFTA_OBJ_DATA);
    mnl_attr_put_u64(header, NFTA_COUNTER_BYTES, 0);
    mnl_attr_put_u64(header, NFTA_COUNTER_PACKETS, 0);
    mnl_attr_nest_end(header, data);
    const std::string comment = std::string(1, '\0') +
                                static_cast<char>(name.size() + 1) + name +
                                std::string(1, '\0');
    mnl_attr_put(header, NFTA_OBJ_USERDATA, comment.size(), comment.data());
  }
  const std::vector<char>& bytes = batch.End();
  return SendBatch(bytes, batch.used());
}

absl::Status BareNft::Delete() {
  Batch batch(1);
  mnl_attr_put_strz(batch.Add(Type(NFT_MSG_DELTABLE), 0), NFTA_TABLE_NAME,
                    kTable);
  const std::vector<char>& bytes = batch.End();
  return SendBatch(bytes, batch.used());
}

absl::StatusOr<size_t> BareNft::Dump() {
  char request[kLargest];
  nlmsghdr* header = PutHeader(request, Type(NFT_MSG_GETOBJ), NLM_F_DUMP, kInet,
                               0, ++sequence_);
  mnl_attr_put_strz(header, NFTA_OBJ_TABLE, "nfmeter");
  mnl_attr_put_u32(header, NFTA_OBJ_TYPE, htonl(NFT_OBJECT_COUNTER));
  if (mnl_socket_sendto(socket_, header, header->nlmsg_len) < 0) {
    return absl::ErrnoToStatus(errno, "sending a dump request");
  }
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

}  // namespace nfmeter::bench
