// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/linux/netlink/nf_tables_dump.h"

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/name_escape.h"

namespace nfmeter::kernel {
namespace {

constexpr int kReceiveBufferBytes = 256 << 10;

// False: the dump has ended, or was cut short.
bool HandOut(ByteSpan datagram, uint32_t sequence,
             NfTablesDump::OnMessage on_message) {
  while (true) {
    const ByteSpan message = TakeNetlinkMessage(datagram);
    if (message.empty()) return true;
    const auto header = LoadBytes<nlmsghdr>(message.data());
    if (header.nlmsg_seq != sequence || header.nlmsg_type < NLMSG_MIN_TYPE ||
        (header.nlmsg_flags & NLM_F_DUMP_INTR) != 0 ||
        message.size() < kNetlinkHeadBytes) {
      return false;
    }
    on_message(/*family=*/message[NLMSG_HDRLEN],
               Attributes(message.subspan(kNetlinkHeadBytes)));
  }
}

}  // namespace

NfTablesDump::NfTablesDump() {
  auto socket = NetlinkSocket::Open(kReceiveBufferBytes);
  if (socket.ok()) socket_ = *std::move(socket);
}

void NfTablesDump::Run(uint16_t kind, uint8_t family, const std::string& table,
                       const std::string& chain, OnMessage on_message) {
  if (socket_ == nullptr) return;
  const uint32_t sequence = socket_->TakeSequences(1);
  std::string question;
  {
    NetlinkRequest request(NetlinkRequest::TypeOf(NFNL_SUBSYS_NFTABLES, kind),
                           NLM_F_DUMP, family, sequence, question);
    if (!table.empty()) {
      request.PutString(NFTA_RULE_TABLE, table);
      request.PutString(NFTA_RULE_CHAIN, chain);
    }
  }
  if (socket_->Send(question) != 0) return;
  for (bool goes_on = true; goes_on;) {
    const NetlinkSocket::Received received = socket_->Receive();
    if (received.err != 0) break;
    goes_on = HandOut(received.datagram, sequence, on_message);
  }
  // The kernel refuses another dump while one is under way.
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

std::vector<std::string> NfTablesTables() {
  std::vector<std::string> names;
  NfTablesDump().Run(
      NFT_MSG_GETTABLE, NFPROTO_UNSPEC, /*table=*/"",
      /*chain=*/"", [&](uint8_t family, const Attributes& in) {
        names.push_back(absl::StrCat(NfTablesFamily(family), " ",
                                     EscapeName(in.Text(NFTA_TABLE_NAME))));
      });
  return names;
}

std::string NameNfTablesTables(absl::Span<const std::string> tables) {
  return absl::StrCat("tables ", FirstOf(tables, 5));
}

std::string FirstOf(absl::Span<const std::string> names, size_t most) {
  const auto shown = names.subspan(0, most);
  const std::string text = absl::StrJoin(shown, ", ");
  if (shown.size() == names.size()) return text;
  return absl::StrCat(text, " and ", names.size() - shown.size(), " more");
}

}  // namespace nfmeter::kernel
