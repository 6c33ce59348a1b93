// SPDX-License-Identifier: GPL-3.0-or-later
// Changes quotas of a plan's counters together with its chains.
#ifndef NFMETER_ACCOUNTING_COUNTERS_OWNED_QUOTA_CHANGES_H_
#define NFMETER_ACCOUNTING_COUNTERS_OWNED_QUOTA_CHANGES_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "accounting/counters/stand_ins.h"
#include "accounting/rules/rule_editor.h"
#include "kernel/acct_table.h"
#include "kernel/owned_chains.h"
#include "kernel/patience.h"
#include "kernel/rule_table.h"

namespace nfmeter::accounting {

// Like QuotaChanges, for many counters at once and together with the owner's
// chains that count into them: in place where the kernel can, else
//
//   the chains as they are to be, but into stand-ins   one commit a table
//   the counters are made anew                         one step each
//   the chains as they are to be                       one commit a table
//   what the stand-ins have counted is the counters'   OnMerged()
//
// The chains agree with the quotas at each moment: a rule that drops what is
// beyond a quota never asks an object that has none.
//
// Thread-safe. Changes of one counter must not overlap. Does not own what it is
// given.
class OwnedQuotaChanges {
 public:
  struct Parts {
    kernel::AcctTable& table;
    Lane& lane;  // of counters
    RuleEditor& rules;
    StandIns& stand_ins;
  };
  explicit OwnedQuotaChanges(const Parts& parts) : parts_(parts) {}

  struct Change {
    // Of counters that exist.
    std::vector<NewQuota> before;
    std::vector<NewQuota> after;  // of the same ones, in the same order
    kernel::OwnedEdit wanted;     // of a dry run: nothing is changed
    kernel::OwnedEdit old;        // what is there, for when it fails
    kernel::Patience patience;
  };
  // All or nothing. The differences are those between what was there and
  // `wanted`. Statuses of QuotaChanges::Carry() and RuleTable::ApplyOwned().
  absl::StatusOr<kernel::OwnedOutcome> Carry(const Change& change);

 private:
  absl::StatusOr<bool> CanBeInPlace(const Change& change);
  absl::Status SetQuotas(const std::vector<NewQuota>& quotas, bool those_gone);
  absl::Status CarryInPlace(kernel::RuleTable& rules, const Change& change,
                            kernel::OwnedOutcome& outcome);
  absl::Status CarryByStandIns(kernel::RuleTable& rules, const Change& change,
                               kernel::OwnedOutcome& outcome);
  absl::Status FinishLeft(kernel::RuleTable& rules, const Change& change,
                          const std::vector<std::string>& counters);
  // Those that were, with the quotas that they had, are added to `renewed`.
  absl::Status MakeAnew(const Change& change, std::vector<NewQuota>& renewed);

  const Parts parts_;
};

}  // namespace nfmeter::accounting

#endif  // NFMETER_ACCOUNTING_COUNTERS_OWNED_QUOTA_CHANGES_H_
