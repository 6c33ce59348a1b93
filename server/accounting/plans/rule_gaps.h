// SPDX-License-Identifier: GPL-3.0-or-later
// Which counters may have missed packets while rules were away.
#ifndef NFMETER_ACCOUNTING_PLANS_RULE_GAPS_H_
#define NFMETER_ACCOUNTING_PLANS_RULE_GAPS_H_

#include <string>
#include <vector>

#include "absl/types/span.h"
#include "kernel/owned_chains.h"

namespace nfmeter::accounting {

// The counters of all rules that a packet may not have reached while the kernel
// differed so from `tables`: those of the chains that differ, and of all chains
// below them. Each once, in order.
std::vector<std::string> MissedCounters(
    absl::Span<const kernel::OwnedTable> tables,
    absl::Span<const kernel::OwnedDifference> differences);

// Of what differed from `wanted`, that which should have been there before, as
// it is the same in `before`: others have changed it.
std::vector<kernel::OwnedDifference> DriftIn(
    absl::Span<const kernel::OwnedDifference> differences,
    absl::Span<const kernel::OwnedTable> before,
    absl::Span<const kernel::OwnedTable> wanted);

}  // namespace nfmeter::accounting

#endif  // NFMETER_ACCOUNTING_PLANS_RULE_GAPS_H_
