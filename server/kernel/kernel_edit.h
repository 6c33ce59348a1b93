// SPDX-License-Identifier: GPL-3.0-or-later
// A change of the kernel's rules and counters as one thing.
#ifndef NFMETER_KERNEL_KERNEL_EDIT_H_
#define NFMETER_KERNEL_KERNEL_EDIT_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "kernel/acct_table.h"
#include "kernel/patience.h"
#include "kernel/rule_types.h"

namespace nfmeter::kernel {

// A rule that was deleted, to be put back where it was.
struct RestoredRule {
  RuleSpec spec;
  uint32_t position = 1;  // in its chain, from 1; beyond its end: at the end
  uint64_t packets = 0;   // of the rule's own counter
  uint64_t bytes = 0;
};

// One change of one table: deletions first, then restorations, then insertions,
// in one commit.
struct TableEdit {
  Family family = Family::kIpv4;
  Table table = Table::kFilter;
  // Ids of managed rules. All must be there.
  std::vector<std::string> deletions;
  // Those of one chain by rising position: with all that were deleted the chain
  // is then as it was. Ids must be new to the table.
  std::vector<RestoredRule> restorations;
  // Of one chain in this order, at its head or tail. Ids must be new to the
  // table.
  std::vector<RuleSpec> insertions;
  RulePlacement placement = RulePlacement::kHead;
};

// What became of it.
struct TableOutcome {
  // Restored and inserted ones as read back, in the order of the edit; of a dry
  // run what would have been read back, with position 0.
  std::vector<Rule> inserted;
  std::vector<Rule> deleted;  // with their last counters, in that order
  // The rules are as wanted, but the kernel refused to take the rule counters
  // over (EINVAL from IPT_SO_SET_ADD_COUNTERS): rule counters of this table may
  // have restarted. Accounting objects are not concerned.
  bool rule_counters_lost = false;
  // Rules of others whose budgets the change has filled up again, as the kernel
  // neither keeps nor shows what is left of them: -m quota, -m limit and -m
  // statistic --mode nth where a table is replaced as a whole.
  size_t budgets_refilled = 0;
};

// Counters and rules of all tables, in this order: counters are made, tables
// changed, counters deleted.
struct KernelEdit {
  // See AcctTable::Create().
  std::vector<AcctObject> new_counters;
  // At most one for each family and table.
  std::vector<TableEdit> tables;
  // That nothing holds any more when the tables are changed.
  std::vector<std::string> deleted_counters;
  // Check all, change nothing.
  bool dry_run = false;
};

// What an edit has done to counters.
struct CounterChanges {
  std::vector<AcctObject> created;  // with their starting values
  std::vector<AcctObject> deleted;  // with their last values
};

struct KernelOutcome {
  std::vector<TableOutcome> tables;  // as KernelEdit::tables
  std::vector<AcctObject> deleted_counters;
};

// Calls `change`, which makes or deletes counters and says which, where that
// may be done: the domain has a lane for it, and observers that are told there.
// Other than OK: `change` was not called.
using CounterTurn =
    std::function<absl::Status(absl::FunctionRef<CounterChanges()> change)>;

// How an edit is carried out.
struct EditTerms {
  EditTerms(  // NOLINT(google-explicit-constructor): patience is all it needs
      Patience patience = {}, CounterTurn counter_turn = CallAtOnce)
      : patience(std::move(patience)), counter_turn(std::move(counter_turn)) {}

  static absl::Status CallAtOnce(absl::FunctionRef<CounterChanges()> change) {
    change();
    return absl::OkStatus();
  }

  Patience patience;
  CounterTurn counter_turn;
};

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_KERNEL_EDIT_H_
