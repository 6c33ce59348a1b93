// SPDX-License-Identifier: GPL-3.0-or-later
// What a change takes from one place where it is counted to another.
#ifndef NFMETER_KERNEL_LINUX_NFTABLES_NFT_OWNED_MOVES_H_
#define NFMETER_KERNEL_LINUX_NFTABLES_NFT_OWNED_MOVES_H_

#include <string>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "kernel/linux/nftables/nft_batch.h"

namespace nfmeter::kernel {

// What one place loses and gets by a change.
struct NftPlaceChange {
  absl::string_view map;  // empty: the rules, which are one place
  bool in_place = false;  // of a map that is there before and after
  bool is_set = false;    // that has no objects
  absl::Span<const NftBatch::MapElement> lost;
  absl::Span<const NftBatch::MapElement> got;
};

// A packet that is on its way when a transaction is committed goes on by the
// old rules (nft_do_chain() reads the generation once), but finds in a map what
// is in it by then (nft_set_elem_active(), at each look). An element that comes
// or goes with its account is no matter. One that goes from a map to another
// place would be missed, or counted twice; and so would, in kernels before
// 6.17, one that counts into another object than before.
//
// These maps must not be changed in place. `changes` are all of a transaction.
absl::flat_hash_set<std::string> NftMovedMaps(
    absl::Span<const NftPlaceChange> changes);

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_LINUX_NFTABLES_NFT_OWNED_MOVES_H_
