// SPDX-License-Identifier: GPL-3.0-or-later
// Which tables nf_tables has.
#ifndef NFMETER_KERNEL_LINUX_NETLINK_NF_TABLES_TABLES_H_
#define NFMETER_KERNEL_LINUX_NETLINK_NF_TABLES_TABLES_H_

#include <string>
#include <vector>

namespace nfmeter::kernel {

// All of the network namespace of the calling thread, "inet filter", in the
// kernel's order. Empty when there are none or they can't be read.
std::vector<std::string> NfTablesTables();

// The first few of them, for people: "tables ip nat, ip filter and 3 more".
std::string NameNfTablesTables(std::vector<std::string> tables);

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_LINUX_NETLINK_NF_TABLES_TABLES_H_
