// SPDX-License-Identifier: GPL-3.0-or-later
// What nf_tables has, whoever made it.
#ifndef NFMETER_KERNEL_LINUX_NETLINK_NF_TABLES_DUMP_H_
#define NFMETER_KERNEL_LINUX_NETLINK_NF_TABLES_DUMP_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "kernel/linux/netlink/netlink_message.h"
#include "kernel/linux/netlink/netlink_socket.h"

namespace nfmeter::kernel {

// Reads objects for notices, which may be incomplete: where they can't be read,
// there are none. Not thread-safe.
class NfTablesDump {
 public:
  // In the network namespace of the calling thread.
  NfTablesDump();

  // The attributes stand until it returns.
  using OnMessage = absl::FunctionRef<void(uint8_t family, const Attributes&)>;
  // All objects of a kind (NFT_MSG_GET*) and of a family (NFPROTO_*). `table`
  // and `chain` narrow rules down; empty: all.
  void Run(uint16_t kind, uint8_t family, const std::string& table,
           const std::string& chain, OnMessage on_message);

 private:
  std::unique_ptr<NetlinkSocket> socket_;  // null: there is none to be had
};

// How nft calls a family (NFPROTO_*): "inet".
absl::string_view NfTablesFamily(uint8_t family);

// All of the network namespace of the calling thread, "inet filter", in the
// kernel's order. Empty when there are none or they can't be read.
std::vector<std::string> NfTablesTables();

// The first few of them, for people: "tables ip nat, ip filter and 3 more".
std::string NameNfTablesTables(absl::Span<const std::string> tables);

// The first `most` of them: "a, b and 3 more".
std::string FirstOf(absl::Span<const std::string> names, size_t most);

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_LINUX_NETLINK_NF_TABLES_DUMP_H_
