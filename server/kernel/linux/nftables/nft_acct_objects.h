// SPDX-License-Identifier: GPL-3.0-or-later
// Accounting objects as messages of a transaction.
#ifndef NFMETER_KERNEL_LINUX_NFTABLES_NFT_ACCT_OBJECTS_H_
#define NFMETER_KERNEL_LINUX_NFTABLES_NFT_ACCT_OBJECTS_H_

#include "absl/status/status.h"
#include "kernel/acct_table.h"
#include "kernel/linux/nftables/nft_batch.h"

namespace nfmeter::kernel {

// Whether nf_tables can have it. INVALID_ARGUMENT, INVALID_COUNTER_NAME.
// UNIMPLEMENTED, QUOTA_NOT_EXPRESSIBLE: a quota of packets. `quotas`: whether
// there can be any, else its error.
absl::Status CheckNftCounter(const AcctObject& object,
                             const absl::Status& quotas);

// Adds its creation, which CheckNftCounter() has allowed.
void AddNftCounter(const AcctObject& object, NftBatch& batch);

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_LINUX_NFTABLES_NFT_ACCT_OBJECTS_H_
