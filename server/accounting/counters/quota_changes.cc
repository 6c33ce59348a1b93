// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/counters/quota_changes.h"

#include "absl/container/flat_hash_set.h"
#include "accounting/counters/rule_holders.h"
#include "base/status_macros.h"
#include "kernel/acct_names.h"

namespace nfmeter::accounting {

absl::Status QuotaChanges::Carry(const Change& change) {
  NFM_ASSIGN_OR_RETURN(const kernel::QuotaChange in_place,
                       parts_.lane.Run(Lane::Priority::kNormal, [&] {
                         return parts_.table.SetQuota(
                             change.counter, change.quota, change.dry_run);
                       }));
  if (in_place == kernel::QuotaChange::kDone) return absl::OkStatus();
  return parts_.rules.InTurnOfChanges(
      change.patience, [&](kernel::RuleTable& rules) -> absl::Status {
        const kernel::RuleTable::CounterMove away = {
            .from = change.counter,
            .to = kernel::StandInName(change.counter),
            .dry_run = true};
        NFM_RETURN_IF_ERROR(rules.MoveRules(away, change.patience).status());
        if (change.dry_run) return absl::OkStatus();
        const StandIns::Guard guard(parts_.stand_ins, {change.counter});
        return Renew(rules, change);
      });
}

absl::Status QuotaChanges::Renew(kernel::RuleTable& rules,
                                 const Change& change) {
  // An earlier change may have been left half done.
  NFM_RETURN_IF_ERROR(Finish(rules, change.counter));
  const NewQuota quota = {change.counter, change.quota};
  const absl::Status at_once = parts_.stand_ins.MakeAnew(quota);
  if (!absl::IsFailedPrecondition(at_once)) return at_once;
  NFM_RETURN_IF_ERROR(parts_.stand_ins.Make({quota}));
  absl::Status status =
      rules
          .MoveRules({.from = change.counter,
                      .to = kernel::StandInName(change.counter)},
                     change.patience)
          .status();
  if (status.ok()) status = parts_.stand_ins.MakeAnew(quota);
  NFM_RETURN_IF_ERROR(parts_.stand_ins.Remember({change.counter},
                                                Finish(rules, change.counter)));
  return status;
}

absl::Status QuotaChanges::Finish(kernel::RuleTable& rules,
                                  const std::string& counter) {
  const std::string stand_in = kernel::StandInName(counter);
  const absl::Status found = parts_.table.Get(stand_in).status();
  if (absl::IsNotFound(found)) return absl::OkStatus();
  NFM_RETURN_IF_ERROR(found);
  NFM_RETURN_IF_ERROR(
      rules.MoveRules({.from = stand_in, .to = counter}, PatienceToEnd())
          .status());
  return parts_.stand_ins.Merge({counter}, /*after_restart=*/false);
}

absl::StatusOr<size_t> QuotaChanges::FinishOld(
    const kernel::Patience& patience) {
  NFM_ASSIGN_OR_RETURN(const std::vector<StandIns::Left> old,
                       parts_.stand_ins.All());
  if (old.empty()) return 0;
  std::vector<std::string> free;
  NFM_RETURN_IF_ERROR(parts_.rules.InTurnOfChanges(
      patience, [&](kernel::RuleTable& rules) -> absl::Status {
        absl::flat_hash_set<std::string> names;
        for (const StandIns::Left& each : old) {
          names.insert(kernel::StandInName(each.counter));
        }
        NFM_ASSIGN_OR_RETURN(const auto held, HeldOutside(rules, names));
        for (const StandIns::Left& each : old) {
          const std::string stand_in = kernel::StandInName(each.counter);
          if (held.contains(stand_in)) {
            NFM_RETURN_IF_ERROR(
                rules
                    .MoveRules({.from = stand_in, .to = each.counter},
                               PatienceToEnd())
                    .status());
          } else if (each.use_count > 0) {
            continue;
          }
          free.push_back(each.counter);
        }
        return parts_.stand_ins.Remember(
            free, parts_.stand_ins.Merge(free, /*after_restart=*/true));
      }));
  return free.size();
}

}  // namespace nfmeter::accounting
