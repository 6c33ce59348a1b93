// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/rule_table.h"

#include "base/status_macros.h"
#include "kernel/rule_edit.h"

namespace nfmeter::kernel {

absl::StatusOr<size_t> RuleTable::MoveRules(const CounterMove& move,
                                            const Patience& patience) {
  KernelEdit edit;
  size_t moved = 0;
  for (const Family family : kAllFamilies) {
    for (const Table table : kAllTables) {
      const absl::StatusOr<TableContents> contents = Read(family, table);
      // A table that is not there, or that nobody can see, has no rules of
      // ours.
      if (absl::IsUnimplemented(contents.status()) ||
          absl::IsPermissionDenied(contents.status())) {
        continue;
      }
      NFM_RETURN_IF_ERROR(contents.status());
      TableEdit change{.family = family, .table = table};
      for (const Chain& chain : contents->chains) {
        for (const Rule& rule : chain.rules) {
          if (!CountsInto(rule, move.from)) continue;
          if (!IsOurs(rule)) return CounterHeldBy(rule, move.from);
          // Of an owned chain, which is its owner's to change.
          if (!rule.managed) continue;
          change.deletions.push_back(rule.id);
          RestoredRule again = AsItWas(rule);
          again.spec.counter = move.to;
          change.restorations.push_back(std::move(again));
        }
      }
      if (change.deletions.empty()) continue;
      moved += change.deletions.size();
      edit.tables.push_back(std::move(change));
    }
  }
  if (moved > 0 && !move.dry_run) {
    NFM_RETURN_IF_ERROR(Apply(edit, patience).status());
  }
  return moved;
}

}  // namespace nfmeter::kernel
