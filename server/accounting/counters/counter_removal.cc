// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/counters/counter_removal.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "accounting/common/counter_errors.h"
#include "accounting/counters/in_slices.h"
#include "base/status_macros.h"
#include "kernel/acct_table.h"

namespace nfmeter::accounting {
namespace {

bool AnyManaged(absl::Span<const kernel::Rule> rules) {
  return std::any_of(rules.begin(), rules.end(),
                     [](const kernel::Rule& rule) { return rule.managed; });
}

}  // namespace

absl::Status CounterRemoval::Release(absl::Span<const Counter> counters,
                                     const CounterDeletion& deletion) {
  absl::flat_hash_map<std::string, uint32_t> unexplained;
  std::vector<std::string> held;
  for (const Counter& counter : counters) {
    if (counter.object.use_count == 0) continue;
    held.push_back(counter.object.name);
    unexplained[counter.object.name] = counter.object.use_count;
  }
  if (held.empty()) return absl::OkStatus();
  absl::StatusOr<std::vector<kernel::Rule>> holders =
      parts_.rules.Holders(held);
  if (!holders.ok()) {
    return CountersInUse(
        held, {},
        absl::StrCat("the rules can't be read: ", holders.status().message()));
  }
  if (!deletion.delete_managed_rules && AnyManaged(*holders)) {
    return CountersInUse(held, *holders,
                         "delete the rules first, or set "
                         "delete_managed_rules for those of nfmeter");
  }
  std::vector<std::string> ids;
  std::vector<kernel::Rule> foreign;
  absl::flat_hash_set<std::string> stuck;
  for (kernel::Rule& rule : *holders) {
    uint32_t& count = unexplained[rule.counter];
    if (count > 0) --count;
    if (rule.managed) {
      ids.push_back(rule.id);
    } else {
      stuck.insert(rule.counter);
      stuck.insert(rule.other_counters.begin(), rule.other_counters.end());
      foreign.push_back(std::move(rule));
    }
  }
  for (const auto& [counter, uses] : unexplained) {
    if (uses > 0) stuck.insert(counter);
  }
  if (!stuck.empty()) {
    std::erase_if(held, [&](const std::string& counter) {
      return !stuck.contains(counter);
    });
    return CountersInUse(held, foreign,
                         "nfmeter deletes only rules of its own: whoever made "
                         "this must delete it");
  }
  return DeleteRules(std::move(ids), held, deletion);
}

absl::Status CounterRemoval::DeleteRules(
    std::vector<std::string> ids, const std::vector<std::string>& counters,
    const CounterDeletion& deletion) {
  while (!ids.empty()) {
    std::vector<std::string> deleted;
    // Somebody's copies of rules in other tables have the same ids, perhaps
    // with other counters.
    std::vector<std::string> copies;
    absl::flat_hash_set<std::string> seen;
    for (std::string& id : ids) {
      (seen.insert(id).second ? deleted : copies).push_back(std::move(id));
    }
    NFM_RETURN_IF_ERROR(
        parts_.rule_editor
            .Delete(deleted, {.validate_only = deletion.validate_only,
                              .patience = deletion.patience,
                              .counters = counters,
                              .counting_only = deletion.counting_rules_only})
            .status());
    if (deletion.validate_only) break;
    ids = std::move(copies);
  }
  return absl::OkStatus();
}

std::vector<absl::StatusOr<kernel::AcctObject>> CounterRemoval::ReadAndDelete(
    absl::Span<const std::string> names) {
  std::vector<absl::StatusOr<kernel::AcctObject>> results =
      parts_.table.GetEach(names);
  // What could not be read stays, and so do its counts.
  std::vector<size_t> read;
  std::vector<kernel::AcctObject> objects;
  for (size_t i = 0; i < names.size(); ++i) {
    if (parts_.stand_ins.IsGuarded(names[i])) {
      results[i] = CountersInUse({names[i]}, {},
                                 "its quota is just being changed; try again");
    }
    if (!results[i].ok()) continue;
    read.push_back(i);
    objects.push_back(*results[i]);
  }
  const std::vector<absl::Status> deleted = DeleteNow(objects);
  for (size_t i = 0; i < read.size(); ++i) {
    if (!deleted[i].ok()) results[read[i]] = deleted[i];
  }
  return results;
}

std::vector<absl::Status> CounterRemoval::DeleteNow(
    absl::Span<const kernel::AcctObject> objects) {
  const std::vector<std::string> names = kernel::NamesOf(objects);
  std::vector<absl::Status> results = parts_.table.Delete(names);
  std::vector<kernel::AcctObject> deleted;
  for (size_t i = 0; i < names.size(); ++i) {
    // The answer was lost, and the object may or may not be deleted.
    if (absl::IsDataLoss(results[i])) {
      results[i] = parts_.table.Delete({names[i]}).front();
      if (absl::IsNotFound(results[i])) results[i] = absl::OkStatus();
    }
    if (results[i].ok()) deleted.push_back(objects[i]);
  }
  parts_.observers.OnDeleted(deleted);
  return results;
}

void CounterRemoval::Remove(
    absl::Span<const std::string> names,
    absl::FunctionRef<void(size_t index,
                           absl::StatusOr<kernel::AcctObject> deleted)>
        on_result) {
  InSlices<absl::StatusOr<kernel::AcctObject>>(
      parts_.lane, names,
      [&](absl::Span<const std::string> slice) { return ReadAndDelete(slice); },
      on_result);
}

}  // namespace nfmeter::accounting
