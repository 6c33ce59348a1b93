// SPDX-License-Identifier: GPL-3.0-or-later
// Chains and rules of our table as the kernel has them.
#ifndef NFMETER_KERNEL_LINUX_NFTABLES_NFT_CONTENTS_H_
#define NFMETER_KERNEL_LINUX_NFTABLES_NFT_CONTENTS_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "kernel/acct_names.h"
#include "kernel/linux/netlink/netlink_socket.h"
#include "kernel/rule_types.h"

namespace nfmeter::kernel {

// Between tries while others keep changing rulesets, doubled each time: their
// transaction lasts longer when its process is not given the CPU.
inline constexpr absl::Duration kNftFirstPause = absl::Milliseconds(1);
inline constexpr absl::Duration kNftLongestPause = absl::Milliseconds(50);

// A table of the API, and by which numbers the kernel knows its rules.
struct NftContents {
  TableContents table;                         // numbered
  std::vector<std::vector<uint64_t>> handles;  // of each chain's rules
  std::vector<bool> exists;  // the base chain is there; else it is empty
};

// Reads it. What is read is of one moment only if the generation is the same
// before and after. `names`: of counters whose objects are named by a hash.
// UNAVAILABLE: rules kept changing while they were read.
absl::StatusOr<NftContents> ReadNftContents(NetlinkSocket& socket,
                                            const AcctNames& names,
                                            Family family, Table table);

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_LINUX_NFTABLES_NFT_CONTENTS_H_
