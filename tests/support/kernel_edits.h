// SPDX-License-Identifier: GPL-3.0-or-later
// Edits of one table, as most tests make them.
#ifndef NFMETER_TESTS_SUPPORT_KERNEL_EDITS_H_
#define NFMETER_TESTS_SUPPORT_KERNEL_EDITS_H_

#include <utility>

#include "absl/status/statusor.h"
#include "kernel/rule_table.h"

namespace nfmeter::testing {

// The edit alone; with `dry_run` it is only checked.
inline absl::StatusOr<kernel::TableOutcome> Edit(
    kernel::RuleTable& table, kernel::TableEdit edit,
    const kernel::EditTerms& terms = {}, bool dry_run = false) {
  absl::StatusOr<kernel::KernelOutcome> outcome =
      table.Apply({.tables = {std::move(edit)}, .dry_run = dry_run}, terms);
  if (!outcome.ok()) return outcome.status();
  return std::move(outcome->tables.front());
}

}  // namespace nfmeter::testing

#endif  // NFMETER_TESTS_SUPPORT_KERNEL_EDITS_H_
