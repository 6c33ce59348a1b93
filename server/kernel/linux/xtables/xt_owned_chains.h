// SPDX-License-Identifier: GPL-3.0-or-later
// Owned chains in tables of legacy iptables.
#ifndef NFMETER_KERNEL_LINUX_XTABLES_XT_OWNED_CHAINS_H_
#define NFMETER_KERNEL_LINUX_XTABLES_XT_OWNED_CHAINS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernel/linux/xtables/iptc_rule_table_handle.h"
#include "kernel/linux/xtables/xt_codec.h"
#include "kernel/owned_chains.h"
#include "kernel/owned_diff.h"
#include "kernel/rule_types.h"

namespace nfmeter::kernel {

// What is wanted of one owner in one table, as entries. Does not own the
// OwnedTable, which may be of 10,000 chains. Not thread-safe.
class XtOwnedChains {
 public:
  // `wanted` must outlive it. Statuses: EncodeOwnedEntry(), with the chain in
  // the sentence.
  static absl::StatusOr<XtOwnedChains> Encode(const OwnedTable& wanted,
                                              const OwnedEdit& edit,
                                              IpSetIndex& sets);

  Family family() const { return wanted_.family; }
  Table table() const { return wanted_.table; }
  const OwnedTable& wanted() const { return wanted_; }
  const std::string& owner() const { return owner_; }

  // What differs in a table as it was read.
  OwnedSteps Compare(const TableContents& contents) const;

  // Makes these steps in the copy of the table that the handle holds.
  // FAILED_PRECONDITION, CHAIN_HELD; else statuses of Operation::kRuleCommit.
  absl::Status Carry(const OwnedSteps& steps, const TableContents& contents,
                     IptcHandle& handle) const;

 private:
  XtOwnedChains(const OwnedTable& wanted, const OwnedEdit& edit)
      : wanted_(wanted), owner_(edit.owner), placement_(edit.placement) {}

  absl::Status Fill(const OwnedSteps& steps, IptcHandle& handle) const;
  absl::Status MakeJumps(const OwnedSteps& steps, IptcHandle& handle) const;
  absl::Status Remove(const OwnedSteps& steps, const TableContents& contents,
                      IptcHandle& handle) const;
  absl::Status Failed(int err) const;

  const OwnedTable& wanted_;
  std::string owner_;
  RulePlacement placement_;
  // Of the chains' rules, and of the hooks.
  std::vector<std::vector<std::vector<uint8_t>>> entries_;
  std::vector<std::vector<std::string>> texts_;
  std::vector<std::vector<uint8_t>> hooks_;
};

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_LINUX_XTABLES_XT_OWNED_CHAINS_H_
