// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/linux/netlink/nf_tables_tables.h"

#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include <array>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "base/name_escape.h"

namespace nfmeter::kernel {
namespace {

absl::string_view FamilyWord(uint8_t family) {
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

int OnTableName(const nlattr* attribute, void* name) {
  if (mnl_attr_get_type(attribute) == NFTA_TABLE_NAME &&
      mnl_attr_validate(attribute, MNL_TYPE_NUL_STRING) >= 0) {
    *static_cast<std::string*>(name) = mnl_attr_get_str(attribute);
  }
  return MNL_CB_OK;
}

int OnTable(const nlmsghdr* header, void* names) {
  const auto* message =
      static_cast<const nfgenmsg*>(mnl_nlmsg_get_payload(header));
  std::string name;
  mnl_attr_parse(header, sizeof(*message), OnTableName, &name);
  static_cast<std::vector<std::string>*>(names)->push_back(
      absl::StrCat(FamilyWord(message->nfgen_family), " ", EscapeName(name)));
  return MNL_CB_OK;
}

}  // namespace

std::vector<std::string> NfTablesTables() {
  std::vector<std::string> names;
  const std::unique_ptr<mnl_socket, int (*)(mnl_socket*)> socket(
      mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC), mnl_socket_close);
  if (socket == nullptr ||
      mnl_socket_bind(socket.get(), 0, MNL_SOCKET_AUTOPID) < 0) {
    return names;
  }
  std::array<char, 32768> buffer;
  nlmsghdr* header = mnl_nlmsg_put_header(buffer.data());
  header->nlmsg_type = (NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_GETTABLE;
  header->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  header->nlmsg_seq = 1;
  auto* message = static_cast<nfgenmsg*>(
      mnl_nlmsg_put_extra_header(header, sizeof(nfgenmsg)));
  message->nfgen_family = NFPROTO_UNSPEC;
  message->version = NFNETLINK_V0;
  if (mnl_socket_sendto(socket.get(), header, header->nlmsg_len) < 0) {
    return names;
  }
  const unsigned port = mnl_socket_get_portid(socket.get());
  while (true) {
    const ssize_t size =
        mnl_socket_recvfrom(socket.get(), buffer.data(), buffer.size());
    if (size < 0) return names;
    if (mnl_cb_run(buffer.data(), size, 1, port, OnTable, &names) <= 0) {
      return names;
    }
  }
}

std::string NameNfTablesTables(std::vector<std::string> tables) {
  constexpr size_t kMostNamed = 5;
  std::string more;
  if (tables.size() > kMostNamed) {
    more = absl::StrCat(" and ", tables.size() - kMostNamed, " more");
    tables.resize(kMostNamed);
  }
  return absl::StrCat("tables ", absl::StrJoin(tables, ", "), more);
}

}  // namespace nfmeter::kernel
