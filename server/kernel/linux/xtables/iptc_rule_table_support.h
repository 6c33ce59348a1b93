// SPDX-License-Identifier: GPL-3.0-or-later
// What the rules of an edit need beside their table.
#ifndef NFMETER_KERNEL_LINUX_XTABLES_IPTC_RULE_TABLE_SUPPORT_H_
#define NFMETER_KERNEL_LINUX_XTABLES_IPTC_RULE_TABLE_SUPPORT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "kernel/acct_table.h"
#include "kernel/kernel_edit.h"
#include "kernel/owned_chains.h"

namespace nfmeter::kernel {

// OK: the kernel has all matches and targets of `entries` (those of
// NewRules(edit)), all counters and all cgroups. UNIMPLEMENTED,
// MATCH_UNAVAILABLE or TARGET_UNAVAILABLE: the first that it lacks. NOT_FOUND,
// COUNTER_NOT_FOUND: the counters that are missing, ten of them at most.
// INVALID_ARGUMENT, RULE_REFUSED: a cgroup that is not there, or an owner that
// the kernel does not know. Changes nothing. `new_counters` are taken to be in
// `acct` already.
absl::Status CheckSupport(const TableEdit& edit,
                          const std::vector<std::vector<uint8_t>>& entries,
                          AcctTable& acct,
                          absl::Span<const AcctObject> new_counters = {});

// Why the kernel refused to take the edit: the errno says only what kind of
// trouble it is, this looks for what it may have meant. `before` is the table
// that was to be changed. FAILED_PRECONDITION, STALE_RULE: the kernel now
// refuses a rule that is in it.
absl::Status ExplainRefusal(int err, const TableEdit& edit,
                            const std::vector<std::vector<uint8_t>>& entries,
                            const TableContents& before, AcctTable& acct);
// The same of what is owned by one owner.
absl::Status ExplainOwnedRefusal(int err, const OwnedTable& wanted,
                                 const std::string& owner,
                                 const TableContents& before);

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_LINUX_XTABLES_IPTC_RULE_TABLE_SUPPORT_H_
