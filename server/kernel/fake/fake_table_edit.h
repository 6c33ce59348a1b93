// SPDX-License-Identifier: GPL-3.0-or-later
// Edits of a table in memory. Pure: whether an edit may be made, and what it
// means for counters, is for FakeRuleTable.
#ifndef NFMETER_KERNEL_FAKE_FAKE_TABLE_EDIT_H_
#define NFMETER_KERNEL_FAKE_FAKE_TABLE_EDIT_H_

#include <string>
#include <vector>

#include "kernel/kernel_edit.h"
#include "kernel/owned_diff.h"
#include "kernel/rule_edit.h"

namespace nfmeter::kernel {

// Counts for each chain the rules that jump to it.
void CountReferences(TableContents& contents);

// `plan` is of the table as it is in `contents`.
void CarryEdit(const TableEdit& edit, const EditPlan& plan,
               TableContents& contents);

// `texts` are of the rules of each wanted chain. `moved` gets the rules that
// come and go.
void CarryOwned(const OwnedTable& wanted, const OwnedSteps& steps,
                RulePlacement placement,
                const std::vector<std::vector<std::string>>& texts,
                TableContents& contents, TableOutcome& moved);

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_FAKE_FAKE_TABLE_EDIT_H_
