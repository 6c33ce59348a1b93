// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/linux/xtables/iptc_rule_table.h"

#include <errno.h>

#include <algorithm>

#include "absl/algorithm/container.h"
#include "absl/hash/hash.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/status_macros.h"
#include "kernel/errno_status.h"
#include "kernel/linux/xtables/iptc_rule_table_contents.h"
#include "kernel/linux/xtables/iptc_rule_table_support.h"
#include "kernel/linux/xtables/table_presence.h"
#include "kernel/linux/xtables/xt_edit_outcome.h"
#include "kernel/linux/xtables/xt_fingerprint.h"
#include "kernel/linux/xtables/xt_probe.h"
#include "kernel/linux/xtables/xt_table_by_table.h"

namespace nfmeter::kernel {
namespace {

// Between tries at a table that somebody changes without the lock. We hold the
// lock meanwhile, so the pauses are short.
constexpr absl::Duration kFirstPause = absl::Milliseconds(1);
constexpr absl::Duration kLongestPause = absl::Milliseconds(50);
// How long undoing may take, whatever is left of the caller's time.
constexpr absl::Duration kUndoTime = absl::Seconds(10);

absl::Status Overwritten(Family family, Table table) {
  return MakeError(
      absl::StatusCode::kUnavailable, "TABLE_OVERWRITTEN",
      absl::StrCat("table ", TableSubject(family, table),
                   " was committed, but when it was read back another program "
                   "that does not take the xtables lock had replaced it; list "
                   "the rules and try again"));
}

// After the commit, so it is never TABLE_CHANGED, which says that nothing was
// done.
absl::Status NotReadBack(const absl::Status& why) {
  ErrorDetails details = GetErrorDetails(why);
  details.reason = "TABLE_NOT_READ_BACK";
  return MakeError(
      absl::StatusCode::kAborted,  // to do it again blindly may do it twice
      absl::StrCat("the rules may have been committed, but the table can't be "
                   "read back; list the rules before trying again: ",
                   why.message()),
      std::move(details));
}

absl::Status NotThere(int err) {
  return ErrnoStatus(Operation::kSocket, err, "network namespace");
}

// Nothing was done because another program, without the lock, changed the table
// between our read and our commit (EAGAIN).
bool HasChanged(const absl::Status& status) {
  return absl::IsUnavailable(status) &&
         GetErrorDetails(status).reason == "TABLE_CHANGED";
}

// Of a rule, what could not be encoded; empty: all of it.
std::string FieldOf(const absl::Status& status) {
  const ErrorDetails details = GetErrorDetails(status);
  if (details.reason == "IPSET_NOT_FOUND") return "match.ip_set.name";
  return details.violations.empty() ? "" : details.violations[0].field;
}

}  // namespace

absl::StatusOr<TableContents> IptcRuleTable::ReadFromKernel(Family family,
                                                            Table table) {
  NFM_ASSIGN_OR_RETURN(std::unique_ptr<IptcHandle> handle,
                       open_(family, table));
  return ContentsOf(*handle, family, table);
}

TableContents IptcRuleTable::ContentsOf(IptcHandle& handle, Family family,
                                        Table table) {
  TableContents contents = ReadContents(handle, family, table, sets_);
  const auto give_name = [&](std::string& counter) {
    if (!IsShortNfacctName(counter)) return;
    if (auto name = names_->Find(counter)) counter = *std::move(name);
  };
  for (Chain& chain : contents.chains) {
    for (Rule& rule : chain.rules) {
      give_name(rule.counter);
      absl::c_for_each(rule.other_counters, give_name);
    }
  }
  return contents;
}

absl::StatusOr<TableContents> IptcRuleTable::ReadBack(Family family,
                                                      Table table) {
  constexpr int kAttempts = 3;
  absl::StatusOr<TableContents> contents = ReadFromKernel(family, table);
  for (int i = 1; i < kAttempts && !contents.ok(); ++i) {
    contents = ReadFromKernel(family, table);
  }
  return contents;
}

absl::StatusOr<TableContents> IptcRuleTable::Read(Family family, Table table) {
  const NamespaceVisit visit(network_);
  if (visit.err() != 0) return NotThere(visit.err());
  switch (PresenceOfTable(family, table)) {
    case TablePresence::kAbsent:
      NFM_RETURN_IF_ERROR(ProbeIpTables(family));
      return EmptyTable(family, table);
    case TablePresence::kUnknown:
      return TableNotVisible(family, table);
    case TablePresence::kPresent:
      break;
  }
  return ReadFromKernel(family, table);
}

absl::StatusOr<std::optional<uint64_t>> IptcRuleTable::Fingerprint() {
  const NamespaceVisit visit(network_);
  if (visit.err() != 0) return NotThere(visit.err());
  size_t hash = 0;
  for (const Family family : kAllFamilies) {
    for (const Table table : kAllTables) {
      const TablePresence presence = PresenceOfTable(family, table);
      std::optional<uint64_t> here = 0;
      if (presence == TablePresence::kPresent) {
        NFM_ASSIGN_OR_RETURN(here, FingerprintOf(family, table));
      }
      if (presence == TablePresence::kUnknown || !here.has_value()) {
        return std::nullopt;
      }
      hash = absl::HashOf(hash, presence, *here);
    }
  }
  return hash;
}

absl::StatusOr<EditPlan> IptcRuleTable::PlanUnread(const TableEdit& edit) {
  absl::StatusOr<EditPlan> plan =
      PlanEdit(EmptyTable(edit.family, edit.table), edit);
  const bool lacks_something = absl::IsNotFound(plan.status());
  return lacks_something && PresenceOfTable(edit.family, edit.table) ==
                                TablePresence::kUnknown
             ? TableNotVisible(edit.family, edit.table)
             : plan;
}

absl::StatusOr<IptcRuleTable::Entries> IptcRuleTable::Encode(
    const TableEdit& edit) {
  Entries entries;
  const std::vector<const RuleSpec*> rules = NewRules(edit);
  entries.reserve(rules.size());
  for (const RuleSpec* rule : rules) {
    absl::StatusOr<std::vector<uint8_t>> entry =
        EncodeEntry(edit.family, *rule, sets_);
    if (!entry.ok()) {
      return AboutRule(*rule, FieldOf(entry.status()), entry.status());
    }
    entries.push_back(*std::move(entry));
  }
  for (size_t i = 0; i < edit.restorations.size(); ++i) {
    const RestoredRule& rule = edit.restorations[i];
    SetEntryCounters(edit.family, rule.packets, rule.bytes, entries[i]);
  }
  return entries;
}

absl::StatusOr<TableOutcome> IptcRuleTable::Rehearse(
    const TableEdit& edit, absl::Span<const AcctObject> new_counters) {
  if (edit.deletions.empty() && NewRules(edit).empty()) return TableOutcome();
  NFM_RETURN_IF_ERROR(CheckLaws(edit));
  const NamespaceVisit visit(network_);
  if (visit.err() != 0) return NotThere(visit.err());
  NFM_ASSIGN_OR_RETURN(const Entries entries, Encode(edit));
  EditPlan plan;
  if (PresenceOfTable(edit.family, edit.table) == TablePresence::kPresent) {
    NFM_ASSIGN_OR_RETURN(const TableContents contents,
                         ReadFromKernel(edit.family, edit.table));
    NFM_ASSIGN_OR_RETURN(plan, PlanEdit(contents, edit));
  } else {
    NFM_RETURN_IF_ERROR(ProbeIpTables(edit.family));
    NFM_ASSIGN_OR_RETURN(plan, PlanUnread(edit));
  }
  NFM_RETURN_IF_ERROR(CheckSupport(edit, entries, acct_, new_counters));
  TableOutcome outcome{.deleted = std::move(plan.deleted)};
  const std::vector<const RuleSpec*> rules = NewRules(edit);
  for (size_t i = 0; i < rules.size(); ++i) {
    outcome.inserted.push_back(Foreseen(edit, *rules[i], entries[i], sets_));
  }
  return outcome;
}

absl::StatusOr<KernelOutcome> IptcRuleTable::Apply(const KernelEdit& edit,
                                                   const EditTerms& terms) {
  return ApplyTableByTable(
      edit, terms, acct_,
      {.rehearse =
           [this](const TableEdit& table,
                  absl::Span<const AcctObject> new_counters) {
             return Rehearse(table, new_counters);
           },
       .edit =
           [this](const TableEdit& table, const Patience& patience) {
             return Edit(table, patience);
           }});
}

template <typename Attempt>
std::invoke_result_t<Attempt> IptcRuleTable::UnderLock(const Patience& patience,
                                                       Attempt attempt) {
  XtablesLockInterrupter* const interrupter =
      patience.stoppable() ? &lock_interrupter_ : nullptr;
  NFM_ASSIGN_OR_RETURN(const XtablesLock lock,
                       XtablesLock::Acquire(patience.deadline(), interrupter));
  NFM_RETURN_IF_ERROR(patience.CheckWanted());
  auto outcome = attempt();
  for (absl::Duration pause = kFirstPause;
       HasChanged(outcome.status()) &&
       SystemClock().BootTime() + pause < patience.deadline() &&
       (interrupter == nullptr || !interrupter->interrupted());
       pause = std::min(2 * pause, kLongestPause)) {
    NFM_RETURN_IF_ERROR(patience.CheckWanted());
    absl::SleepFor(pause);
    outcome = attempt();
  }
  return outcome;
}

absl::StatusOr<TableOutcome> IptcRuleTable::Edit(const TableEdit& edit,
                                                 const Patience& patience) {
  if (edit.deletions.empty() && NewRules(edit).empty()) return TableOutcome();
  NFM_RETURN_IF_ERROR(CheckLaws(edit));
  const NamespaceVisit visit(network_);
  if (visit.err() != 0) return NotThere(visit.err());
  NFM_ASSIGN_OR_RETURN(Entries entries, Encode(edit));
  // Entries name sets by number, and while we waited for the lock a number may
  // have become another set's.
  bool again = absl::c_any_of(NewRules(edit), [](const RuleSpec* rule) {
    return rule->match.ip_set.has_value();
  });
  return UnderLock(patience, [&]() -> absl::StatusOr<TableOutcome> {
    if (std::exchange(again, false)) {
      NFM_ASSIGN_OR_RETURN(entries, Encode(edit));
    }
    return TryOnce(edit, entries);
  });
}

absl::StatusOr<TableOutcome> IptcRuleTable::TryOnce(const TableEdit& edit,
                                                    const Entries& entries) {
  // To open a table makes it; an edit that must fail should not.
  if (PresenceOfTable(edit.family, edit.table) == TablePresence::kAbsent) {
    NFM_RETURN_IF_ERROR(PlanUnread(edit).status());
  }
  NFM_ASSIGN_OR_RETURN(std::unique_ptr<IptcHandle> handle,
                       open_(edit.family, edit.table));
  const TableContents before = ContentsOf(*handle, edit.family, edit.table);
  NFM_ASSIGN_OR_RETURN(EditPlan plan, PlanEdit(before, edit));
  if (const int err = ApplyEdit(before, plan, edit, entries, *handle)) {
    return ExplainRefusal(err, edit, entries, before, acct_);
  }
  const int err = handle->Commit();
  handle.reset();
  absl::StatusOr<TableContents> after = ReadBack(edit.family, edit.table);
  if (!after.ok()) return NotReadBack(after.status());
  if (!IsApplied({edit, entries, before, err}, *after, sets_)) {
    return err == 0 ? Overwritten(edit.family, edit.table)
                    : ExplainRefusal(err, edit, entries, before, acct_);
  }
  return TableOutcome{.inserted = TakeNewRules(edit, *after),
                      .deleted = std::move(plan.deleted),
                      .rule_counters_lost = err != 0,
                      .budgets_refilled = BudgetsIn(before)};
}

absl::StatusOr<OwnedOutcome> IptcRuleTable::ApplyOwned(
    const OwnedEdit& edit, const Patience& patience) {
  const NamespaceVisit visit(network_);
  if (visit.err() != 0) return NotThere(visit.err());
  OwnedOutcome outcome;
  for (const Family family : kAllFamilies) {
    for (const Table table : kAllTables) {
      const auto wanted =
          absl::c_find_if(edit.wanted, [&](const OwnedTable& each) {
            return each.family == family && each.table == table;
          });
      const bool wants = wanted != edit.wanted.end();
      if (!wants && PresenceOfTable(family, table) != TablePresence::kPresent) {
        continue;
      }
      const OwnedTable nothing = {.family = family, .table = table};
      absl::StatusOr<OwnedOutcome> applied =
          ApplyOwnedTable(edit, wants ? *wanted : nothing, patience);
      if (!wants && absl::IsUnimplemented(applied.status())) continue;
      if (!applied.ok()) return applied.status();
      absl::c_move(applied->differences,
                   std::back_inserter(outcome.differences));
      outcome.commits += applied->commits;
      outcome.rule_counters_lost |= applied->rule_counters_lost;
    }
  }
  return outcome;
}

absl::StatusOr<OwnedOutcome> IptcRuleTable::ApplyOwnedTable(
    const OwnedEdit& edit, const OwnedTable& wanted, const Patience& patience) {
  NFM_ASSIGN_OR_RETURN(XtOwnedChains chains,
                       XtOwnedChains::Encode(wanted, edit, sets_));
  // A table that can't be seen is read under the lock, when it is opened.
  TableContents contents = EmptyTable(wanted.family, wanted.table);
  if (edit.dry_run ||
      PresenceOfTable(wanted.family, wanted.table) != TablePresence::kUnknown) {
    NFM_ASSIGN_OR_RETURN(contents, Read(wanted.family, wanted.table));
  }
  OwnedSteps steps = chains.Compare(contents);
  if (steps.empty() || edit.dry_run) {
    return OwnedOutcome{.differences = std::move(steps.differences)};
  }
  return UnderLock(patience, [&] { return TryOwnedOnce(chains); });
}

absl::StatusOr<OwnedOutcome> IptcRuleTable::TryOwnedOnce(
    const XtOwnedChains& chains) {
  const Family family = chains.family();
  const Table table = chains.table();
  NFM_ASSIGN_OR_RETURN(std::unique_ptr<IptcHandle> handle,
                       open_(family, table));
  const TableContents before = ContentsOf(*handle, family, table);
  OwnedSteps steps = chains.Compare(before);
  if (steps.empty()) return OwnedOutcome();
  NFM_RETURN_IF_ERROR(chains.Carry(steps, before, *handle));
  const int err = handle->Commit();
  handle.reset();
  absl::StatusOr<TableContents> after = ReadBack(family, table);
  if (!after.ok()) return NotReadBack(after.status());
  if (!chains.Compare(*after).empty()) {
    return err == 0 ? Overwritten(family, table)
                    : ExplainOwnedRefusal(err, chains.wanted(), chains.owner(),
                                          before);
  }
  return OwnedOutcome{.differences = std::move(steps.differences),
                      .commits = 1,
                      .rule_counters_lost = err != 0};
}

absl::StatusOr<size_t> IptcRuleTable::MoveRules(const CounterMove& move,
                                                const Patience& patience) {
  const NamespaceVisit visit(network_);
  if (visit.err() != 0) return NotThere(visit.err());
  size_t moved = 0;
  absl::Status failed;
  for (const Family family : kAllFamilies) {
    for (const Table table : kAllTables) {
      if (!failed.ok() ||
          PresenceOfTable(family, table) != TablePresence::kPresent) {
        continue;
      }
      const absl::StatusOr<size_t> here =
          move.dry_run ? MoveOnce(family, table, move)
                       : UnderLock(patience, [&] {
                           return MoveOnce(family, table, move);
                         });
      if (here.ok()) {
        moved += *here;
      } else {
        failed = here.status();
      }
    }
  }
  if (failed.ok() || moved == 0 || move.dry_run) {
    return failed.ok() ? absl::StatusOr<size_t>(moved) : failed;
  }
  const CounterMove back = {.from = move.to, .to = move.from};
  const Patience to_the_end =
      Patience::ToTheEnd(SystemClock().BootTime() + kUndoTime);
  for (const Family family : kAllFamilies) {
    for (const Table table : kAllTables) {
      if (PresenceOfTable(family, table) != TablePresence::kPresent) continue;
      // Rules that stay where they were moved to are for the caller to handle.
      (void)UnderLock(to_the_end,
                      [&] { return MoveOnce(family, table, back); });
    }
  }
  return failed;
}

absl::StatusOr<size_t> IptcRuleTable::MoveOnce(Family family, Table table,
                                               const CounterMove& move) {
  NFM_ASSIGN_OR_RETURN(std::unique_ptr<IptcHandle> handle,
                       open_(family, table));
  const TableContents before = ContentsOf(*handle, family, table);
  struct Moved {
    const std::string& chain;
    uint32_t position;
    std::vector<uint8_t> entry;
  };
  std::vector<Moved> rules;
  const std::string from = NfacctName(move.from);
  const std::string to = NfacctName(move.to);
  for (const Chain& chain : before.chains) {
    size_t i = 0;
    absl::Status failed;
    handle->ForEachRule(chain.name, [&](const IptcRule& entry) {
      const Rule& rule = chain.rules[i++];
      if (!failed.ok() || !CountsInto(rule, move.from)) return;
      auto recounted = RecountedEntry(family, entry.entry, entry.target,
                                      {.from = from, .to = to});
      failed =
          !IsOurs(rule) ? CounterHeldBy(rule, move.from) : recounted.status();
      if (failed.ok()) {
        rules.push_back({chain.name, rule.position, *std::move(recounted)});
      }
    });
    NFM_RETURN_IF_ERROR(failed);
  }
  if (rules.empty() || move.dry_run) return rules.size();
  const auto refused = [&](int err) {
    return ErrnoStatus(Operation::kRuleCommit, err,
                       TableSubject(family, table));
  };
  for (const Moved& rule : rules) {
    int err = handle->Delete(rule.chain, rule.position);
    if (err == 0) {
      err = handle->Insert(rule.chain, rule.position, rule.entry.data());
    }
    if (err != 0) return refused(err);
  }
  const int err = handle->Commit();
  handle.reset();
  const absl::StatusOr<TableContents> after = ReadBack(family, table);
  if (!after.ok()) return NotReadBack(after.status());
  for (const Chain& chain : after->chains) {
    for (const Rule& rule : chain.rules) {
      if (!CountsInto(rule, move.from)) continue;
      return err == 0 ? Overwritten(family, table) : refused(err);
    }
  }
  return rules.size();
}

}  // namespace nfmeter::kernel
