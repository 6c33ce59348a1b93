// SPDX-License-Identifier: GPL-3.0-or-later
// Rules that keep counters from being made anew.
#ifndef NFMETER_ACCOUNTING_COUNTERS_RULE_HOLDERS_H_
#define NFMETER_ACCOUNTING_COUNTERS_RULE_HOLDERS_H_

#include <string>

#include "absl/container/flat_hash_set.h"
#include "absl/status/statusor.h"
#include "kernel/rule_table.h"

namespace nfmeter::accounting {

// Those of `counters` that our rules outside of owned chains count into. Reads
// all tables once. FAILED_PRECONDITION, COUNTER_IN_USE: a rule of somebody
// else's counts into one.
absl::StatusOr<absl::flat_hash_set<std::string>> HeldOutside(
    kernel::RuleTable& rules, const absl::flat_hash_set<std::string>& counters);

}  // namespace nfmeter::accounting

#endif  // NFMETER_ACCOUNTING_COUNTERS_RULE_HOLDERS_H_
