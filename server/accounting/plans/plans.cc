// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/plans/plans.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "accounting/common/counter_errors.h"
#include "accounting/plans/rule_gaps.h"
#include "base/error.h"
#include "base/stable_hash.h"
#include "base/status_macros.h"
#include "kernel/owned_diff.h"

namespace nfmeter::accounting {
namespace {

std::string EtagOf(const NewPlan& plan) {
  return absl::StrFormat("%016x", StableHash().Add(plan.source).value());
}

std::vector<std::string> NamesOf(const CompiledPlan& compiled) {
  std::vector<std::string> names;
  names.reserve(compiled.counters.size());
  for (const PlannedCounter& each : compiled.counters) {
    names.push_back(each.name);
  }
  return names;
}

absl::Status PlanNotFound(absl::string_view name) {
  return MakeError(absl::StatusCode::kNotFound,
                   absl::StrCat("there is no plan ", ShownName(name),
                                "; list the plans for those that there are"),
                   ErrorDetails{.reason = "PLAN_NOT_FOUND",
                                .metadata = {{"plan", ShownName(name)}}});
}

absl::Status PlanOfOthers(const PlanInfo& plan) {
  return MakeError(
      absl::StatusCode::kFailedPrecondition,
      absl::StrCat("plan ", plan.name, " belongs to ", plan.owner,
                   "; take it over if that is meant"),
      ErrorDetails{.reason = "PLAN_OF_OTHERS",
                   .metadata = {{"plan", plan.name}, {"owner", plan.owner}}});
}

absl::Status EtagMismatch(const std::string& name) {
  return MakeError(
      absl::StatusCode::kAborted,
      absl::StrCat("plan ", name,
                   " is not as its etag says any more; read it "
                   "again"),
      ErrorDetails{.reason = "ETAG_MISMATCH", .metadata = {{"plan", name}}});
}

// Until when a server before this one kept records.
absl::Time LastRecordOf(const Ledger& ledger) {
  const LedgerStatus status = ledger.status();
  return status.sequence == 0 ? absl::InfinitePast() : status.record_time;
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
      rule_keeper_(parts.rule_keeper),
      kept_rules_(parts.kept_rules),
      keep_counters_(parts.keep_counters),
      last_run_(LastRecordOf(parts.ledger)),
      quotas_(parts.counters, parts.counter_editor, parts.quotas, parts.store,
              parts.clock),
      alarm_(clock_.NewAlarm()),
      lane_("nfm-plans", 1024) {
  outside_.Name(kOutsidePlans, "");
  outside_.WasWell(last_run_);
}

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
  for (StoredPlan& each : stored) {
    Applied applied;
    applied.plan = std::make_shared<const Plan>();
    applied.compiled = std::make_shared<const CompiledPlan>();
    applied.info = {.name = each.name,
                    .owner = std::move(each.owner),
                    .source = std::move(each.source),
                    .apply_time = each.apply_time};
    applied.info.etag =
        absl::StrFormat("%016x", StableHash().Add(applied.info.source).value());
    applied.health.Name(each.name, applied.info.etag);
    applied.health.WasWell(std::max(each.apply_time, last_run_));
    absl::StatusOr<Plan> plan = read_(applied.info.source);
    if (plan.ok()) applied.cgroups = BindCgroups(*plan, cgroups_);
    absl::StatusOr<CompiledPlan> compiled =
        plan.ok() ? CompilePlan(*plan, options_.budget, form_, applied.cgroups)
                  : plan.status();
    if (compiled.ok()) {
      applied.plan = std::make_shared<const Plan>(*std::move(plan));
      applied.info.cost = compiled->cost;
      applied.info.counters = compiled->counters.size();
      applied.compiled =
          std::make_shared<const CompiledPlan>(*std::move(compiled));
      applied.usable = true;
    } else {
      applied.health.NoteFailed(compiled.status(), clock_, options_.health);
    }
    absl::MutexLock lock(&mutex_);
    plans_.emplace(each.name, std::move(applied));
  }
  Look();
  started_ = true;
  return absl::OkStatus();
}

absl::StatusOr<PlanOutcome> Plans::Apply(NewPlan plan, const PlanTerms& terms) {
  return lane_.Run(Lane::Priority::kUrgent, [&] {
    const std::string name = plan.plan.name;
    absl::StatusOr<PlanOutcome> outcome = ApplyNow(std::move(plan), terms);
    if (!outcome.ok()) {
      ChangeHealth(name, [](PlanHealth& health) { health.NoteNotApplied(); });
    }
    return outcome;
  });
}

const Plans::Applied* Plans::Find(absl::string_view name) const {
  const auto found = plans_.find(name);
  return found == plans_.end() ? nullptr : &found->second;
}

absl::Status Plans::CheckTerms(const NewPlan& plan,
                               const PlanTerms& terms) const {
  if (plan.plan.accounts.empty() && plan.plan.groups.empty() &&
      !terms.allow_empty) {
    return MakeError(absl::StatusCode::kFailedPrecondition, "PLAN_EMPTY",
                     "the plan has no accounts; to remove all that it had, "
                     "say so with allow_empty");
  }
  absl::MutexLock lock(&mutex_);
  const Applied* const before = Find(plan.plan.name);
  if (before == nullptr) {
    return terms.etag.empty() ? absl::OkStatus() : EtagMismatch(plan.plan.name);
  }
  if (before->info.owner != plan.owner && !terms.take_over) {
    return PlanOfOthers(before->info);
  }
  if (!terms.etag.empty() && terms.etag != before->info.etag) {
    return EtagMismatch(plan.plan.name);
  }
  return absl::OkStatus();
}

absl::Status Plans::CheckNoOthers(const CompiledPlan& compiled,
                                  const std::string& name) const {
  absl::flat_hash_set<absl::string_view> wanted;
  for (const PlannedCounter& each : compiled.counters) wanted.insert(each.name);
  absl::MutexLock lock(&mutex_);
  for (const auto& [other, applied] : plans_) {
    if (other == name) continue;
    if (OwnerOfChains(other) == OwnerOfChains(name)) {
      return MakeError(absl::StatusCode::kFailedPrecondition,
                       "PLAN_NAME_COLLIDES",
                       absl::StrCat("the chains of plan ", name,
                                    " would be called as those of plan ", other,
                                    "; choose another name"));
    }
    for (const PlannedCounter& each : applied.compiled->counters) {
      if (wanted.contains(each.name)) {
        return MakeError(
            absl::StatusCode::kFailedPrecondition,
            absl::StrCat("counter ", each.name, " is one of plan ", other),
            ErrorDetails{
                .reason = "COUNTER_OF_OTHER_PLAN",
                .metadata = {{"counter", each.name}, {"plan", other}}});
      }
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<PlanOutcome> Plans::ApplyNow(NewPlan plan,
                                            const PlanTerms& terms) {
  NFM_RETURN_IF_ERROR(CheckTerms(plan, terms));
  CgroupBindings cgroups = BindCgroups(plan.plan, cgroups_);
  NFM_ASSIGN_OR_RETURN(CompiledPlan compiled,
                       CompilePlan(plan.plan, options_.budget, form_, cgroups));
  const std::string name = plan.plan.name;
  NFM_RETURN_IF_ERROR(CheckNoOthers(compiled, name));
  const Applied before = Before(name);
  if (!terms.validate_only) LookAtQuotas(before);
  const PlanProgress progress = [&](PlanStep step, size_t done, size_t total) {
    if (terms.validate_only) return;
    ChangeHealth(name, [&](PlanHealth& health) {
      health.NoteProgress(step, done, total);
    });
  };
  progress(PlanStep::kCompare, 0, compiled.counters.size());
  NFM_ASSIGN_OR_RETURN(
      const PlanCounterWork work,
      applier_.CompareCounters(compiled, NamesOf(*before.compiled)));

  PlanOutcome outcome;
  outcome.changes = work.Changes();
  outcome.plan = {.name = name,
                  .owner = plan.owner,
                  .etag = EtagOf(plan),
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
  // Its quotas are as they were.
  if (!chains.ok()) return TakeBack(before, work, nullptr, chains.status());
  // Kept only when the kernel has it: who is killed between the two finds the
  // old plan in the store and restores it.
  if (absl::Status kept = stored.Commit(); !kept.ok()) {
    return TakeBack(before, work, &now, std::move(kept));
  }
  const std::vector<kernel::OwnedDifference> drift =
      DriftIn(chains->differences, before.compiled->tables, compiled.tables);
  if (!drift.empty()) {
    ChangeHealth(
        name, [&](PlanHealth& health) { health.NoteRepairedByApply(clock_); });
    TellRepair(name, drift.size(),
               MissedCounters(before.compiled->tables, drift));
  }
  if (before.usable && before.plan->table != plan.plan.table) {
    // Two commits: a packet between them met the rules of none or of both.
    for (const std::string& counter : NamesOf(*before.compiled)) {
      ledger_.NoteGap(counter, GapCause::kRulesMissing, began,
                      clock_.WallTime());
    }
  }
  AddChains(std::move(chains->differences), outcome.changes);
  outcome.commits = chains->commits;
  Keep(outcome.plan, std::move(plan.plan), std::move(compiled),
       std::move(cgroups));
  if (terms.prune) {
    progress(PlanStep::kCleanUp, 0, work.removed.size());
    NFM_RETURN_IF_ERROR(
        Annotate(applier_.RemoveCounters(work.removed, terms.patience).status(),
                 "the plan is applied, but counters that it has no more could "
                 "not be deleted: "));
    ChangeHealth(name, [&](PlanHealth& health) { health.NoteApplied(clock_); });
  }
  return outcome;
}

Plans::Applied Plans::Before(const std::string& name) const {
  absl::MutexLock lock(&mutex_);
  const Applied* const before = Find(name);
  if (before != nullptr) return *before;
  return {.plan = std::make_shared<const Plan>(Plan{.name = name}),
          .compiled = std::make_shared<const CompiledPlan>()};
}

absl::Status Plans::TakeBack(const Applied& before, const PlanCounterWork& work,
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

void Plans::Keep(const PlanInfo& info, Plan plan, CompiledPlan compiled,
                 CgroupBindings cgroups) {
  {
    absl::MutexLock lock(&mutex_);
    Applied& applied = plans_[info.name];
    applied.info = info;
    applied.plan = std::make_shared<const Plan>(std::move(plan));
    applied.compiled =
        std::make_shared<const CompiledPlan>(std::move(compiled));
    applied.cgroups = std::move(cgroups);
    applied.usable = true;
  }
  quotas_.NoteApplied(info.name).IgnoreError();
  ChangeHealth(info.name, [&](PlanHealth& health) {
    health.Name(info.name, info.etag);
    health.NoteApplied(clock_);
  });
}

absl::StatusOr<PlanRemoval> Plans::Delete(absl::string_view name,
                                          const PlanDeletion& deletion) {
  return lane_.Run(Lane::Priority::kUrgent,
                   [&] { return DeleteNow(std::string(name), deletion); });
}

absl::StatusOr<PlanRemoval> Plans::DeleteNow(const std::string& name,
                                             const PlanDeletion& deletion) {
  Applied before;
  {
    absl::MutexLock lock(&mutex_);
    const Applied* const found = Find(name);
    if (found == nullptr) return PlanNotFound(name);
    before = *found;
  }
  if (before.info.owner != deletion.owner && !deletion.take_over) {
    return PlanOfOthers(before.info);
  }
  if (!deletion.etag.empty() && deletion.etag != before.info.etag) {
    return EtagMismatch(name);
  }
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
  {
    absl::MutexLock lock(&mutex_);
    plans_.erase(name);
  }
  if (deletion.keep_counters) return removal;
  const auto counters = applier_.RemoveCounters(names, deletion.patience);
  if (!counters.ok()) {
    return Annotate(counters.status(),
                    "the plan and its rules are gone, but its counters could "
                    "not be deleted: ");
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
    // Others are the hosts' own chains, which had jumps.
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

absl::StatusOr<PlanInfo> Plans::Get(absl::string_view name) const {
  absl::MutexLock lock(&mutex_);
  const Applied* const found = Find(name);
  if (found == nullptr) return PlanNotFound(name);
  return found->info;
}

std::vector<PlanInfo> Plans::List() const {
  absl::MutexLock lock(&mutex_);
  std::vector<PlanInfo> plans;
  for (const auto& [name, applied] : plans_) plans.push_back(applied.info);
  return plans;
}

absl::StatusOr<PlanStatus> Plans::Status(absl::string_view name) const {
  absl::MutexLock lock(&mutex_);
  if (name == kOutsidePlans && TellsOfOutside()) return outside_.status();
  const Applied* const found = Find(name);
  if (found == nullptr) return PlanNotFound(name);
  return found->health.status();
}

bool Plans::TellsOfOutside() const {
  return !kept_rules_.empty() || outside_.status().repairs > 0;
}

std::vector<PlanStatus> Plans::Statuses() const {
  absl::MutexLock lock(&mutex_);
  std::vector<PlanStatus> statuses;
  if (TellsOfOutside()) statuses.push_back(outside_.status());
  for (const auto& [name, applied] : plans_) {
    statuses.push_back(applied.health.status());
  }
  return statuses;
}

void Plans::LookSoon() { alarm_->Ring(); }

void Plans::LookNow() {
  // A full lane means that changes are under way; they look themselves.
  lane_
      .Run(Lane::Priority::kNormal,
           [this] {
             Look();
             return absl::OkStatus();
           })
      .IgnoreError();
}

void Plans::Loop() {
  absl::Duration next = clock_.BootTime() + options_.health.check_interval;
  while (true) {
    alarm_->WaitUntil(next);
    {
      absl::MutexLock lock(&mutex_);
      if (stopping_) return;
    }
    LookNow();
    next = clock_.BootTime() + options_.health.check_interval;
  }
}

void Plans::Look() {
  for (const PlanInfo& each : List()) LookAt(each.name);
  LookOutside();
}

void Plans::LookAt(const std::string& name) {
  const Applied applied = Before(name);
  if (!applied.usable) return;
  LookAtQuotas(applied);
  if (!applied.health.MayLook(clock_.BootTime())) return;
  if (!applied.cgroups.empty() && !options_.read_only) {
    CgroupBindings cgroups = BindCgroups(*applied.plan, cgroups_);
    if (cgroups != applied.cgroups) {
      return BindAgain(applied, std::move(cgroups));
    }
  }
  const absl::StatusOr<Drift> drift = Repair(applied);
  const bool repaired = drift.ok() && drift->size() > 0 && !options_.read_only;
  ChangeHealth(name, [&](PlanHealth& health) {
    if (!drift.ok()) {
      health.NoteFailed(drift.status(), clock_, options_.health);
    } else if (repaired) {
      health.NoteRepair(clock_, options_.health);
    } else if (drift->size() == 0) {
      health.NoteWell(clock_, options_.health);
    } else {
      health.NoteDrift(drift->size(), clock_);
    }
  });
  if (!repaired) return;
  std::vector<std::string> missed =
      MissedCounters(applied.compiled->tables, drift->chains);
  missed.insert(missed.end(), drift->counters.begin(), drift->counters.end());
  TellRepair(name, drift->size(), missed);
}

void Plans::LookOutside() {
  {
    absl::MutexLock lock(&mutex_);
    if (!outside_.MayLook(clock_.BootTime())) return;
  }
  // In a storm of changes there is a look for each.
  std::vector<std::string> restored = RestoreCounters(absl::Seconds(1));
  if (!kept_rules_.empty()) return LookAtKeptRules(std::move(restored));
  const std::string name(kOutsidePlans);
  ChangeHealth(name, [&](PlanHealth& health) {
    if (restored.empty()) {
      health.NoteWell(clock_, options_.health);
    } else {
      health.NoteRepair(clock_, options_.health);
    }
  });
  if (!restored.empty()) TellRepair(name, restored.size(), restored);
}

std::vector<std::string> Plans::RestoreCounters(absl::Duration max_staleness) {
  if (options_.read_only) return {};
  // What is gone at the start went with a reboot, see PutBackValues().
  auto restored =
      keep_counters_({.max_staleness = max_staleness, .with_values = started_});
  // What fails now is tried at the next look.
  return restored.ok() ? *std::move(restored) : std::vector<std::string>();
}

void Plans::LookAtKeptRules(std::vector<std::string> restored) {
  const std::string name(kOutsidePlans);
  std::vector<WantedRule> rules;
  const auto wanted = [&] { return rules = kept_rules_.All(); };
  absl::StatusOr<KeptOutcome> found =
      rule_keeper_.Keep(wanted, /*dry_run=*/true);
  const bool repair = found.ok() && !found->same() && !options_.read_only;
  if (repair) {
    // What they count into may have gone with them, just now.
    for (std::string& each : RestoreCounters(absl::ZeroDuration())) {
      restored.push_back(std::move(each));
    }
    found = rule_keeper_.Keep(wanted, /*dry_run=*/false);
  }
  if (repair && found.ok()) kept_rules_.NoteBound(rules);
  absl::Status failed = found.status();
  if (found.ok() && !found->failed.empty()) {
    const auto& [id, why] = found->failed[0];
    failed = Annotate(
        why, absl::StrCat("rule ", id, " can't be made again",
                          found->failed.size() == 1
                              ? std::string(": ")
                              : absl::StrCat(", nor ", found->failed.size() - 1,
                                             " others: ")));
  }
  ChangeHealth(name, [&](PlanHealth& health) {
    if (!failed.ok()) {
      health.NoteFailed(failed, clock_, options_.health);
    } else if (found->same() && restored.empty()) {
      health.NoteWell(clock_, options_.health);
    } else if (repair && found->missing.empty() && found->changed.empty() &&
               restored.empty()) {
      // Nobody undoes anything: services have restarted.
      health.NoteRepairedByApply(clock_);
      health.NoteWell(clock_, options_.health);
    } else if (repair || !restored.empty()) {
      health.NoteRepair(clock_, options_.health);
    } else {
      health.NoteDrift(found->missing.size() + found->changed.size(), clock_);
    }
  });
  if ((!repair && restored.empty()) || !failed.ok()) return;
  std::vector<std::string> ids = found->missing;
  ids.insert(ids.end(), found->changed.begin(), found->changed.end());
  ids.insert(ids.end(), found->rebound.begin(), found->rebound.end());
  std::vector<std::string> missed = kept_rules_.CountersOf(ids);
  missed.insert(missed.end(), restored.begin(), restored.end());
  TellRepair(name, ids.size() + restored.size(), missed);
}

void Plans::BindAgain(const Applied& applied, CgroupBindings cgroups) {
  const std::string& name = applied.info.name;
  absl::StatusOr<CompiledPlan> compiled =
      CompilePlan(*applied.plan, options_.budget, form_, cgroups);
  absl::StatusOr<kernel::OwnedOutcome> chains =
      compiled.ok() ? applier_.ApplyChains({*applied.plan, *compiled}, {})
                    : compiled.status();
  if (!chains.ok()) {
    ChangeHealth(name, [&](PlanHealth& health) {
      health.NoteFailed(chains.status(), clock_, options_.health);
    });
    return;
  }
  const std::vector<kernel::OwnedDifference> drift =
      DriftIn(chains->differences, applied.compiled->tables, compiled->tables);
  std::vector<std::string> missed =
      MissedCounters(applied.compiled->tables, drift);
  // Since the last look packets of these were of no account.
  const std::vector<std::string> fresh = NewCgroups(applied.cgroups, cgroups);
  for (const PlanAccount& account : applied.plan->accounts) {
    if (absl::c_linear_search(fresh, CgroupOf(account))) {
      for (std::string& counter : CountersOf(*applied.plan, account)) {
        missed.push_back(std::move(counter));
      }
    }
  }
  {
    absl::MutexLock lock(&mutex_);
    const auto found = plans_.find(name);
    if (found == plans_.end()) return;
    found->second.compiled =
        std::make_shared<const CompiledPlan>(*std::move(compiled));
    found->second.cgroups = std::move(cgroups);
  }
  ChangeHealth(name, [&](PlanHealth& health) {
    if (missed.empty()) {
      health.NoteWell(clock_, options_.health);
    } else {
      health.NoteRepairedByApply(clock_);
      health.NoteWell(clock_, options_.health);
    }
  });
  if (!missed.empty()) TellRepair(name, chains->differences.size(), missed);
}

void Plans::LookAtQuotas(const Applied& applied) {
  if (!applied.usable || options_.read_only) return;
  // What fails now is due next time.
  quotas_.Look(applied.info.name, *applied.compiled).IgnoreError();
}

absl::StatusOr<Plans::Drift> Plans::Repair(const Applied& applied) {
  Drift drift;
  NFM_ASSIGN_OR_RETURN(
      kernel::OwnedOutcome found,
      applier_.ApplyChains(applied.chains(), {.dry_run = true}));
  drift.chains = std::move(found.differences);
  // The kernel lets nobody delete what a rule counts into.
  NFM_ASSIGN_OR_RETURN(drift.counters,
                       applier_.Missing(applied.compiled->idle_counters));
  if (drift.size() == 0 || options_.read_only) return drift;
  // What rules count into may be missing with them.
  NFM_ASSIGN_OR_RETURN(PlanCounterWork work,
                       applier_.CompareCounters(*applied.compiled, {}));
  work = work.WithoutLabels();
  PutBackValues(work);
  NFM_RETURN_IF_ERROR(
      applier_.MakeCounters(work, [](PlanStep, size_t, size_t) {}));
  NFM_ASSIGN_OR_RETURN(found, applier_.ApplyChains(applied.chains(),
                                                   applied.chains(), work, {}));
  drift.chains = std::move(found.differences);
  return drift;
}

void Plans::TellRepair(const std::string& name, size_t differences,
                       absl::Span<const std::string> counters) {
  std::optional<PlanStatus> status;
  {
    absl::MutexLock lock(&mutex_);
    const PlanHealth* const health = HealthOf(name);
    if (health != nullptr) status = health->status();
  }
  if (!status.has_value()) return;
  if (status->missed_from != absl::InfinitePast()) {
    for (const std::string& counter : counters) {
      ledger_.NoteGap(counter, GapCause::kRulesMissing, status->missed_from,
                      status->missed_to);
    }
    ledger_.Commit().IgnoreError();
  }
  const PlanRepair repair = {.plan = name,
                             .differences = differences,
                             .counters = counters.size(),
                             .missed_from = status->missed_from,
                             .missed_to = status->missed_to};
  for (const auto& listener : repair_listeners_) listener(repair);
}

PlanHealth* Plans::HealthOf(absl::string_view name) {
  if (name == kOutsidePlans) return &outside_;
  const auto found = plans_.find(name);
  return found == plans_.end() ? nullptr : &found->second.health;
}

void Plans::PutBackValues(PlanCounterWork& work) const {
  // What was gone at the start went with a reboot, as a rule: then counters
  // begin at 0, and their totals go on.
  if (!started_) return;
  for (Counter& counter : work.made) {
    const auto known = ledger_.Find(counter.object.name);
    if (!known.has_value()) continue;
    counter.object.packets = known->value().packets;
    counter.object.bytes = known->value().bytes;
  }
}

void Plans::ChangeHealth(const std::string& name,
                         absl::FunctionRef<void(PlanHealth&)> change) {
  PlanStatus before;
  PlanStatus now;
  {
    absl::MutexLock lock(&mutex_);
    PlanHealth* health = HealthOf(name);
    // A plan that is applied for the first time: its progress is told.
    PlanHealth fresh;
    fresh.Name(name, "");
    if (health == nullptr) health = &fresh;
    before = health->status();
    change(*health);
    now = health->status();
  }
  before.check_time = now.check_time;  // no change of itself
  if (now == before) return;
  for (const auto& listener : listeners_) listener(now);
}

}  // namespace nfmeter::accounting
