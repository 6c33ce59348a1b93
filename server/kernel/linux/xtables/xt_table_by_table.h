// SPDX-License-Identifier: GPL-3.0-or-later
// An edit of several tables, where the kernel commits one at a time.
#ifndef NFMETER_KERNEL_LINUX_XTABLES_XT_TABLE_BY_TABLE_H_
#define NFMETER_KERNEL_LINUX_XTABLES_XT_TABLE_BY_TABLE_H_

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "kernel/acct_table.h"
#include "kernel/kernel_edit.h"

namespace nfmeter::kernel {

// What can be done with one table: to check an edit, with `new_counters` taken
// to be there, and to carry it out, all or nothing.
struct TableSteps {
  absl::FunctionRef<absl::StatusOr<TableOutcome>(
      const TableEdit& edit, absl::Span<const AcctObject> new_counters)>
      rehearse;
  absl::FunctionRef<absl::StatusOr<TableOutcome>(const TableEdit& edit,
                                                 const Patience& patience)>
      edit;
};

// RuleTable::Apply() of these: nothing is changed before every part has said
// that it can. If a later one then fails all the same, the earlier ones are
// taken back: rules that had been deleted are put in their places with their
// own counters, and deleted counters made again with their last values. What
// passed meanwhile they have not counted.
//
// Killed between two of its steps, it leaves the earlier ones done.
absl::StatusOr<KernelOutcome> ApplyTableByTable(const KernelEdit& edit,
                                                const EditTerms& terms,
                                                AcctTable& acct,
                                                const TableSteps& steps);

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_LINUX_XTABLES_XT_TABLE_BY_TABLE_H_
