// SPDX-License-Identifier: GPL-3.0-or-later
// What counting needs of a kernel's nf_tables.
#ifndef NFMETER_KERNEL_LINUX_NFTABLES_NFT_PROBE_H_
#define NFMETER_KERNEL_LINUX_NFTABLES_NFT_PROBE_H_

#include "absl/status/status.h"
#include "kernel/linux/nftables/nft_batch.h"
#include "kernel/linux/nftables/nft_exchange.h"

namespace nfmeter::kernel {

// A transaction with all of it, to be checked by the kernel and never
// committed.
NftBatch NftProbe();

// What the kernel's answer to it says. UNIMPLEMENTED, NFTABLES_UNAVAILABLE:
// there is no nf_tables, or its message and the metadata `feature` name what it
// lacks. Else as ErrnoStatus().
absl::Status ExplainNftProbe(const NftErrors& errors);

// The same for quotas, without which the rest works.
NftBatch NftQuotaProbe();
absl::Status ExplainNftQuotaProbe(const NftErrors& errors);

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_LINUX_NFTABLES_NFT_PROBE_H_
