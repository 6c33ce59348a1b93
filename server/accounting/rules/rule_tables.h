// SPDX-License-Identifier: GPL-3.0-or-later
// All tables of rules, walked through.
#ifndef NFMETER_ACCOUNTING_RULES_RULE_TABLES_H_
#define NFMETER_ACCOUNTING_RULES_RULE_TABLES_H_

#include <optional>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "kernel/kernel.h"
#include "kernel/rule_table.h"
#include "kernel/rule_types.h"

namespace nfmeter::accounting {

// How reading tables went.
struct TablesRead {
  // OK: all were handed out that the kernel has. TABLE_NOT_VISIBLE: of the
  // first that was left out as this process can't see whether it is there.
  absl::Status unseen;
};

// Hands out the tables that `source`, a table of rules of `kernel`, has, until
// `on_table` returns false; call it on the lane of `source`. Without a family
// or a table: of all. UNIMPLEMENTED: the kernel has none of them.
// TABLE_NOT_VISIBLE: `table` is given and can't be seen.
absl::StatusOr<TablesRead> ReadTables(
    const kernel::Kernel& kernel, kernel::RuleTable& source,
    std::optional<kernel::Family> family, std::optional<kernel::Table> table,
    absl::FunctionRef<bool(const kernel::TableContents&)> on_table);

// Hands out all rules of a table, chain by chain, in their order.
template <typename OnRule>
void ForEachRule(const kernel::TableContents& contents, OnRule on_rule) {
  for (const kernel::Chain& chain : contents.chains) {
    for (const kernel::Rule& rule : chain.rules) on_rule(rule);
  }
}

// NOT_FOUND, RULE_NOT_FOUND.
absl::Status RuleNotFound(absl::Span<const std::string> ids);

}  // namespace nfmeter::accounting

#endif  // NFMETER_ACCOUNTING_RULES_RULE_TABLES_H_
