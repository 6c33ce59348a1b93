// SPDX-License-Identifier: GPL-3.0-or-later
// Which tables nf_tables has.
#ifndef NFMETER_KERNEL_LINUX_NETLINK_NF_TABLES_TABLES_H_
#define NFMETER_KERNEL_LINUX_NETLINK_NF_TABLES_TABLES_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/types/span.h"

namespace nfmeter::kernel {

// All of the network namespace of the calling thread, "inet filter", in the
// kernel's order. Empty when there are none or they can't be read.
std::vector<std::string> NfTablesTables();

// The first few of them, for people: "tables ip nat, ip filter and 3 more".
std::string NameNfTablesTables(absl::Span<const std::string> tables);

// The first `most` of them: "a, b and 3 more".
std::string FirstOf(absl::Span<const std::string> names, size_t most);

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_LINUX_NETLINK_NF_TABLES_TABLES_H_
