// SPDX-License-Identifier: GPL-3.0-or-later
// Rules in nf_tables.
#ifndef NFMETER_KERNEL_LINUX_NFTABLES_NFT_RULE_TABLE_H_
#define NFMETER_KERNEL_LINUX_NFTABLES_NFT_RULE_TABLE_H_

#include <atomic>

#include "absl/status/statusor.h"
#include "kernel/acct_table.h"
#include "kernel/linux/nftables/nft_table.h"
#include "kernel/rule_table.h"

namespace nfmeter::kernel {

// The tables and chains of the API as base chains of `table inet nfmeter`, see
// nft_rule.h. There are no user chains: nobody else puts rules there.
//
// Thread-safe, so that one does for changes and for reads.
class NftRuleTable : public RuleTable {
 public:
  // Both outlive this; `acct` has the counters of `table`.
  NftRuleTable(NftTable& table, AcctTable& acct) : table_(table), acct_(acct) {}

  absl::StatusOr<TableContents> Read(Family family, Table table) override;

  // New counters and all tables in one transaction, which the kernel refuses if
  // any ruleset has changed since they were read for it: then again from a
  // fresh read, until the deadline. Counters go in another, so that what they
  // counted last can be read in between.
  absl::StatusOr<KernelOutcome> Apply(const KernelEdit& edit,
                                      const EditTerms& terms) override;
  // When it returns, no packet counts into the old one any more.
  absl::StatusOr<size_t> MoveRules(const CounterMove& move,
                                   const Patience& patience) override;
  void StopWaiting() override { stopped_ = true; }

 private:
  class Attempt;

  NftTable& table_;
  AcctTable& acct_;
  std::atomic<bool> stopped_ = false;
};

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_LINUX_NFTABLES_NFT_RULE_TABLE_H_
