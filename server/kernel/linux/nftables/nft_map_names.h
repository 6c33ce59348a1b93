// SPDX-License-Identifier: GPL-3.0-or-later
// The two names of an owner's map.
#ifndef NFMETER_KERNEL_LINUX_NFTABLES_NFT_MAP_NAMES_H_
#define NFMETER_KERNEL_LINUX_NFTABLES_NFT_MAP_NAMES_H_

#include <string>

#include "absl/container/flat_hash_set.h"
#include "kernel/linux/nftables/nft_owned.h"

namespace nfmeter::kernel {

// A map that counts, and that is to change by more than one transaction takes
// or by what nft_owned_moves.h says, is not changed: another is filled beside
// it, and then the rules look into that one. So a map has its own name, or that
// with "-b" behind it, by turns.

// Calls the maps that are wanted as those are called that the rules which are
// there look into.
void UseFoundNames(const NftFound& found, NftWanted& wanted);

// Calls these maps, and them alone, by their other names.
void UseOtherNames(const absl::flat_hash_set<std::string>& maps,
                   NftWanted& wanted);

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_LINUX_NFTABLES_NFT_MAP_NAMES_H_
