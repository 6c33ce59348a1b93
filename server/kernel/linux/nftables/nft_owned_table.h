// SPDX-License-Identifier: GPL-3.0-or-later
// RuleTable::ApplyOwned() by nf_tables.
#ifndef NFMETER_KERNEL_LINUX_NFTABLES_NFT_OWNED_TABLE_H_
#define NFMETER_KERNEL_LINUX_NFTABLES_NFT_OWNED_TABLE_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "kernel/linux/nftables/nft_owned.h"
#include "kernel/linux/nftables/nft_table.h"
#include "kernel/owned_chains.h"

namespace nfmeter::kernel {

// Chains and maps of owners in our table. A change of all that an owner has is
// one transaction; maps that are too large for one are filled before, when
// nothing looks into them yet. A map that counts already, and is to change by
// more than that or by what NftMovedMaps() says, is replaced by
// another: packets count by the whole of the old maps or by the whole
// of the new ones. Old maps go in a second transaction, when no packet is left
// that looks into them.
//
// Remembers what it has seen to be there: as long as nobody can have changed it
// (the table is ours, or no ruleset has changed since) a look costs one
// question, and a change of one account reads no map.
//
// Thread-safe; one change or look at a time.
class NftOwnedTable {
 public:
  // `table` outlives this.
  explicit NftOwnedTable(NftTable& table) : table_(table) {}

  // One try; see RuleTable::ApplyOwned(). UNAVAILABLE, NFT_TABLE_CHANGED:
  // others changed rulesets meanwhile, and nothing was done.
  absl::StatusOr<OwnedOutcome> Apply(const OwnedEdit& edit);

 private:
  // What an owner has, of a generation.
  struct Known {
    uint32_t generation = 0;
    // The table was ours then. One that is ours now may have come into being
    // since, after a flush of a plain one.
    bool held = false;
    std::vector<OwnedTable> wanted;
    RulePlacement placement = RulePlacement::kHead;
    NftKnownElements elements;
  };

  absl::StatusOr<OwnedOutcome> ApplyLocked(const OwnedEdit& edit)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Null where it may have changed.
  absl::StatusOr<const Known*> Remember(const std::string& owner,
                                        uint32_t generation)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Learn(const OwnedEdit& edit, const NftWanted& wanted,
                     uint32_t generation) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // A transaction, and what was committed for it before.
  struct Fitted {
    NftOwnedChange change;
    std::vector<const NftWantedMap*> filled;
    uint32_t commits = 0;
  };
  // All of `change`, or what is left of it when maps have been filled before;
  // some that are `wanted` get other names then. RESOURCE_EXHAUSTED: the rest
  // is too large, and nothing was changed.
  absl::StatusOr<Fitted> FitIn(NftOwnedChange change, const NftFound& found,
                               NftWanted& wanted);
  // Whether what can't come before fits one transaction; `rest` without its new
  // maps.
  absl::Status CheckRest(NftOwnedChange rest) const;
  // Makes maps and fills them; in how many transactions. None of them is there
  // after an error.
  absl::StatusOr<uint32_t> Fill(absl::Span<const NftWantedMap* const> maps);
  absl::Status FillOne(const NftWantedMap& map, uint32_t& commits);
  void Drop(absl::Span<const NftWantedMap* const> maps);
  // After the commit: old maps go when no packet is left that looks into them.
  // By how many commits; nullopt: some are still there.
  std::optional<uint32_t> CleanUp(const NftOwnedChange& change);
  absl::Status Explain(const NftErrors& errors,
                       const NftOwnedChange& change) const;

  NftTable& table_;
  absl::Mutex mutex_;
  std::map<std::string, Known, std::less<>> known_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_LINUX_NFTABLES_NFT_OWNED_TABLE_H_
