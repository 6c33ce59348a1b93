// SPDX-License-Identifier: GPL-3.0-or-later
// What keeps packets from meeting the rules that count them.
#ifndef NFMETER_KERNEL_LINUX_NETLINK_PACKET_BYPASS_H_
#define NFMETER_KERNEL_LINUX_NETLINK_PACKET_BYPASS_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace nfmeter::kernel {

// Looks in nf_tables, in the network namespace of the calling thread, for:
//
// - flowtables: established flows that they take skip the hook FORWARD;
// - base chains at INPUT, FORWARD and OUTPUT with a priority below `priority`,
//   that of the rules that count, which may drop packets before.
//
// A chain that accepts is no bypass: the kernel goes on with the next of the
// hook (nf_hook_slow() in net/netfilter/core.c). `own_table` is not looked at.
// Sentences for people; usually none, also where nf_tables can't be read.
std::vector<std::string> LookForBypasses(int priority,
                                         absl::string_view own_table = "");

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_LINUX_NETLINK_PACKET_BYPASS_H_
