// SPDX-License-Identifier: GPL-3.0-or-later
// Changes the quota of a counter while rules count into it.
#ifndef NFMETER_ACCOUNTING_COUNTERS_QUOTA_CHANGES_H_
#define NFMETER_ACCOUNTING_COUNTERS_QUOTA_CHANGES_H_

#include <cstddef>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "accounting/counters/stand_ins.h"
#include "accounting/rules/rule_editor.h"
#include "kernel/acct_table.h"
#include "kernel/patience.h"
#include "kernel/rule_table.h"

namespace nfmeter::accounting {

// Gives counters other quotas and loses no packet: in place where the kernel
// can; at once where nothing counts into the counter; else with a stand-in,
//
//   the rules count into a second object           one commit of the rules
//   the counter's own, now free, is made anew      one step of the kernel
//   the rules count into the counter again         one commit of the rules
//   what the second has counted is the counter's   OnMerged()
//
// At each moment every rule counts into one of the two, and there is a counter
// of that name; so a change that is cut short anywhere can be finished later,
// see FinishOld(). Only a server that ends between the last reading of the
// stand-in and the ledger's record of it loses what that had: a gap is told.
//
// Thread-safe. Changes of one counter must not overlap. Does not own what it is
// given.
class QuotaChanges {
 public:
  struct Parts {
    kernel::AcctTable& table;
    Lane& lane;  // of counters
    RuleEditor& rules;
    StandIns& stand_ins;
  };
  explicit QuotaChanges(const Parts& parts) : parts_(parts) {}

  struct Change {
    std::string counter;
    std::optional<kernel::QuotaLimit> quota;
    bool dry_run = false;
    // For earlier changes of rules and for the xtables lock.
    kernel::Patience patience;
  };
  // NOT_FOUND. FAILED_PRECONDITION, COUNTER_IN_USE: a rule of somebody else's
  // counts into it, or something that is no rule; nothing was changed.
  // UNIMPLEMENTED, QUOTA_NOT_EXPRESSIBLE. UNAVAILABLE: others had the tables.
  // ABORTED, CHANGE_HALF_DONE: rules still count into the stand-in; it is tried
  // again.
  absl::Status Carry(const Change& change);

  // Finishes changes that an earlier server, or this one, left unfinished, and
  // returns of how many counters. A stand-in that owned chains still count into
  // is left for a later call: their owner has to mend them first.
  absl::StatusOr<size_t> FinishOld(const kernel::Patience& patience);

 private:
  absl::Status Renew(kernel::RuleTable& rules, const Change& change);
  // Rules back, and what the stand-in has counted to the counter. OK where
  // there is none.
  absl::Status Finish(kernel::RuleTable& rules, const std::string& counter);

  const Parts parts_;
};

}  // namespace nfmeter::accounting

#endif  // NFMETER_ACCOUNTING_COUNTERS_QUOTA_CHANGES_H_
