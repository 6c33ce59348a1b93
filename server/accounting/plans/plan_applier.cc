// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/plans/plan_applier.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "base/error.h"
#include "base/status_macros.h"

namespace nfmeter::accounting {
namespace {

std::optional<kernel::QuotaLimit> LimitOf(const PlannedCounter& counter) {
  return counter.quota.has_value() ? std::optional(counter.quota->limit)
                                   : std::nullopt;
}

Counter Wanted(const PlannedCounter& planned) {
  Counter counter;
  counter.object.name = planned.name;
  counter.object.quota = LimitOf(planned);
  counter.labels = planned.labels;
  return counter;
}

std::vector<std::string> NamesOf(absl::Span<const Counter> counters) {
  std::vector<std::string> names;
  names.reserve(counters.size());
  for (const Counter& counter : counters) names.push_back(counter.object.name);
  return names;
}

// Those that people gave it.
Labels LabelsOf(const Counter& counter) {
  Labels labels = counter.labels;
  labels.erase(kManagedLabel);
  labels.erase(kDescriptionLabel);
  return labels;
}

absl::Status QuotaCannotChange(const Counter& counter) {
  return MakeError(
      absl::StatusCode::kFailedPrecondition,
      absl::StrCat("counter ", counter.object.name,
                   " exists with another quota, and the kernel can't change "
                   "one under the rules of a plan; give the account another "
                   "counter, or apply the plan without it and with prune, and "
                   "then as it is: its total begins anew then"),
      ErrorDetails{.reason = "QUOTA_DIFFERS",
                   .metadata = {{"counter", counter.object.name}}});
}

}  // namespace

std::vector<PlanChange> PlanCounterWork::Changes() const {
  std::vector<PlanChange> changes;
  const auto add = [&](PlanChange::Kind kind, const std::string& counter,
                       std::vector<std::string> fields) {
    changes.push_back(
        {.kind = kind, .counter = counter, .fields = std::move(fields)});
  };
  for (const Counter& each : made) {
    add(PlanChange::Kind::kAdd, each.object.name, {});
  }
  for (const Counter& each : relabelled) {
    add(PlanChange::Kind::kChange, each.object.name, {"labels"});
  }
  for (const std::string& each : removed) {
    add(PlanChange::Kind::kRemove, each, {});
  }
  return changes;
}

absl::StatusOr<PlanCounterWork> PlanApplier::CompareCounters(
    const CompiledPlan& compiled,
    absl::Span<const std::string> old_names) const {
  std::vector<std::string> names;
  names.reserve(compiled.counters.size());
  for (const PlannedCounter& counter : compiled.counters) {
    names.push_back(counter.name);
  }
  NFM_ASSIGN_OR_RETURN(const auto found,
                       counters_.Find(names, absl::ZeroDuration()));
  PlanCounterWork work;
  for (size_t i = 0; i < names.size(); ++i) {
    const PlannedCounter& planned = compiled.counters[i];
    if (!found[i].has_value()) {
      work.made.push_back(Wanted(planned));
    } else if (found[i]->object.quota != LimitOf(planned)) {
      return QuotaCannotChange(*found[i]);
    } else if (LabelsOf(*found[i]) != planned.labels) {
      Counter& relabelled = work.relabelled.emplace_back(Wanted(planned));
      for (const auto& [key, value] : found[i]->labels) {
        if (IsOwnLabel(key)) relabelled.labels[key] = value;
      }
    }
  }
  const absl::flat_hash_set<absl::string_view> wanted(names.begin(),
                                                      names.end());
  for (const std::string& name : old_names) {
    if (!wanted.contains(name)) work.removed.push_back(name);
  }
  return work;
}

absl::Status PlanApplier::MakeCounters(const PlanCounterWork& work,
                                       const PlanProgress& progress) const {
  if (!work.made.empty()) {
    progress(PlanStep::kCounters, 0, work.made.size());
    NFM_RETURN_IF_ERROR(
        counter_editor_.Create(work.made, /*validate_only=*/false).status());
    progress(PlanStep::kCounters, work.made.size(), work.made.size());
  }
  std::vector<std::pair<std::string, Labels>> labels;
  for (const Counter& each : work.relabelled) {
    labels.emplace_back(each.object.name, each.labels);
  }
  const absl::Status labelled =
      labels.empty() ? absl::OkStatus() : labels_.Set(labels);
  if (!labelled.ok()) UndoCounters(work);
  return labelled;
}

void PlanApplier::UndoCounters(const PlanCounterWork& work) const {
  if (work.made.empty()) return;
  // What can't be deleted again is unused, and the next application takes it.
  RemoveCounters(NamesOf(work.made), {}).IgnoreError();
}

absl::StatusOr<size_t> PlanApplier::RemoveCounters(
    absl::Span<const std::string> names,
    const kernel::Patience& patience) const {
  if (names.empty()) return 0;
  NFM_ASSIGN_OR_RETURN(const auto found,
                       counters_.Find(names, absl::ZeroDuration()));
  std::vector<CounterTarget> targets;
  for (size_t i = 0; i < names.size(); ++i) {
    if (found[i].has_value()) targets.push_back({.name = names[i]});
  }
  if (targets.empty()) return 0;
  NFM_ASSIGN_OR_RETURN(const CounterBatch deleted,
                       counter_editor_.Delete(targets, {.delete_managed_rules = true,
                                                  .patience = patience}));
  if (!deleted.failures.empty()) return deleted.failures[0].status;
  return deleted.counters.size();
}

absl::StatusOr<kernel::OwnedOutcome> PlanApplier::ApplyChains(
    const Plan& plan, const CompiledPlan& compiled, bool dry_run,
    const kernel::Patience& patience) const {
  return Run({.owner = OwnerOfChains(plan.name),
              .wanted = compiled.tables,
              .placement = plan.placement,
              .dry_run = dry_run},
             patience);
}

absl::StatusOr<kernel::OwnedOutcome> PlanApplier::RemoveAllChains(
    bool dry_run, const kernel::Patience& patience) const {
  // What every owner's begins with.
  return Run({.owner = "", .dry_run = dry_run}, patience);
}

absl::StatusOr<kernel::OwnedOutcome> PlanApplier::Run(
    const kernel::OwnedEdit& edit, const kernel::Patience& patience) const {
  return rule_lane_.Run(Lane::Priority::kNormal,
                        [&]() -> absl::StatusOr<kernel::OwnedOutcome> {
                          NFM_RETURN_IF_ERROR(patience.CheckWanted());
                          return rules_.ApplyOwned(edit, patience);
                        });
}

}  // namespace nfmeter::accounting
