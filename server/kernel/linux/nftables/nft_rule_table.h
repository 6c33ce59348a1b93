// SPDX-License-Identifier: GPL-3.0-or-later
// Rules in nf_tables.
#ifndef NFMETER_KERNEL_LINUX_NFTABLES_NFT_RULE_TABLE_H_
#define NFMETER_KERNEL_LINUX_NFTABLES_NFT_RULE_TABLE_H_

#include <atomic>
#include <cstdint>
#include <optional>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "kernel/acct_table.h"
#include "kernel/linux/nftables/nft_owned_table.h"
#include "kernel/linux/nftables/nft_table.h"
#include "kernel/rule_table.h"

namespace nfmeter::kernel {

// The tables and chains of the API as base chains of `table inet nfmeter`, see
// nft_rule.h. Nobody else has chains there; those of plans are as they are.
//
// Thread-safe, so that one object serves changes and reads.
class NftRuleTable : public RuleTable {
 public:
  // Both outlive this; `acct` has the counters of `table`.
  NftRuleTable(NftTable& table, AcctTable& acct)
      : table_(table), acct_(acct), owned_(table) {}

  absl::StatusOr<TableContents> Read(Family family, Table table) override;

  // The generation, which each change of any ruleset of the namespace raises.
  absl::StatusOr<std::optional<uint64_t>> Fingerprint() override;

  // New counters and all tables in one transaction, which the kernel refuses if
  // any ruleset has changed since they were read for it: then again from a
  // fresh read, until the deadline. Counters go in another, so that what they
  // counted last can be read in between.
  absl::StatusOr<KernelOutcome> Apply(const KernelEdit& edit,
                                      const EditTerms& terms) override;
  // When it returns, no packet counts into the old one any more.
  absl::StatusOr<size_t> MoveRules(const CounterMove& move,
                                   const Patience& patience) override;
  // All tables in one transaction; again as Apply().
  absl::StatusOr<OwnedOutcome> ApplyOwned(const OwnedEdit& edit,
                                          const Patience& patience) override;
  bool CountsByMaps() const override { return true; }
  void StopWaiting() override { stopped_ = true; }

 private:
  class Attempt;

  // Tries again while others change rulesets.
  template <typename Outcome>
  absl::StatusOr<Outcome> TryUntil(
      const Patience& patience,
      absl::FunctionRef<absl::StatusOr<Outcome>()> attempt);

  NftTable& table_;
  AcctTable& acct_;
  NftOwnedTable owned_;
  std::atomic<bool> stopped_ = false;
};

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_LINUX_NFTABLES_NFT_RULE_TABLE_H_
