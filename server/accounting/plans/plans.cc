// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/plans/plans.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "accounting/plans/rule_gaps.h"
#include "base/error.h"
#include "base/stable_hash.h"
#include "base/status_macros.h"
#include "kernel/owned_diff.h"

namespace nfmeter::accounting {
namespace {

// How old a reading may be where many changes come, each with a look.
constexpr absl::Duration kStormStaleness = absl::Seconds(1);

std::string EtagOf(absl::string_view source) {
  return absl::StrFormat("%016x", StableHash().Add(source).value());
}

std::vector<std::string> NamesOf(const CompiledPlan& compiled) {
  std::vector<std::string> names;
  names.reserve(compiled.counters.size());
  for (const PlannedCounter& each : compiled.counters) {
    names.push_back(each.name);
  }
  return names;
}

// Until when the server before this one has looked after its plans: its last
// look came at most an interval before its last record.
absl::Time LastLookBefore(const Ledger& ledger, absl::Duration interval) {
  const LedgerStatus status = ledger.status();
  return status.sequence == 0 || status.record_time == absl::Time()
             ? absl::InfinitePast()
             : status.record_time - interval;
}

// Thresholds and periods of quotas that differ: the kernel has neither, so that
// no comparison with it sees them.
void AddQuotaTerms(const CompiledPlan& before, const CompiledPlan& now,
                   std::vector<PlanChange>& changes) {
  if (!before.watched_quotas && !now.watched_quotas) return;
  absl::flat_hash_map<absl::string_view, const PlanQuota*> quotas;
  for (const PlannedCounter& each : before.counters) {
    if (each.quota.has_value()) quotas.emplace(each.name, &*each.quota);
  }
  absl::flat_hash_map<std::string, size_t> told;
  for (size_t i = 0; i < changes.size(); ++i) told[changes[i].counter] = i;
  for (const PlannedCounter& each : now.counters) {
    const auto was = quotas.find(each.name);
    if (was == quotas.end() || !each.quota.has_value() ||
        (was->second->thresholds == each.quota->thresholds &&
         was->second->period == each.quota->period)) {
      continue;
    }
    const auto found = told.find(each.name);
    if (found == told.end()) {
      changes.push_back({.kind = PlanChange::Kind::kChange,
                         .counter = each.name,
                         .fields = {"quota"}});
      continue;
    }
    PlanChange& change = changes[found->second];
    if (change.kind == PlanChange::Kind::kChange &&
        !absl::c_linear_search(change.fields, "quota")) {
      change.fields.emplace_back("quota");
    }
  }
}

PlanChange OfChains(kernel::OwnedDifference difference) {
  using Kind = kernel::OwnedDifference::Kind;
  PlanChange change;
  change.kind = difference.kind == Kind::kMissing ? PlanChange::Kind::kAdd
                : difference.kind == Kind::kUnwanted
                    ? PlanChange::Kind::kRemove
                    : PlanChange::Kind::kChange;
  change.chains = std::move(difference);
  return change;
}

void AddChains(std::vector<kernel::OwnedDifference> differences,
               std::vector<PlanChange>& changes) {
  for (kernel::OwnedDifference& each : differences) {
    changes.push_back(OfChains(std::move(each)));
  }
}

}  // namespace

Plans::Plans(const Parts& parts, const Options& options)
    : options_(options),
      form_(parts.rules.CountsByMaps() ? PlanForm::kMaps : PlanForm::kChains),
      store_(parts.store),
      clock_(parts.clock),
      read_(parts.read),
      applier_(parts.rules, parts.rule_lane, parts.counters,
               parts.counter_editor, parts.labels),
      cgroups_(parts.cgroups),
      ledger_(parts.ledger),
      last_look_(LastLookBefore(parts.ledger, options.health.check_interval)),
      plans_(parts.kept_rules),
      quotas_(parts.counters, parts.counter_editor, parts.quotas, parts.store,
              parts.clock),
      keeper_({.plans = plans_,
               .applier = applier_,
               .quotas = quotas_,
               .ledger = parts.ledger,
               .rule_keeper = parts.rule_keeper,
               .kept_rules = parts.kept_rules,
               .keep_counters = parts.keep_counters,
               .cgroups = parts.cgroups,
               .clock = parts.clock},
              form_, options),
      alarm_(clock_.NewAlarm()),
      lane_("nfm-plans", 1024) {}

Plans::~Plans() { Stop(); }

void Plans::Stop() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  alarm_->Ring();
  if (ticker_.joinable()) ticker_.join();
}

absl::Status Plans::Start() {
  NFM_RETURN_IF_ERROR(
      lane_.Run(Lane::Priority::kNormal, [this] { return LoadAll(); }));
  ticker_ = std::thread([this] { Loop(); });
  return absl::OkStatus();
}

absl::Status Plans::LoadAll() {
  NFM_ASSIGN_OR_RETURN(std::vector<StoredPlan> stored, store_.All());
  // A file of before, on a disk that takes nothing now, has none.
  if (auto times = store_.WellTimes(); times.ok()) {
    well_times_ = *std::move(times);
  }
  const auto well_time = [&](absl::string_view name) {
    const auto found = well_times_.find(std::string(name));
    return found == well_times_.end() ? last_look_ : found->second;
  };
  plans_.ChangeHealth(kOutsidePlans, [&](PlanHealth& health) {
    health.WasWell(well_time(kOutsidePlans));
  });
  for (StoredPlan& each : stored) {
    absl::Status failed;
    AppliedPlan applied = Load(std::move(each), failed);
    const PlanInfo info = applied.info;
    plans_.Put(std::move(applied));
    plans_.ChangeHealth(info.name, [&](PlanHealth& health) {
      health.Name(info.name, info.etag);
      health.WasWell(std::max(info.apply_time, well_time(info.name)));
      if (!failed.ok()) health.NoteFailed(failed, clock_, options_.health);
    });
  }
  LookOnLane(absl::ZeroDuration());
  return absl::OkStatus();
}

AppliedPlan Plans::Load(StoredPlan stored, absl::Status& failed) const {
  AppliedPlan applied = {.info = {.name = std::move(stored.name),
                                  .owner = std::move(stored.owner),
                                  .etag = EtagOf(stored.source),
                                  .source = std::move(stored.source),
                                  .apply_time = stored.apply_time},
                         .plan = std::make_shared<const Plan>(),
                         .compiled = std::make_shared<const CompiledPlan>()};
  absl::StatusOr<Plan> plan = read_(applied.info.source);
  if (plan.ok()) applied.cgroups = BindCgroups(*plan, cgroups_);
  absl::StatusOr<CompiledPlan> compiled =
      plan.ok() ? CompilePlan(*plan, options_.budget, form_, applied.cgroups)
                : plan.status();
  failed = compiled.status();
  if (!compiled.ok()) return applied;
  applied.info.cost = compiled->cost;
  applied.info.counters = compiled->counters.size();
  applied.plan = std::make_shared<const Plan>(*std::move(plan));
  applied.compiled = std::make_shared<const CompiledPlan>(*std::move(compiled));
  applied.usable = true;
  return applied;
}

absl::StatusOr<PlanInfo> Plans::Get(absl::string_view name) const {
  std::optional<AppliedPlan> found = plans_.Find(name);
  if (!found.has_value()) return PlanNotFound(name);
  return std::move(found->info);
}

absl::StatusOr<PlanOutcome> Plans::Apply(NewPlan plan, const PlanTerms& terms) {
  return lane_.Run(Lane::Priority::kUrgent, [&] {
    const std::string name = plan.plan.name;
    absl::StatusOr<PlanOutcome> outcome = ApplyNow(std::move(plan), terms);
    if (!outcome.ok()) {
      plans_.ChangeHealth(name,
                          [](PlanHealth& health) { health.NoteNotApplied(); });
    }
    return outcome;
  });
}

absl::Status Plans::CheckTerms(const NewPlan& plan,
                               const PlanTerms& terms) const {
  if (plan.plan.accounts.empty() && plan.plan.groups.empty() &&
      !terms.allow_empty) {
    return MakeError(absl::StatusCode::kFailedPrecondition, "PLAN_EMPTY",
                     "the plan has no accounts; to remove all that it had, "
                     "say so with allow_empty");
  }
  const std::optional<AppliedPlan> before = plans_.Find(plan.plan.name);
  if (before.has_value() && before->info.owner != plan.owner &&
      !terms.take_over) {
    return PlanOfOthers(before->info);
  }
  if (before.has_value() && terms.counting_only) {
    NFM_RETURN_IF_ERROR(CheckOnlyCounts(*before));
  }
  const bool as_said = terms.etag.empty() ||
                       (before.has_value() && before->info.etag == terms.etag);
  return as_said ? absl::OkStatus() : EtagMismatch(plan.plan.name);
}

absl::StatusOr<PlanOutcome> Plans::ApplyNow(NewPlan plan,
                                            const PlanTerms& terms) {
  NFM_RETURN_IF_ERROR(CheckTerms(plan, terms));
  // Counters are read while the plan is compiled.
  const std::shared_ptr<WaitingReader> reading =
      applier_.BeginReading(plan.plan);
  CgroupBindings cgroups = BindCgroups(plan.plan, cgroups_);
  NFM_ASSIGN_OR_RETURN(CompiledPlan compiled,
                       CompilePlan(plan.plan, options_.budget, form_, cgroups));
  const std::string name = plan.plan.name;
  NFM_RETURN_IF_ERROR(plans_.CheckNoOthers(compiled, name, terms.replaces));
  const AppliedPlan before = plans_.FindOrEmpty(name);
  if (!terms.validate_only) keeper_.LookAtQuotas(before);
  const PlanProgress progress = [&](PlanStep step, size_t done, size_t total) {
    if (terms.validate_only) return;
    plans_.ChangeHealth(name, [&](PlanHealth& health) {
      health.NoteProgress(step, done, total);
    });
  };
  progress(PlanStep::kCompare, 0, compiled.counters.size());
  NFM_ASSIGN_OR_RETURN(
      const PlanCounterWork work,
      applier_.CompareCounters(*before.compiled, compiled, reading.get()));
  NFM_RETURN_IF_ERROR(terms.counting_only ? applier_.CheckOnlyCounts(work)
                                          : applier_.CheckNoCaps(work));
  if (terms.prune) {
    NFM_RETURN_IF_ERROR(applier_.CheckHeldByPlansAlone(
        work.removed,
        "delete these rules first, or apply without prune: then the counters "
        "stay"));
  }

  PlanOutcome outcome;
  outcome.changes = work.Changes();
  AddQuotaTerms(*before.compiled, compiled, outcome.changes);
  outcome.plan = {.name = name,
                  .owner = plan.owner,
                  .etag = EtagOf(plan.source),
                  .source = plan.source,
                  .apply_time = clock_.WallTime(),
                  .cost = compiled.cost,
                  .counters = compiled.counters.size()};
  if (terms.validate_only) {
    NFM_ASSIGN_OR_RETURN(
        kernel::OwnedOutcome chains,
        applier_.ApplyChains(before.chains(), {plan.plan, compiled}, work,
                             {.dry_run = true, .patience = terms.patience}));
    AddChains(std::move(chains.differences), outcome.changes);
    return outcome;
  }
  NFM_ASSIGN_OR_RETURN(PlanStore::Change stored,
                       store_.Put({.name = name,
                                   .owner = plan.owner,
                                   .source = plan.source,
                                   .apply_time = outcome.plan.apply_time}));
  NFM_RETURN_IF_ERROR(applier_.MakeCounters(work, progress));
  progress(PlanStep::kRules, 0, compiled.cost.rules);
  const absl::Time began = clock_.WallTime();
  const PlanChains now = {plan.plan, compiled};
  absl::StatusOr<kernel::OwnedOutcome> chains = applier_.ApplyChains(
      before.chains(), now, work, {.patience = terms.patience});
  // ApplyChains() leaves quotas as they were when it fails.
  if (!chains.ok()) return TakeBack(before, work, nullptr, chains.status());
  // Committed only when the kernel has it: a server that is killed in between
  // finds the old plan in the store and restores it.
  if (absl::Status kept = stored.Commit(); !kept.ok()) {
    return TakeBack(before, work, &now, std::move(kept));
  }
  const std::vector<kernel::OwnedDifference> drift =
      DriftIn(chains->differences, before.compiled->tables, compiled.tables);
  if (!drift.empty()) {
    plans_.ChangeHealth(
        name, [&](PlanHealth& health) { health.NoteRepairedByApply(clock_); });
    keeper_.TellRepair(name, drift.size(),
                       MissedCounters(before.compiled->tables, drift));
  }
  // Two commits, or two hooks: a packet between them met the rules of none or
  // of both.
  if (before.usable && (before.plan->table != plan.plan.table ||
                        (form_ == PlanForm::kMaps &&
                         before.plan->placement != plan.plan.placement))) {
    for (const std::string& counter : NamesOf(*before.compiled)) {
      ledger_.NoteGap(counter, GapCause::kRulesMissing, began,
                      clock_.WallTime());
    }
  }
  AddChains(std::move(chains->differences), outcome.changes);
  outcome.commits = chains->commits;
  Keep({.info = outcome.plan,
        .plan = std::make_shared<const Plan>(std::move(plan.plan)),
        .compiled = std::make_shared<const CompiledPlan>(std::move(compiled)),
        .cgroups = std::move(cgroups),
        .usable = true});
  for (const std::string& each : terms.replaces) {
    NFM_RETURN_IF_ERROR(DeleteNow(each, {.owner = outcome.plan.owner,
                                         .keep_counters = true,
                                         .patience = terms.patience})
                            .status());
  }
  absl::Status removed;
  if (terms.prune) {
    progress(PlanStep::kCleanUp, 0, work.removed.size());
    removed = applier_.RemoveCounters(work.removed, terms.patience).status();
  }
  plans_.ChangeHealth(name, [&](PlanHealth& health) {
    health.Name(name, outcome.plan.etag);
    health.NoteApplied(clock_);
  });
  NFM_RETURN_IF_ERROR(Annotate(removed,
                               "the plan is applied, but counters that it has "
                               "no more could not be deleted"));
  return outcome;
}

absl::Status Plans::TakeBack(const AppliedPlan& before,
                             const PlanCounterWork& work,
                             const PlanChains* done, absl::Status why) {
  const absl::Status back =
      (done == nullptr
           ? applier_.ApplyChains(before.chains(), {})
           : applier_.ApplyChains(*done, before.chains(), work.Reversed(), {}))
          .status();
  if (!back.ok()) {
    return MakeError(
        absl::StatusCode::kAborted,
        absl::StrCat("the plan failed half-way, and its rules could not be "
                     "taken back yet: ",
                     back.message(), "; it failed as ", why.message(),
                     "; the plan of before is restored at the next look"),
        ErrorDetails{.reason = "CHANGE_HALF_DONE",
                     .metadata = {{"plan", before.plan->name}}});
  }
  applier_.UndoCounters(work);
  return why;
}

void Plans::Keep(AppliedPlan applied) {
  const std::string name = applied.info.name;
  const std::shared_ptr<const CompiledPlan> compiled = applied.compiled;
  plans_.Put(std::move(applied));
  quotas_.NoteApplied(name, *compiled).IgnoreError();
}

void Plans::NoteMoved(const std::map<std::string, std::string>& before,
                      absl::Time from) {
  const absl::Time to = clock_.WallTime();
  bool moved = false;
  for (const auto& [counter, plan] : PlansByCounter()) {
    const auto was = before.find(counter);
    if (was == before.end() || was->second == plan) continue;
    ledger_.NoteGap(counter, GapCause::kRulesMissing, from, to);
    moved = true;
  }
  if (moved) ledger_.Commit().IgnoreError();
}

absl::StatusOr<PlanRemoval> Plans::Delete(absl::string_view name,
                                          const PlanDeletion& deletion) {
  return lane_.Run(Lane::Priority::kUrgent,
                   [&] { return DeleteNow(std::string(name), deletion); });
}

absl::Status Plans::CheckDeletion(const AppliedPlan& plan,
                                  const PlanDeletion& deletion) const {
  if (deletion.counting_only) NFM_RETURN_IF_ERROR(CheckOnlyCounts(plan));
  return deletion.keep_counters
             ? absl::OkStatus()
             : applier_.CheckHeldByPlansAlone(
                   NamesOf(*plan.compiled),
                   "delete these rules first, or set keep_counters");
}

absl::StatusOr<PlanRemoval> Plans::DeleteNow(const std::string& name,
                                             const PlanDeletion& deletion) {
  const std::optional<AppliedPlan> found = plans_.Find(name);
  if (!found.has_value()) return PlanNotFound(name);
  const AppliedPlan& before = *found;
  if (before.info.owner != deletion.owner && !deletion.take_over) {
    return PlanOfOthers(before.info);
  }
  if (!deletion.etag.empty() && deletion.etag != before.info.etag) {
    return EtagMismatch(name);
  }
  NFM_RETURN_IF_ERROR(CheckDeletion(before, deletion));
  const std::vector<std::string> names = NamesOf(*before.compiled);
  PlanRemoval removal = {.counters = deletion.keep_counters ? 0 : names.size(),
                         .rules = before.compiled->cost.rules};
  if (deletion.validate_only) return removal;
  NFM_ASSIGN_OR_RETURN(PlanStore::Change removed, store_.Remove(name));
  Plan empty = {.name = name};
  NFM_RETURN_IF_ERROR(
      applier_.ApplyChains({empty, {}}, {.patience = deletion.patience})
          .status());
  NFM_RETURN_IF_ERROR(removed.Commit());
  quotas_.Forget(name);
  plans_.Erase(name);
  if (deletion.keep_counters) return removal;
  const auto counters = applier_.RemoveCounters(names, deletion.patience);
  if (!counters.ok()) {
    return Annotate(counters.status(),
                    "the plan and its rules are gone, but its counters could "
                    "not be deleted");
  }
  removal.counters = *counters;
  return removal;
}

absl::StatusOr<PlanRemoval> Plans::DeleteAll(const PlanDeletion& deletion) {
  return lane_.Run(Lane::Priority::kUrgent,
                   [&] { return DeleteAllNow(deletion); });
}

absl::StatusOr<PlanRemoval> Plans::DeleteAllNow(PlanDeletion deletion) {
  deletion.etag.clear();
  deletion.take_over = true;
  // Before any of them is deleted.
  for (const PlanInfo& info : List()) {
    NFM_RETURN_IF_ERROR(CheckDeletion(plans_.FindOrEmpty(info.name), deletion));
  }
  PlanRemoval all;
  absl::flat_hash_set<std::string> known;
  for (const PlanInfo& info : List()) {
    NFM_ASSIGN_OR_RETURN(const PlanRemoval removal,
                         DeleteNow(info.name, deletion));
    all.plans.push_back(info.name);
    all.counters += removal.counters;
    all.rules += removal.rules;
    known.insert(kernel::OwnedChainsOf(OwnerOfChains(info.name)));
  }
  absl::StatusOr<kernel::OwnedOutcome> left =
      applier_.RemoveAllChains(deletion.validate_only, deletion.patience);
  // A backend without chains has none of them.
  if (absl::IsUnimplemented(left.status())) return all;
  NFM_RETURN_IF_ERROR(left.status());
  for (const kernel::OwnedDifference& each : left->differences) {
    const bool is_known = absl::c_any_of(known, [&](const std::string& prefix) {
      return absl::StartsWith(each.chain, prefix);
    });
    // The others are chains of the host from which jumps were deleted.
    if (is_known || !absl::StartsWith(each.chain, kernel::kOwnedChainPrefix)) {
      continue;
    }
    all.chains.push_back(each.chain);
  }
  absl::c_sort(all.chains);
  all.chains.erase(std::unique(all.chains.begin(), all.chains.end()),
                   all.chains.end());
  return all;
}

void Plans::LookSoon() { alarm_->Ring(); }

void Plans::Look(absl::Duration max_staleness) {
  // A full lane means that changes are under way; they look themselves.
  lane_
      .Run(Lane::Priority::kNormal,
           [&] {
             LookOnLane(max_staleness);
             return absl::OkStatus();
           })
      .IgnoreError();
}

void Plans::LookOnLane(absl::Duration max_staleness) {
  keeper_.Look(max_staleness);
  std::map<std::string, absl::Time> times = plans_.UnwellSince();
  // What fails now is tried again with the next look.
  if (times != well_times_ && store_.PutWellTimes(times).ok()) {
    well_times_ = std::move(times);
  }
}

void Plans::Loop() {
  const absl::Duration interval = options_.health.check_interval;
  absl::Duration next = clock_.BootTime() + interval;
  while (true) {
    alarm_->WaitUntil(next);
    {
      absl::MutexLock lock(&mutex_);
      if (stopping_) return;
    }
    // Whoever changes rules may have deleted counters with them.
    Look(clock_.BootTime() < next ? kStormStaleness : interval);
    next = clock_.BootTime() + interval;
  }
}

}  // namespace nfmeter::accounting
