// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/plans/plan_applier.h"

#include <iterator>
#include <utility>

#include "absl/algorithm/container.h"
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
  if (!planned.description.empty()) {
    counter.labels[kDescriptionLabel] = planned.description;
  }
  return counter;
}

// Whether a counter that has these labels needs no others.
bool AreLabelsOf(const PlannedCounter& planned, const Labels& labels) {
  absl::string_view description;
  auto wanted = planned.labels.begin();
  for (const auto& label : labels) {
    if (label.first == kManagedLabel) continue;
    if (label.first == kDescriptionLabel) {
      description = label.second;
      continue;
    }
    if (wanted == planned.labels.end() || *wanted != label) return false;
    ++wanted;
  }
  return wanted == planned.labels.end() && description == planned.description;
}

// By name.
std::vector<absl::string_view> PlannedNames(const CompiledPlan& compiled) {
  std::vector<absl::string_view> names;
  names.reserve(compiled.counters.size());
  for (const PlannedCounter& each : compiled.counters) {
    names.push_back(each.name);
  }
  return names;
}

std::vector<std::string> NamesOf(absl::Span<const Counter> counters) {
  std::vector<std::string> names;
  names.reserve(counters.size());
  for (const Counter& counter : counters) names.push_back(counter.object.name);
  return names;
}

// The labels that people gave it.
Labels GivenLabels(Labels labels) {
  labels.erase(kManagedLabel);
  labels.erase(kDescriptionLabel);
  return labels;
}

kernel::OwnedEdit EditOf(const PlanChains& chains, bool dry_run) {
  return {.owner = OwnerOfChains(chains.plan.name),
          .wanted = chains.compiled.tables,
          .placement = chains.plan.placement,
          .dry_run = dry_run};
}

}  // namespace

std::vector<std::string> PlannedChange::Fields() const {
  const auto description = [](const Labels& labels) {
    const auto found = labels.find(kDescriptionLabel);
    return found == labels.end() ? "" : found->second;
  };
  std::vector<std::string> fields;
  if (GivenLabels(labels_before) != GivenLabels(labels_after)) {
    fields.emplace_back("labels");
  }
  if (description(labels_before) != description(labels_after)) {
    fields.emplace_back("description");
  }
  if (quota_before != quota_after) fields.emplace_back("quota");
  return fields;
}

bool PlanCounterWork::ChangesQuotas() const {
  return absl::c_any_of(changed, [](const PlannedChange& each) {
    return each.quota_before != each.quota_after;
  });
}

PlanCounterWork PlanCounterWork::Reversed() const {
  PlanCounterWork reversed = {.changed = changed};
  for (PlannedChange& each : reversed.changed) {
    std::swap(each.labels_before, each.labels_after);
    std::swap(each.quota_before, each.quota_after);
  }
  return reversed;
}

PlanCounterWork PlanCounterWork::WithoutLabels() const {
  PlanCounterWork work = *this;
  for (PlannedChange& each : work.changed) {
    each.labels_after = each.labels_before;
  }
  std::erase_if(work.changed, [](const PlannedChange& each) {
    return each.Fields().empty();
  });
  return work;
}

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
  for (const PlannedChange& each : changed) {
    add(PlanChange::Kind::kChange, each.counter, each.Fields());
  }
  for (const std::string& each : removed) {
    add(PlanChange::Kind::kRemove, each, {});
  }
  return changes;
}

std::shared_ptr<WaitingReader> PlanApplier::BeginReading(
    const Plan& plan) const {
  size_t accounts = plan.accounts.size();
  for (const AccountGroup& group : plan.groups) {
    accounts += group.members.size();
  }
  return accounts < kDumpFromNames ? nullptr : counters_.BeginReading();
}

absl::StatusOr<PlanCounterWork> PlanApplier::CompareCounters(
    const CompiledPlan& before, const CompiledPlan& compiled,
    WaitingReader* reading) const {
  const std::vector<PlannedCounter>& planned = compiled.counters;
  const std::vector<absl::string_view> names = PlannedNames(compiled);
  NFM_ASSIGN_OR_RETURN(
      const auto found,
      reading != nullptr ? counters_.FindObjects(names, *reading)
                         : counters_.FindObjects(names, absl::ZeroDuration()));
  // The labels of those that are not as they are planned.
  std::vector<std::optional<Labels>> others(planned.size());
  labels_.Visit(names, [&](size_t i, const Labels& labels) {
    if (found[i].has_value() &&
        (found[i]->object.quota != LimitOf(planned[i]) ||
         !AreLabelsOf(planned[i], labels))) {
      others[i] = labels;
    }
  });
  PlanCounterWork work;
  for (size_t i = 0; i < planned.size(); ++i) {
    if (found[i].has_value() && !others[i].has_value()) continue;
    Counter wanted = Wanted(planned[i]);
    if (!found[i].has_value()) {
      work.made.push_back(std::move(wanted));
      continue;
    }
    if (others[i]->contains(kManagedLabel)) wanted.labels[kManagedLabel] = "";
    work.changed.push_back({.counter = planned[i].name,
                            .labels_before = *std::move(others[i]),
                            .labels_after = std::move(wanted.labels),
                            .quota_before = found[i]->object.quota,
                            .quota_after = wanted.object.quota});
  }
  // Both are by name.
  std::vector<absl::string_view> removed;
  absl::c_set_difference(PlannedNames(before), names,
                         std::back_inserter(removed));
  for (const absl::string_view name : removed) work.removed.emplace_back(name);
  return work;
}

absl::Status PlanApplier::CheckOnlyCounts(const PlanCounterWork& work) const {
  std::vector<std::string> names;
  for (const PlannedChange& each : work.changed) {
    if (each.quota_before != each.quota_after) names.push_back(each.counter);
  }
  return names.empty() ? absl::OkStatus()
                       : counter_editor_.CheckOnlyCounts(names);
}

absl::Status PlanApplier::CheckNoCaps(const PlanCounterWork& work) const {
  std::vector<std::string> names;
  for (const PlannedChange& each : work.changed) {
    if (each.quota_before.has_value() && !each.quota_after.has_value()) {
      names.push_back(each.counter);
    }
  }
  return names.empty() ? absl::OkStatus() : counter_editor_.CheckNoCaps(names);
}

absl::Status PlanApplier::MakeCounters(const PlanCounterWork& work,
                                       const PlanProgress& progress) const {
  if (!work.made.empty()) {
    progress(PlanStep::kCounters, 0, work.made.size());
    NFM_RETURN_IF_ERROR(
        counter_editor_.Create(work.made, /*validate_only=*/false).status());
    progress(PlanStep::kCounters, work.made.size(), work.made.size());
  }
  const absl::Status labelled = SetLabels(work);
  if (!labelled.ok()) UndoCounters(work);
  return labelled;
}

absl::Status PlanApplier::SetLabels(const PlanCounterWork& work) const {
  std::vector<std::pair<std::string, Labels>> labels;
  for (const PlannedChange& each : work.changed) {
    if (each.labels_before == each.labels_after) continue;
    labels.emplace_back(each.counter, each.labels_after);
  }
  return labels.empty() ? absl::OkStatus() : labels_.Set(labels);
}

void PlanApplier::UndoCounters(const PlanCounterWork& work) const {
  SetLabels(work.Reversed()).IgnoreError();
  if (work.made.empty()) return;
  // A counter that can't be deleted is unused, and the next plan takes it over.
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
                       counter_editor_.Delete(targets, {.patience = patience}));
  if (!deleted.failures.empty()) return deleted.failures[0].status;
  return deleted.counters.size();
}

absl::StatusOr<kernel::OwnedOutcome> PlanApplier::ApplyChains(
    const PlanChains& chains, const ChainTerms& terms) const {
  return Run(EditOf(chains, terms.dry_run), terms.patience);
}

absl::StatusOr<kernel::OwnedOutcome> PlanApplier::ApplyChains(
    const PlanChains& before, const PlanChains& chains,
    const PlanCounterWork& work, const ChainTerms& terms) const {
  if (!work.ChangesQuotas()) return ApplyChains(chains, terms);
  OwnedQuotaChanges::Change change = {.wanted = EditOf(chains, terms.dry_run),
                                      .old = EditOf(before, /*dry_run=*/false),
                                      .patience = terms.patience};
  for (const PlannedChange& each : work.changed) {
    if (each.quota_before == each.quota_after) continue;
    change.before.push_back({each.counter, each.quota_before});
    change.after.push_back({each.counter, each.quota_after});
  }
  return counter_editor_.ChangeQuotas(change);
}

absl::StatusOr<std::optional<uint64_t>> PlanApplier::Fingerprint() const {
  return rule_lane_.Run(Lane::Priority::kNormal,
                        [&] { return rules_.Fingerprint(); });
}

absl::StatusOr<kernel::OwnedOutcome> PlanApplier::RemoveAllChains(
    bool dry_run, const kernel::Patience& patience) const {
  // The names of all owners' chains begin with the empty owner's.
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
