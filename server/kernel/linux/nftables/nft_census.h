// SPDX-License-Identifier: GPL-3.0-or-later
// How many objects our table has.
#ifndef NFMETER_KERNEL_LINUX_NFTABLES_NFT_CENSUS_H_
#define NFMETER_KERNEL_LINUX_NFTABLES_NFT_CENSUS_H_

#include <cstddef>
#include <optional>

#include "absl/status/statusor.h"
#include "kernel/linux/netlink/netlink_socket.h"

namespace nfmeter::kernel {

// Counters and quotas of `table inet nfmeter`, by the table's own count of what
// is in it less chains and named sets; 0 without a table. By this a dump is
// known to be whole: the kernel's cursor is an index over what others are just
// making in tables before ours, too (nf_tables_dump_obj()), so that a
// transaction of theirs that is aborted in the middle makes it skip some, and
// nothing says so.
//
// nullopt: rulesets kept changing while it was counted.
absl::StatusOr<std::optional<size_t>> CountNftObjects(NetlinkSocket& socket);

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_LINUX_NFTABLES_NFT_CENSUS_H_
