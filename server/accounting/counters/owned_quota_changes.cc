// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/counters/owned_quota_changes.h"

#include <set>
#include <tuple>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "accounting/counters/in_slices.h"
#include "accounting/counters/rule_holders.h"
#include "base/error.h"
#include "base/status_macros.h"
#include "kernel/acct_names.h"

namespace nfmeter::accounting {
namespace {

using kernel::OwnedEdit;
using kernel::OwnedOutcome;
using kernel::RuleTable;

// The edit with stand-ins in place of `counters`.
OwnedEdit IntoStandIns(OwnedEdit edit,
                       const absl::flat_hash_set<std::string>& counters) {
  const auto replace = [&](std::string& counter) {
    if (counters.contains(counter)) counter = kernel::StandInName(counter);
  };
  for (kernel::OwnedTable& table : edit.wanted) {
    for (kernel::OwnedChain& chain : table.chains) {
      for (kernel::OwnedRule& rule : chain.rules) replace(rule.counter);
    }
    for (kernel::OwnedMap& map : table.maps) {
      for (kernel::OwnedMap::Element& each : map.elements) {
        replace(each.counter);
      }
    }
  }
  return edit;
}

// What is done only with packets beyond a quota.
bool IsBeyondQuota(kernel::OwnedAction action) {
  return action == kernel::OwnedAction::kDrop ||
         action == kernel::OwnedAction::kReject ||
         action == kernel::OwnedAction::kMark;
}

// The edit as these counters have quotas: rules ask only for those that exist,
// and what was to happen beyond a quota that does not exist is left out.
OwnedEdit WithQuotasOf(const std::vector<NewQuota>& counters, OwnedEdit edit) {
  absl::flat_hash_map<absl::string_view, bool> have;
  for (const NewQuota& each : counters) {
    have[each.counter] = each.quota.has_value();
  }
  for (kernel::OwnedTable& table : edit.wanted) {
    for (kernel::OwnedChain& chain : table.chains) {
      for (kernel::OwnedRule& rule : chain.rules) {
        const auto found = have.find(rule.counter);
        if (found == have.end()) continue;
        rule.quota = found->second;
        if (!rule.quota && IsBeyondQuota(rule.action)) {
          rule.action = kernel::OwnedAction::kContinue;
        }
      }
    }
    for (kernel::OwnedMap& map : table.maps) {
      for (kernel::OwnedMap::Element& each : map.elements) {
        const auto found = have.find(each.counter);
        if (found != have.end()) each.quota = found->second;
      }
    }
  }
  return edit;
}

absl::Status Commit(RuleTable& rules, const OwnedEdit& edit,
                    const kernel::Patience& patience, OwnedOutcome& outcome) {
  NFM_ASSIGN_OR_RETURN(const OwnedOutcome done,
                       rules.ApplyOwned(edit, patience));
  outcome.commits += done.commits;
  outcome.rule_counters_lost |= done.rule_counters_lost;
  return absl::OkStatus();
}

// Has rules that were made one by one count into the stand-ins, or `back` into
// the counters. MoveRules() also waits until no packet is counted by earlier
// rules, those of chains included; so that this happens even when no such rule
// is left, one of all the counters is moved in any case.
absl::Status MoveAll(RuleTable& rules,
                     absl::flat_hash_set<std::string> counters,
                     const std::string& one_of_all, bool back,
                     const kernel::Patience& patience) {
  counters.insert(one_of_all);
  for (const std::string& counter : counters) {
    RuleTable::CounterMove move = {.from = counter,
                                   .to = kernel::StandInName(counter)};
    if (back) std::swap(move.from, move.to);
    NFM_RETURN_IF_ERROR(rules.MoveRules(move, patience).status());
  }
  return absl::OkStatus();
}

absl::Status NotBack(const absl::Status& why, const absl::Status& back) {
  return MakeError(
      absl::StatusCode::kAborted, "CHANGE_HALF_DONE",
      absl::StrCat("the change of quotas failed half-way: ", why.message(),
                   "; and they could not be had back as they were: ",
                   back.message(), "; apply it again"));
}

}  // namespace

absl::StatusOr<OwnedOutcome> OwnedQuotaChanges::Carry(const Change& change) {
  NFM_ASSIGN_OR_RETURN(const bool in_place, CanBeInPlace(change));
  OwnedOutcome outcome;
  NFM_RETURN_IF_ERROR(parts_.rules.InTurnOfChanges(
      change.patience, [&](RuleTable& rules) -> absl::Status {
        OwnedEdit dry = change.wanted;
        dry.dry_run = true;
        NFM_ASSIGN_OR_RETURN(outcome, rules.ApplyOwned(dry, change.patience));
        outcome.commits = 0;
        if (in_place && !change.wanted.dry_run) {
          return CarryInPlace(rules, change, outcome);
        }
        return in_place ? absl::OkStatus()
                        : CarryByStandIns(rules, change, outcome);
      }));
  return outcome;
}

// Asks once for each kind of change: thousands of members have one quota.
absl::StatusOr<bool> OwnedQuotaChanges::CanBeInPlace(const Change& change) {
  using Unit = kernel::QuotaLimit::Unit;
  std::set<std::tuple<bool, bool, Unit, uint64_t>> asked;
  for (size_t i = 0; i < change.after.size(); ++i) {
    const NewQuota& after = change.after[i];
    const auto limit = after.quota.value_or(kernel::QuotaLimit{});
    if (!asked
             .emplace(change.before[i].quota.has_value(),
                      after.quota.has_value(), limit.unit, limit.limit)
             .second) {
      continue;
    }
    NFM_ASSIGN_OR_RETURN(const kernel::QuotaChange can,
                         parts_.lane.Run(Lane::Priority::kNormal, [&] {
                           return parts_.table.SetQuota(
                               after.counter, after.quota, /*dry_run=*/true);
                         }));
    if (can != kernel::QuotaChange::kDone) return false;
  }
  return true;
}

absl::Status OwnedQuotaChanges::SetQuotas(const std::vector<NewQuota>& quotas,
                                          bool those_gone) {
  return EachSlice<NewQuota>(quotas, [&](absl::Span<const NewQuota> some) {
    return parts_.lane.Run(Lane::Priority::kNormal, [&]() -> absl::Status {
      for (const NewQuota& each : some) {
        if (each.quota.has_value() == those_gone) continue;
        NFM_RETURN_IF_ERROR(parts_.table
                                .SetQuota(each.counter, each.quota,
                                          /*dry_run=*/false)
                                .status());
      }
      return absl::OkStatus();
    });
  });
}

absl::Status OwnedQuotaChanges::CarryInPlace(RuleTable& rules,
                                             const Change& change,
                                             OwnedOutcome& outcome) {
  const auto carry = [&](const std::vector<NewQuota>& quotas,
                         const OwnedEdit& chains,
                         const kernel::Patience& patience) -> absl::Status {
    NFM_RETURN_IF_ERROR(SetQuotas(quotas, /*those_gone=*/false));
    NFM_RETURN_IF_ERROR(Commit(rules, chains, patience, outcome));
    return SetQuotas(quotas, /*those_gone=*/true);
  };
  const absl::Status done = carry(change.after, change.wanted, change.patience);
  if (done.ok()) return done;
  const absl::Status back = carry(change.before, change.old, PatienceToEnd());
  return back.ok() ? done : NotBack(done, back);
}

absl::Status OwnedQuotaChanges::CarryByStandIns(RuleTable& rules,
                                                const Change& change,
                                                OwnedOutcome& outcome) {
  const std::vector<std::string> names = NamesOf(change.after);
  const absl::flat_hash_set<std::string> counters(names.begin(), names.end());
  // Fails if others' rules hold one of the counters: those are not changed.
  NFM_ASSIGN_OR_RETURN(const auto outside, HeldOutside(rules, counters));
  if (change.wanted.dry_run) return absl::OkStatus();
  const StandIns::Guard guard(parts_.stand_ins, names);
  NFM_RETURN_IF_ERROR(FinishLeft(rules, change, names));
  absl::Status status = parts_.stand_ins.Make(change.after);
  if (status.ok()) {
    status = Commit(rules, IntoStandIns(change.wanted, counters),
                    change.patience, outcome);
  }
  if (status.ok()) {
    status = MoveAll(rules, outside, names[0], /*back=*/false, change.patience);
  }
  std::vector<NewQuota> renewed;
  if (status.ok()) status = MakeAnew(change, renewed);
  if (!status.ok()) {
    for (const NewQuota& each : renewed) {
      parts_.stand_ins.MakeAnew(each).IgnoreError();
    }
  }
  const auto finish = [&]() -> absl::Status {
    NFM_RETURN_IF_ERROR(Commit(rules, status.ok() ? change.wanted : change.old,
                               PatienceToEnd(), outcome));
    NFM_RETURN_IF_ERROR(
        MoveAll(rules, outside, names[0], /*back=*/true, PatienceToEnd()));
    return parts_.stand_ins.Merge(names, /*after_restart=*/false);
  };
  NFM_RETURN_IF_ERROR(parts_.stand_ins.Remember(names, finish()));
  return status;
}

// Finishes what an earlier change left half done. Some counters have been made
// anew, so the old chains may ask for quotas that are not there.
absl::Status OwnedQuotaChanges::FinishLeft(
    RuleTable& rules, const Change& change,
    const std::vector<std::string>& counters) {
  NFM_ASSIGN_OR_RETURN(const std::vector<StandIns::Left> all,
                       parts_.stand_ins.All());
  const absl::flat_hash_set<std::string> ours(counters.begin(), counters.end());
  absl::flat_hash_set<std::string> left;
  for (const StandIns::Left& each : all) {
    if (ours.contains(each.counter)) left.insert(each.counter);
  }
  if (left.empty()) return absl::OkStatus();
  NFM_RETURN_IF_ERROR(
      rules.ApplyOwned(WithQuotasOf(change.before, change.old), change.patience)
          .status());
  NFM_RETURN_IF_ERROR(
      MoveAll(rules, left, *left.begin(), /*back=*/true, change.patience));
  const std::vector<std::string> names(left.begin(), left.end());
  return parts_.stand_ins.Remember(
      names, parts_.stand_ins.Merge(names, /*after_restart=*/false));
}

absl::Status OwnedQuotaChanges::MakeAnew(const Change& change,
                                         std::vector<NewQuota>& renewed) {
  for (size_t i = 0; i < change.after.size(); ++i) {
    NFM_RETURN_IF_ERROR(parts_.stand_ins.MakeAnew(change.after[i]));
    renewed.push_back(change.before[i]);
  }
  return absl::OkStatus();
}

}  // namespace nfmeter::accounting
