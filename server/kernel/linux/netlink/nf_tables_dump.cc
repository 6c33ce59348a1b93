// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/linux/netlink/nf_tables_dump.h"

#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include <array>
#include <utility>

namespace nfmeter::kernel {
namespace {

constexpr int kReceiveBufferBytes = 256 << 10;
// Two names of 255 bytes, and their headers.
constexpr size_t kQuestionBytes = 1024;

int Call(const nlmsghdr* header, void* data) {
  const auto* message =
      static_cast<const nfgenmsg*>(mnl_nlmsg_get_payload(header));
  (*static_cast<NfTablesDump::OnMessage*>(data))(message->nfgen_family, header);
  return MNL_CB_OK;
}

}  // namespace

NfTablesDump::NfTablesDump() {
  auto socket = NetlinkSocket::Open(kReceiveBufferBytes);
  if (socket.ok()) socket_ = *std::move(socket);
}

void NfTablesDump::Run(uint16_t kind, uint8_t family, const std::string& table,
                       const std::string& chain, OnMessage on_message) {
  if (socket_ == nullptr) return;
  std::array<char, kQuestionBytes> question;
  nlmsghdr* header = mnl_nlmsg_put_header(question.data());
  header->nlmsg_type = (NFNL_SUBSYS_NFTABLES << 8) | kind;
  header->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  const uint32_t sequence = socket_->TakeSequences(1);
  header->nlmsg_seq = sequence;
  auto* message = static_cast<nfgenmsg*>(
      mnl_nlmsg_put_extra_header(header, sizeof(nfgenmsg)));
  message->nfgen_family = family;
  message->version = NFNETLINK_V0;
  if (!table.empty()) {
    mnl_attr_put_strz(header, NFTA_RULE_TABLE, table.c_str());
    mnl_attr_put_strz(header, NFTA_RULE_CHAIN, chain.c_str());
  }
  if (socket_->Send({question.data(), header->nlmsg_len}) != 0) return;
  while (true) {
    const NetlinkSocket::Received received = socket_->Receive();
    if (received.err != 0) break;
    if (mnl_cb_run(received.datagram.data(), received.datagram.size(), sequence,
                   /*portid=*/0, &Call, &on_message) <= 0) {
      break;
    }
  }
  // So that another dump may begin.
  socket_->Drain();
}

absl::string_view NfTablesFamily(uint8_t family) {
  switch (family) {
    case NFPROTO_IPV4:
      return "ip";
    case NFPROTO_IPV6:
      return "ip6";
    case NFPROTO_INET:
      return "inet";
    case NFPROTO_ARP:
      return "arp";
    case NFPROTO_BRIDGE:
      return "bridge";
    case NFPROTO_NETDEV:
      return "netdev";
    default:
      return "?";
  }
}

}  // namespace nfmeter::kernel
