// What the rules of an edit need beside their table.
#ifndef NFMETER_KERNEL_LINUX_IPTC_RULE_TABLE_SUPPORT_H_
#define NFMETER_KERNEL_LINUX_IPTC_RULE_TABLE_SUPPORT_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "kernel/rule_table.h"

namespace nfmeter::kernel {

// OK: the kernel has all matches of `entries` (those of edit.insertions) and
// all counters. UNIMPLEMENTED, MATCH_UNAVAILABLE: the first match that it
// lacks. NOT_FOUND, COUNTER_NOT_FOUND: the counters that are missing, ten of
// them at most. Changes nothing.
absl::Status CheckSupport(const TableEdit& edit,
                          const std::vector<std::vector<uint8_t>>& entries);

// `status` with the rule that it is about: in words for people, who may never
// have seen an id that the server chose, and with its id for programs.
absl::Status AboutRule(const RuleSpec& rule, const absl::Status& status);

// Why the kernel refused to take the edit: the errno says only what kind of
// trouble it is, this looks for what it may have meant.
absl::Status ExplainRefusal(int err, const TableEdit& edit,
                            const std::vector<std::vector<uint8_t>>& entries);

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_LINUX_IPTC_RULE_TABLE_SUPPORT_H_
