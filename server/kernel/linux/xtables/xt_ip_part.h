// SPDX-License-Identifier: GPL-3.0-or-later
// The part of an entry that every rule has: addresses, interfaces, protocol.
#ifndef NFMETER_KERNEL_LINUX_XTABLES_XT_IP_PART_H_
#define NFMETER_KERNEL_LINUX_XTABLES_XT_IP_PART_H_

// The C library's header must come before the kernel's, which then leaves out
// what it has defined.
// clang-format off
#include <netinet/in.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>
// clang-format on

#include "absl/status/status.h"
#include "kernel/linux/xtables/xt_codec.h"
#include "kernel/rule_types.h"

namespace nfmeter::kernel {

// Fills the IP part from the rule's conditions. INVALID_ARGUMENT: an address
// of the other family, a name that is too long.
absl::Status EncodeIpPart(const RuleMatch& match, ipt_ip& ip);
absl::Status EncodeIpPart(const RuleMatch& match, ip6t_ip6& ip);

// Reads it into `out.match` and `out.goto_chain`, and appends it to
// `out.match_text`. Conditions without a place in RuleMatch are named in
// `out.other_matches`.
void DecodeIpPart(const ipt_ip& ip, DecodedEntry& out);
void DecodeIpPart(const ip6t_ip6& ip, DecodedEntry& out);

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_LINUX_XTABLES_XT_IP_PART_H_
