// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/fake/fake_rule_table.h"

#include <errno.h>

#include <algorithm>
#include <cstdlib>
#include <iostream>

#include "absl/algorithm/container.h"
#include "absl/hash/hash.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "base/error.h"
#include "base/status_macros.h"
#include "kernel/fake/fake_rule_text.h"
#include "kernel/fake/fake_table_edit.h"
#include "kernel/owned_diff.h"
#include "kernel/rule_edit.h"

namespace nfmeter::kernel {
namespace {

// How often a paused Edit() looks whether it was abandoned.
constexpr absl::Duration kPausedLook = absl::Milliseconds(5);

}  // namespace

FakeRuleTable::FakeRuleTable(FakeAcctTable* acct) : counters_(acct) {
  for (Family family : kAllFamilies) {
    for (Table table : kAllTables) {
      tables_[{family, table}] = EmptyTable(family, table);
    }
  }
}

absl::StatusOr<TableContents> FakeRuleTable::Read(Family family, Table table) {
  absl::MutexLock lock(&mutex_);
  NFM_RETURN_IF_ERROR(capabilities_.tables(family));
  NFM_RETURN_IF_ERROR(TakeFailure(Operation::kRuleRead, {family, table}));
  if (hidden_.contains({family, table})) {
    return MakeError(
        absl::StatusCode::kPermissionDenied, "TABLE_NOT_VISIBLE",
        absl::StrCat("no right to see ", TableSubject(family, table)));
  }
  ++reads_;
  return tables_[{family, table}];
}

absl::StatusOr<std::optional<uint64_t>> FakeRuleTable::Fingerprint() {
  absl::MutexLock lock(&mutex_);
  // Injected failures are for Read(), so callers must not be spared it.
  if (failures_.contains(Operation::kRuleRead) || !hidden_.empty()) {
    return std::nullopt;
  }
  size_t hash = 0;
  for (const auto& [key, contents] : tables_) {
    for (const Chain& chain : contents.chains) {
      hash = absl::HashOf(hash, key, chain.name, chain.policy);
      for (const Rule& rule : chain.rules) {
        hash = absl::HashOf(hash, rule.id, rule.text);
      }
    }
  }
  return hash;
}

absl::StatusOr<KernelOutcome> FakeRuleTable::Apply(const KernelEdit& edit,
                                                   const EditTerms& terms) {
  KernelOutcome outcome;
  {
    absl::MutexLock lock(&mutex_);
    NFM_RETURN_IF_ERROR(WaitForTurn(edit, terms.patience));
    NFM_RETURN_IF_ERROR(EditTables(edit, outcome.tables).status());
  }
  NFM_RETURN_IF_ERROR(counters_.CheckEdit(edit, outcome));
  if (edit.dry_run) {
    for (TableOutcome& table : outcome.tables) {
      for (Rule& rule : table.inserted) rule.position = 0;
    }
    return outcome;
  }
  NFM_RETURN_IF_ERROR(counters_.Create(edit.new_counters, terms));
  std::vector<TableContents> before;
  absl::Status status = Commit(edit, outcome.tables, before);
  if (status.ok()) {
    status = counters_.Delete(edit, terms, outcome);
    if (status.ok()) return outcome;
    status.Update(PutBack(edit, before, outcome));
  }
  NFM_RETURN_IF_ERROR(counters_.TakeBack(edit.new_counters, terms));
  return status;
}

absl::StatusOr<OwnedOutcome> FakeRuleTable::ApplyOwned(
    const OwnedEdit& edit, const Patience& patience) {
  absl::MutexLock lock(&mutex_);
  ++reads_;
  if (!edit.dry_run) NFM_RETURN_IF_ERROR(patience.CheckWanted());
  OwnedOutcome outcome;
  for (const auto& [key, contents] : tables_) {
    const auto [family, table] = key;
    if (!capabilities_.tables(family).ok()) continue;
    OwnedTable wanted = {.family = family, .table = table};
    for (const OwnedTable& each : edit.wanted) {
      if (each.family == family && each.table == table) wanted = each;
    }
    NFM_RETURN_IF_ERROR(ApplyOwnedTable(wanted, edit, outcome));
  }
  return outcome;
}

absl::Status FakeRuleTable::ApplyOwnedTable(const OwnedTable& wanted,
                                            const OwnedEdit& edit,
                                            OwnedOutcome& outcome) {
  const Key key{wanted.family, wanted.table};
  std::vector<std::vector<std::string>> texts;
  for (const OwnedChain& chain : wanted.chains) {
    auto& of_chain = texts.emplace_back();
    for (const OwnedRule& rule : chain.rules) {
      absl::c_move(FakeOwnedRuleTexts(chain.name, rule, wanted.maps),
                   std::back_inserter(of_chain));
    }
  }
  TableContents contents = tables_[key];
  const OwnedSteps steps =
      CompareOwned(contents, wanted, edit.owner, edit.placement, texts);
  absl::c_copy(steps.differences, std::back_inserter(outcome.differences));
  if (steps.empty() || edit.dry_run) return absl::OkStatus();
  if (lock_held_) {
    return ErrnoStatus(Operation::kXtablesLock, ETIMEDOUT, "/run/xtables.lock");
  }
  NFM_RETURN_IF_ERROR(TakeFailure(Operation::kRuleCommit, key));
  TableOutcome moved;  // for the references of counters
  CarryOwned(wanted, steps, edit.placement, texts, contents, moved);
  NFM_RETURN_IF_ERROR(counters_.MoveReferences({moved}));
  tables_[key] = std::move(contents);
  ++commits_[key];
  ++outcome.commits;
  return absl::OkStatus();
}

absl::StatusOr<size_t> FakeRuleTable::MoveRules(const CounterMove& move,
                                                const Patience& patience) {
  absl::MutexLock lock(&mutex_);
  size_t moved = 0;
  for (const auto& [key, contents] : tables_) {
    if (!capabilities_.tables(key.first).ok()) continue;
    if (!move.dry_run) {
      NFM_RETURN_IF_ERROR(WaitForTurn(
          {.tables = {{.family = key.first, .table = key.second}}}, patience));
    }
    NFM_ASSIGN_OR_RETURN(const size_t here, MoveRulesOf(key, move));
    moved += here;
  }
  return moved;
}

absl::StatusOr<size_t> FakeRuleTable::MoveRulesOf(Key key,
                                                  const CounterMove& move) {
  TableContents contents = tables_[key];
  TableOutcome change;  // for the references of counters
  for (Chain& chain : contents.chains) {
    for (Rule& rule : chain.rules) {
      if (!CountsInto(rule, move.from)) continue;
      if (!IsOurs(rule)) return CounterHeldBy(rule, move.from);
      change.deleted.push_back(rule);
      rule.counter = move.to;
      rule.text = absl::StrReplaceAll(
          rule.text, {{absl::StrCat(" --nfacct-name ", move.from),
                       absl::StrCat(" --nfacct-name ", move.to)}});
      change.inserted.push_back(rule);
    }
  }
  const size_t moved = change.inserted.size();
  if (moved == 0 || move.dry_run) return moved;
  NFM_RETURN_IF_ERROR(TakeFailure(Operation::kRuleCommit, key));
  NFM_RETURN_IF_ERROR(counters_.MoveReferences({change}));
  NumberRules(contents);
  tables_[key] = std::move(contents);
  ++commits_[key];
  return moved;
}

absl::Status FakeRuleTable::WaitForTurn(const KernelEdit& edit,
                                        const Patience& patience) {
  if (edit.tables.empty()) return absl::OkStatus();
  const auto may_go_on = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return !paused_ || (!waits_ && patience.stoppable()) ||
           !patience.CheckWanted().ok();
  };
  while (!mutex_.AwaitWithTimeout(absl::Condition(&may_go_on), kPausedLook)) {
  }
  for (const TableEdit& table : edit.tables) {
    NFM_RETURN_IF_ERROR(capabilities_.tables(table.family));
  }
  const TableEdit& first = edit.tables.front();
  NFM_RETURN_IF_ERROR(
      TakeFailure(Operation::kXtablesLock, {first.family, first.table}));
  if (!edit.dry_run) NFM_RETURN_IF_ERROR(patience.CheckWanted());
  if (lock_held_ || paused_) {
    return ErrnoStatus(Operation::kXtablesLock, ETIMEDOUT, "/run/xtables.lock");
  }
  return absl::OkStatus();
}

absl::StatusOr<FakeRuleTable::Tables> FakeRuleTable::EditTables(
    const KernelEdit& edit, std::vector<TableOutcome>& outcomes) {
  outcomes.clear();
  Tables edited;
  for (const TableEdit& table : edit.tables) {
    const Key key{table.family, table.table};
    TableContents contents = tables_[key];
    NFM_RETURN_IF_ERROR(CheckLaws(table));
    NFM_ASSIGN_OR_RETURN(EditPlan plan, PlanEdit(contents, table));
    NFM_RETURN_IF_ERROR(CheckForms(table));
    NFM_RETURN_IF_ERROR(counters_.CheckRules(table, edit.new_counters));
    CarryEdit(table, plan, contents);
    TableContents read_back = contents;
    outcomes.push_back({.inserted = TakeNewRules(table, read_back),
                        .deleted = std::move(plan.deleted)});
    edited.emplace(key, std::move(contents));
  }
  return edited;
}

absl::Status FakeRuleTable::Commit(const KernelEdit& edit,
                                   std::vector<TableOutcome>& outcomes,
                                   std::vector<TableContents>& before) {
  absl::MutexLock lock(&mutex_);
  for (const TableEdit& table : edit.tables) {
    NFM_RETURN_IF_ERROR(
        TakeFailure(Operation::kRuleCommit, {table.family, table.table}));
  }
  NFM_ASSIGN_OR_RETURN(Tables edited, EditTables(edit, outcomes));
  NFM_RETURN_IF_ERROR(counters_.MoveReferences(outcomes));
  for (const TableEdit& table : edit.tables) {
    const Key key{table.family, table.table};
    ++commits_[key];
    before.push_back(std::exchange(tables_[key], std::move(edited[key])));
  }
  for (TableOutcome& outcome : outcomes) outcome.budgets_refilled = budgets_;
  if (!outcomes.empty() && lose_counters_) {
    for (Chain& chain :
         tables_[{edit.tables[0].family, edit.tables[0].table}].chains) {
      for (Rule& rule : chain.rules) rule.packets = rule.bytes = 0;
    }
    outcomes[0].rule_counters_lost = true;
    lose_counters_ = false;
  }
  return absl::OkStatus();
}

absl::Status FakeRuleTable::CheckForms(const TableEdit& edit) {
  for (const RuleSpec* rule : NewRules(edit)) {
    NFM_RETURN_IF_ERROR(rule->form == CountingForm::kTarget
                            ? capabilities_.target(edit.family)
                            : capabilities_.match(edit.family));
  }
  return absl::OkStatus();
}

// Restores the tables of `before`: the edit's counters could not be deleted.
absl::Status FakeRuleTable::PutBack(const KernelEdit& edit,
                                    std::vector<TableContents>& before,
                                    KernelOutcome& outcome) {
  absl::MutexLock lock(&mutex_);
  std::vector<TableOutcome> undone;
  for (size_t i = 0; i < edit.tables.size(); ++i) {
    const TableEdit& table = edit.tables[i];
    tables_[{table.family, table.table}] = std::move(before[i]);
    undone.push_back({.inserted = std::move(outcome.tables[i].deleted),
                      .deleted = std::move(outcome.tables[i].inserted)});
  }
  return counters_.MoveReferences(undone);
}

absl::Status FakeRuleTable::TakeFailure(Operation operation, Key key) {
  const auto it = failures_.find(operation);
  if (it == failures_.end()) return absl::OkStatus();
  const int err = it->second.first;
  if (--it->second.second == 0) failures_.erase(it);
  return ErrnoStatus(operation, err, TableSubject(key.first, key.second));
}

Chain& FakeRuleTable::ChainNamed(Key key, absl::string_view name) {
  for (Chain& chain : tables_[key].chains) {
    if (chain.name == name) return chain;
  }
  std::cerr << "FakeRuleTable: no chain " << name << "\n";
  std::abort();
}

void FakeRuleTable::AddUserChain(Family family, Table table,
                                 absl::string_view chain) {
  absl::MutexLock lock(&mutex_);
  std::vector<Chain>& chains = tables_[{family, table}].chains;
  // User chains come after the built-in ones, by name, as libiptc has them.
  const auto where = std::find_if(
      chains.begin(), chains.end(),
      [&](const Chain& other) { return !other.builtin && other.name > chain; });
  chains.insert(where, {.name = std::string(chain)});
}

std::string FakeRuleTable::AddForeignRule(Family family, Table table,
                                          absl::string_view text,
                                          RulePlacement placement) {
  absl::MutexLock lock(&mutex_);
  const Key key{family, table};
  Rule rule = FakeForeignRule(text);
  rule.family = family;
  rule.table = table;
  if (const absl::Status held = counters_.Hold(rule); !held.ok()) {
    std::cerr << "FakeRuleTable: " << held << "\n";
    std::abort();
  }
  Chain& chain = ChainNamed(key, rule.chain);
  const auto place = placement == RulePlacement::kHead ? chain.rules.begin()
                                                       : chain.rules.end();
  const auto added = chain.rules.insert(place, std::move(rule));
  NumberRules(tables_[key]);
  CountReferences(tables_[key]);
  return added->id;
}

void FakeRuleTable::Flush(Family family, Table table, absl::string_view chain) {
  absl::MutexLock lock(&mutex_);
  TableContents& contents = tables_[{family, table}];
  for (Chain& candidate : contents.chains) {
    if (!chain.empty() && candidate.name != chain) continue;
    for (const Rule& rule : candidate.rules) counters_.Release(rule);
    candidate.rules.clear();
  }
  CountReferences(contents);
}

void FakeRuleTable::SetPolicy(Family family, Table table,
                              absl::string_view chain, absl::string_view policy,
                              uint64_t packets, uint64_t bytes) {
  absl::MutexLock lock(&mutex_);
  Chain& changed = ChainNamed({family, table}, chain);
  changed.policy = std::string(policy);
  changed.packets = packets;
  changed.bytes = bytes;
}

void FakeRuleTable::HideTable(Family family, Table table) {
  absl::MutexLock lock(&mutex_);
  hidden_.insert({family, table});
}

void FakeRuleTable::SetRuleCounters(Family family, Table table,
                                    absl::string_view id, uint64_t packets,
                                    uint64_t bytes) {
  absl::MutexLock lock(&mutex_);
  for (Chain& chain : tables_[{family, table}].chains) {
    for (Rule& rule : chain.rules) {
      if (rule.id != id) continue;
      rule.packets = packets;
      rule.bytes = bytes;
      return;
    }
  }
  std::cerr << "FakeRuleTable: no rule " << id << "\n";
  std::abort();
}

void FakeRuleTable::FailNext(Operation operation, int err, int times) {
  absl::MutexLock lock(&mutex_);
  failures_[operation] = {err, times};
}

void FakeRuleTable::StopWaiting() {
  absl::MutexLock lock(&mutex_);
  waits_ = false;
}

void FakeRuleTable::HoldXtablesLock(bool held) {
  absl::MutexLock lock(&mutex_);
  lock_held_ = held;
}

void FakeRuleTable::PauseEdits(bool paused) {
  absl::MutexLock lock(&mutex_);
  paused_ = paused;
}

void FakeRuleTable::LoseRuleCountersOnNextCommit() {
  absl::MutexLock lock(&mutex_);
  lose_counters_ = true;
}

void FakeRuleTable::RefillBudgetsOnCommits(size_t budgets) {
  absl::MutexLock lock(&mutex_);
  budgets_ = budgets;
}

void FakeRuleTable::SetCapabilities(const RuleCapabilities& capabilities) {
  absl::MutexLock lock(&mutex_);
  capabilities_ = capabilities;
}

RuleCapabilities FakeRuleTable::capabilities() const {
  absl::MutexLock lock(&mutex_);
  return capabilities_;
}

int FakeRuleTable::commits(Family family, Table table) const {
  absl::MutexLock lock(&mutex_);
  const auto it = commits_.find({family, table});
  return it == commits_.end() ? 0 : it->second;
}

int FakeRuleTable::total_commits() const {
  absl::MutexLock lock(&mutex_);
  int total = 0;
  for (const auto& [key, count] : commits_) total += count;
  return total;
}

int FakeRuleTable::reads() const {
  absl::MutexLock lock(&mutex_);
  return reads_;
}

}  // namespace nfmeter::kernel
