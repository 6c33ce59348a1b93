// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/bench/bare_nft.h"

#include <arpa/inet.h>
#include <endian.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <sys/socket.h>

#include <utility>
#include <vector>

namespace nfmeter::bench {
namespace {

constexpr char kTable[] = "bare";
constexpr uint8_t kInet = 1;  // NFPROTO_INET
constexpr size_t kLargest = 256;
constexpr int kSendBytes = 64 << 20;

constexpr uint16_t NftType(int command) {
  return MessageType(NFNL_SUBSYS_NFTABLES, command);
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
    last_ = PutHeader(bytes_.data() + used_, type, flags, 1, family, resource);
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

struct NftTotals {
  size_t objects = 0;
  uint64_t sum = 0;
};

int OnValue(const nlattr* attribute, void* data) {
  static_cast<NftTotals*>(data)->sum += be64toh(mnl_attr_get_u64(attribute));
  return MNL_CB_OK;
}

int OnNftAttribute(const nlattr* attribute, void* data) {
  auto* totals = static_cast<NftTotals*>(data);
  if (mnl_attr_get_type(attribute) == NFTA_OBJ_NAME) {
    totals->sum += mnl_attr_get_payload_len(attribute);
  } else if (mnl_attr_get_type(attribute) == NFTA_OBJ_DATA) {
    return mnl_attr_parse_nested(attribute, OnValue, data);
  }
  return MNL_CB_OK;
}

int OnNftObject(const nlmsghdr* header, void* data) {
  ++static_cast<NftTotals*>(data)->objects;
  return mnl_attr_parse(header, sizeof(nfgenmsg), OnNftAttribute, data);
}

}  // namespace

absl::StatusOr<std::unique_ptr<BareNft>> BareNft::Open() {
  auto netlink = BareNetlink::Open();
  if (!netlink.ok()) return netlink.status();
  setsockopt((*netlink)->fd(), SOL_SOCKET, SO_SNDBUFFORCE, &kSendBytes,
             sizeof(kSendBytes));
  return std::unique_ptr<BareNft>(new BareNft(*std::move(netlink)));
}

absl::Status BareNft::SendBatch(const std::vector<char>& batch, size_t used) {
  absl::Status sent = netlink_->Send(batch.data(), used);
  if (!sent.ok()) return sent;
  return netlink_->ReceiveAcks().status();
}

absl::Status BareNft::Create(absl::Span<const std::string> names) {
  Batch batch(names.size() + 1);
  mnl_attr_put_strz(batch.Add(NftType(NFT_MSG_NEWTABLE), NLM_F_CREATE),
                    NFTA_TABLE_NAME, kTable);
  for (const std::string& name : names) {
    nlmsghdr* header =
        batch.Add(NftType(NFT_MSG_NEWOBJ), NLM_F_CREATE | NLM_F_EXCL);
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
  mnl_attr_put_strz(batch.Add(NftType(NFT_MSG_DELTABLE), 0), NFTA_TABLE_NAME,
                    kTable);
  const std::vector<char>& bytes = batch.End();
  return SendBatch(bytes, batch.used());
}

absl::StatusOr<size_t> BareNft::Dump() {
  char request[kLargest];
  nlmsghdr* header = PutHeader(request, NftType(NFT_MSG_GETOBJ), NLM_F_DUMP,
                               ++sequence_, kInet);
  mnl_attr_put_strz(header, NFTA_OBJ_TABLE, "nfmeter");
  mnl_attr_put_u32(header, NFTA_OBJ_TYPE, htonl(NFT_OBJECT_COUNTER));
  NftTotals totals;
  absl::Status status = netlink_->Dump(header, OnNftObject, &totals);
  if (!status.ok()) return status;
  sum_ += totals.sum;
  return totals.objects;
}

}  // namespace nfmeter::bench
