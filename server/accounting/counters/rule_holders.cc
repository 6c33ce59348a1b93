// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/counters/rule_holders.h"

#include <vector>

#include "base/status_macros.h"
#include "kernel/rule_edit.h"

namespace nfmeter::accounting {
namespace {

// Adds to `held` what the rules of one table count into.
absl::Status AddHeld(const kernel::TableContents& contents,
                     const absl::flat_hash_set<std::string>& counters,
                     absl::flat_hash_set<std::string>& held) {
  for (const kernel::Chain& chain : contents.chains) {
    for (const kernel::Rule& rule : chain.rules) {
      if (!rule.managed && kernel::IsOurs(rule)) continue;
      std::vector<std::string> all = rule.other_counters;
      all.push_back(rule.counter);
      for (const std::string& counter : all) {
        if (!counters.contains(counter)) continue;
        if (!rule.managed) return kernel::CounterHeldBy(rule, counter);
        held.insert(counter);
      }
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<absl::flat_hash_set<std::string>> HeldOutside(
    kernel::RuleTable& rules,
    const absl::flat_hash_set<std::string>& counters) {
  absl::flat_hash_set<std::string> held;
  for (const kernel::Family family : kernel::kAllFamilies) {
    for (const kernel::Table table : kernel::kAllTables) {
      const absl::StatusOr<kernel::TableContents> contents =
          rules.Read(family, table);
      // A table that is not there, or that nobody can see, has no rules of
      // ours.
      if (absl::IsUnimplemented(contents.status()) ||
          absl::IsPermissionDenied(contents.status())) {
        continue;
      }
      NFM_RETURN_IF_ERROR(contents.status());
      NFM_RETURN_IF_ERROR(AddHeld(*contents, counters, held));
    }
  }
  return held;
}

}  // namespace nfmeter::accounting
