// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/plans/plan_keeper.h"

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "accounting/plans/rule_gaps.h"
#include "base/error.h"
#include "base/status_macros.h"

namespace nfmeter::accounting {

std::optional<std::vector<std::string>> PlanKeeper::Drift::DisplacedBy() const {
  if (!counters.empty()) return std::nullopt;
  std::vector<std::string> rules;
  for (const kernel::OwnedDifference& each : chains) {
    if (!each.displaced_by.has_value()) return std::nullopt;
    for (const std::string& text : *each.displaced_by) {
      rules.push_back(absl::StrCat(static_cast<int>(each.family),
                                   kernel::TableName(each.table), " ", text));
    }
  }
  return rules;
}

void PlanKeeper::Look(absl::Duration max_staleness) {
  const std::vector<std::string> names = parts_.plans.Names();
  // Taken before anything is compared; most hosts have nothing to compare.
  const bool compares = !names.empty() || !parts_.kept_rules.empty();
  const std::optional<uint64_t> rules = compares ? Fingerprint() : std::nullopt;
  if (!rules.has_value() || rules != well_.rules) well_ = {.rules = rules};
  compared_ = false;
  for (const std::string& name : names) {
    if (const auto applied = parts_.plans.Find(name)) LookAt(*applied);
  }
  LookOutside(max_staleness);
  looked_ = true;
  // If rules changed meanwhile, some comparisons have seen it and some not.
  if (compared_ && Fingerprint() != rules) well_ = {};
}

std::optional<uint64_t> PlanKeeper::Fingerprint() const {
  // Without a fingerprint everything is compared.
  return parts_.applier.Fingerprint().value_or(std::nullopt);
}

void PlanKeeper::LookAt(const AppliedPlan& applied) {
  const std::string& name = applied.info.name;
  if (!applied.usable) return;
  LookAtQuotas(applied);
  if (!parts_.plans.MayLook(name, parts_.clock.BootTime())) return;
  if (!applied.cgroups.empty() && !options_.read_only) {
    CgroupBindings cgroups = BindCgroups(*applied.plan, parts_.cgroups);
    if (cgroups != applied.cgroups) {
      return BindAgain(applied, std::move(cgroups));
    }
  }
  const absl::StatusOr<Drift> drift = Repair(applied);
  if (drift.ok() && drift->size() == 0) {
    well_.plans[name] = applied.compiled;
  }
  const bool repaired = drift.ok() && drift->size() > 0 && !options_.read_only;
  parts_.plans.ChangeHealth(name, [&](PlanHealth& health) {
    if (!drift.ok()) {
      health.NoteFailed(drift.status(), parts_.clock, options_.health);
    } else if (repaired) {
      const auto displaced_by = drift->DisplacedBy();
      if (displaced_by.has_value()) {
        health.NotePutInPlace(*displaced_by, parts_.clock, options_.health);
      } else {
        health.NoteRepair(parts_.clock, options_.health);
      }
    } else if (drift->size() == 0) {
      health.NoteWell(parts_.clock, options_.health);
    } else {
      health.NoteDrift(drift->size(), parts_.clock);
    }
  });
  if (!repaired) return;
  TellRepair(name, drift->size(),
             MissedCounters(applied.compiled->tables, drift->chains),
             drift->counters.size());
}

void PlanKeeper::LookOutside(absl::Duration max_staleness) {
  if (!parts_.plans.MayLook(kOutsidePlans, parts_.clock.BootTime())) return;
  std::vector<std::string> restored = RestoreCounters(max_staleness);
  if (!parts_.kept_rules.empty()) return LookAtKeptRules(std::move(restored));
  const std::string name(kOutsidePlans);
  parts_.plans.ChangeHealth(name, [&](PlanHealth& health) {
    if (restored.empty()) {
      health.NoteWell(parts_.clock, options_.health);
    } else {
      health.NoteRepair(parts_.clock, options_.health);
    }
  });
  if (!restored.empty()) TellRepair(name, restored.size(), {}, restored.size());
}

std::vector<std::string> PlanKeeper::RestoreCounters(
    absl::Duration max_staleness) {
  if (options_.read_only) return {};
  // What is gone at the start went with a reboot, see PutBackValues().
  auto restored = parts_.keep_counters(
      {.max_staleness = max_staleness, .with_values = looked_});
  // What fails now is tried at the next look.
  return restored.ok() ? *std::move(restored) : std::vector<std::string>();
}

absl::StatusOr<KeptOutcome> PlanKeeper::CompareKeptRules(
    absl::FunctionRef<std::vector<WantedRule>()> wanted) {
  // Before they are read.
  const uint64_t version = parts_.kept_rules.version();
  if (well_.kept_rules == version && parts_.kept_rules.AreBound()) {
    return KeptOutcome();
  }
  compared_ = true;
  absl::StatusOr<KeptOutcome> found =
      parts_.rule_keeper.Keep(wanted, /*dry_run=*/true);
  if (found.ok() && found->same()) well_.kept_rules = version;
  return found;
}

void PlanKeeper::LookAtKeptRules(std::vector<std::string> restored) {
  const std::string name(kOutsidePlans);
  std::vector<WantedRule> rules;
  const auto wanted = [&] { return rules = parts_.kept_rules.All(); };
  absl::StatusOr<KeptOutcome> found = CompareKeptRules(wanted);
  const bool repair = found.ok() && !found->same() && !options_.read_only;
  if (repair) {
    // Counters may have gone together with their rules.
    for (std::string& each : RestoreCounters(absl::ZeroDuration())) {
      restored.push_back(std::move(each));
    }
    found = parts_.rule_keeper.Keep(wanted, /*dry_run=*/false);
  }
  if (repair && found.ok()) parts_.kept_rules.NoteBound(rules);
  absl::Status failed = found.status();
  if (found.ok() && !found->failed.empty()) {
    const auto& [id, why] = found->failed[0];
    failed = Annotate(
        why, absl::StrCat("rule ", id, " can't be made again",
                          found->failed.size() == 1
                              ? std::string()
                              : absl::StrCat(", nor ", found->failed.size() - 1,
                                             " others")));
  }
  std::vector<std::string> ids;
  if (found.ok()) {
    ids = found->missing;
    ids.insert(ids.end(), found->changed.begin(), found->changed.end());
    ids.insert(ids.end(), found->rebound.begin(), found->rebound.end());
  }
  parts_.plans.ChangeHealth(name, [&](PlanHealth& health) {
    if (!ids.empty() && restored.empty()) {
      health.WasMade(parts_.kept_rules.MadeAt(ids));
    }
    if (!failed.ok()) {
      health.NoteFailed(failed, parts_.clock, options_.health);
    } else if (found->same() && restored.empty()) {
      health.NoteWell(parts_.clock, options_.health);
    } else if (repair && found->missing.empty() && found->changed.empty() &&
               restored.empty()) {
      // Nobody undoes repairs: services have restarted in new cgroups.
      health.NoteRepairedByApply(parts_.clock);
      health.NoteWell(parts_.clock, options_.health);
    } else if (repair || !restored.empty()) {
      health.NoteRepair(parts_.clock, options_.health);
    } else {
      health.NoteDrift(found->missing.size() + found->changed.size(),
                       parts_.clock);
    }
  });
  if ((!repair && restored.empty()) || !failed.ok()) return;
  TellRepair(name, ids.size() + restored.size(),
             parts_.kept_rules.CountersOf(ids), restored.size());
}

void PlanKeeper::BindAgain(const AppliedPlan& applied, CgroupBindings cgroups) {
  const std::string& name = applied.info.name;
  absl::StatusOr<CompiledPlan> compiled =
      CompilePlan(*applied.plan, options_.budget, form_, cgroups);
  absl::StatusOr<kernel::OwnedOutcome> chains =
      compiled.ok() ? parts_.applier.ApplyChains({*applied.plan, *compiled}, {})
                    : compiled.status();
  if (!chains.ok()) {
    parts_.plans.ChangeHealth(name, [&](PlanHealth& health) {
      health.NoteFailed(chains.status(), parts_.clock, options_.health);
    });
    return;
  }
  const std::vector<kernel::OwnedDifference> drift =
      DriftIn(chains->differences, applied.compiled->tables, compiled->tables);
  std::vector<std::string> missed =
      MissedCounters(applied.compiled->tables, drift);
  // Since the last look no account has counted packets of these cgroups.
  const std::vector<std::string> fresh = NewCgroups(applied.cgroups, cgroups);
  for (const PlanAccount& account : applied.plan->accounts) {
    if (absl::c_linear_search(fresh, CgroupOf(account))) {
      for (std::string& counter : CountersOf(*applied.plan, account)) {
        missed.push_back(std::move(counter));
      }
    }
  }
  parts_.plans.PutCompiled(
      name, std::make_shared<const CompiledPlan>(*std::move(compiled)),
      std::move(cgroups));
  parts_.plans.ChangeHealth(name, [&](PlanHealth& health) {
    if (!missed.empty()) health.NoteRepairedByApply(parts_.clock);
    health.NoteWell(parts_.clock, options_.health);
  });
  if (!missed.empty()) TellRepair(name, chains->differences.size(), missed);
}

void PlanKeeper::LookAtQuotas(const AppliedPlan& applied) {
  if (!applied.usable || options_.read_only) return;
  // What fails now is due next time.
  parts_.quotas.Look(applied.info.name, *applied.compiled).IgnoreError();
}

bool PlanKeeper::IsAsFoundWell(const AppliedPlan& applied) const {
  const auto found = well_.plans.find(applied.info.name);
  return found != well_.plans.end() && found->second == applied.compiled;
}

absl::StatusOr<PlanKeeper::Drift> PlanKeeper::Repair(
    const AppliedPlan& applied) {
  Drift drift;
  if (!IsAsFoundWell(applied)) {
    compared_ = true;
    NFM_ASSIGN_OR_RETURN(
        kernel::OwnedOutcome found,
        parts_.applier.ApplyChains(applied.chains(), {.dry_run = true}));
    drift.chains = std::move(found.differences);
  }
  // The kernel lets nobody delete what a rule counts into.
  NFM_ASSIGN_OR_RETURN(drift.counters,
                       parts_.applier.Missing(applied.compiled->idle_counters));
  if (drift.size() == 0 || options_.read_only) return drift;
  // What rules count into may be missing with them.
  NFM_ASSIGN_OR_RETURN(PlanCounterWork work,
                       parts_.applier.CompareCounters({}, *applied.compiled));
  work = work.WithoutLabels();
  PutBackValues(work);
  NFM_RETURN_IF_ERROR(
      parts_.applier.MakeCounters(work, [](PlanStep, size_t, size_t) {}));
  NFM_ASSIGN_OR_RETURN(
      kernel::OwnedOutcome repaired,
      parts_.applier.ApplyChains(applied.chains(), applied.chains(), work, {}));
  drift.chains = std::move(repaired.differences);
  return drift;
}

void PlanKeeper::TellRepair(absl::string_view name, size_t differences,
                            absl::Span<const std::string> counters,
                            size_t made_again) {
  const absl::StatusOr<PlanStatus> status = parts_.plans.Status(name);
  if (!status.ok()) return;
  if (status->missed_from != absl::InfinitePast()) {
    for (const std::string& counter : counters) {
      parts_.ledger.NoteGap(counter, GapCause::kRulesMissing,
                            status->missed_from, status->missed_to);
    }
    parts_.ledger.Commit().IgnoreError();
  }
  const PlanRepair repair = {.plan = std::string(name),
                             .differences = differences,
                             .counters = counters.size() + made_again,
                             .missed_from = status->missed_from,
                             .missed_to = status->missed_to};
  for (const auto& listener : listeners_) listener(repair);
}

void PlanKeeper::PutBackValues(PlanCounterWork& work) const {
  // What was gone at the start went with a reboot, as a rule: then counters
  // begin at 0, and their totals go on.
  if (!looked_) return;
  for (Counter& counter : work.made) {
    const auto known = parts_.ledger.Find(counter.object.name);
    if (!known.has_value()) continue;
    counter.object.packets = known->value().packets;
    counter.object.bytes = known->value().bytes;
  }
}

}  // namespace nfmeter::accounting
