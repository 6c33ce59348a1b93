// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/fake/fake_rule_table.h"

#include <errno.h>

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/hash/hash.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "base/error.h"
#include "base/status_macros.h"
#include "kernel/fake/fake_acct_table.h"
#include "kernel/fake/fake_rule_text.h"
#include "kernel/owned_diff.h"
#include "kernel/rule_edit.h"

namespace nfmeter::kernel {
namespace {

// How often a paused Edit() looks whether it was abandoned.
constexpr absl::Duration kPausedLook = absl::Milliseconds(5);

Rule RuleOf(const TableEdit& edit, const RuleSpec& spec) {
  Rule rule;
  rule.family = edit.family;
  rule.table = edit.table;
  rule.id = spec.id;
  rule.chain = spec.chain;
  rule.match = spec.match;
  rule.counter = spec.counter;
  rule.form = spec.form;
  rule.verdict = spec.verdict;
  rule.managed = true;
  rule.text = FakeRuleText(spec);
  rule.target = std::string(TargetName(spec.verdict, spec.form));
  return rule;
}

// References are the rules that jump to a chain.
void CountReferences(TableContents& contents) {
  std::map<std::string, uint32_t> references;
  for (const Chain& chain : contents.chains) {
    for (const Rule& rule : chain.rules) ++references[rule.target];
  }
  for (Chain& chain : contents.chains) {
    chain.references = chain.builtin ? 0 : references[chain.name];
  }
}

void ApplyEdit(const TableEdit& edit, const EditPlan& plan,
               TableContents& contents) {
  for (const EditPlan::ChainDeletions& deletions : plan.deletions) {
    std::vector<Rule>& rules = contents.chains[deletions.chain].rules;
    for (auto it = deletions.positions.rbegin();
         it != deletions.positions.rend(); ++it) {
      rules.erase(rules.begin() + (*it - 1));
    }
  }
  for (Chain& chain : contents.chains) {
    for (const RestoredRule& restored : edit.restorations) {
      if (restored.spec.chain != chain.name) continue;
      Rule rule = RuleOf(edit, restored.spec);
      rule.packets = restored.packets;
      rule.bytes = restored.bytes;
      const size_t before =
          std::min<size_t>(restored.position - 1, chain.rules.size());
      chain.rules.insert(chain.rules.begin() + before, std::move(rule));
    }
    std::vector<Rule> added;
    for (const RuleSpec& spec : edit.insertions) {
      if (spec.chain == chain.name) added.push_back(RuleOf(edit, spec));
    }
    const auto where = edit.placement == RulePlacement::kHead
                           ? chain.rules.begin()
                           : chain.rules.end();
    chain.rules.insert(where, std::make_move_iterator(added.begin()),
                       std::make_move_iterator(added.end()));
  }
  NumberRules(contents);
  CountReferences(contents);
}

// The rules of the edit as they are in `contents`, in its order.
std::vector<Rule> Inserted(const TableEdit& edit,
                           const TableContents& contents) {
  absl::flat_hash_map<absl::string_view, const Rule*> rules;
  for (const Chain& chain : contents.chains) {
    for (const Rule& rule : chain.rules) rules.emplace(rule.id, &rule);
  }
  std::vector<Rule> inserted;
  for (const RuleSpec* spec : NewRules(edit)) {
    inserted.push_back(*rules.at(spec->id));
  }
  return inserted;
}

Chain* FindChain(TableContents& contents, absl::string_view name) {
  for (Chain& chain : contents.chains) {
    if (chain.name == name) return &chain;
  }
  return nullptr;
}

Rule OwnedRuleOf(const OwnedTable& table, const std::string& text) {
  Rule rule = FakeForeignRule(text);
  rule.family = table.family;
  rule.table = table.table;
  return rule;
}

// Makes the steps in a copy of the table. `moved` gets the rules that come and
// go.
absl::Status CarryOwned(const OwnedTable& wanted, const OwnedSteps& steps,
                        RulePlacement placement,
                        const std::vector<std::vector<std::string>>& texts,
                        TableContents& contents, TableOutcome& moved) {
  for (const std::string& name : steps.made) {
    const auto where =
        absl::c_find_if(contents.chains, [&](const Chain& other) {
          return !other.builtin && other.name > name;
        });
    contents.chains.insert(where, {.name = name});
  }
  const auto empty = [&](Chain& chain) {
    absl::c_move(chain.rules, std::back_inserter(moved.deleted));
    chain.rules.clear();
  };
  for (const size_t i : steps.filled) {
    Chain& chain = *FindChain(contents, wanted.chains[i].name);
    empty(chain);
    for (const std::string& text : texts[i]) {
      chain.rules.push_back(OwnedRuleOf(wanted, text));
      moved.inserted.push_back(chain.rules.back());
    }
  }
  for (const OwnedSteps::Jumps& jumps : steps.deleted_jumps) {
    Chain& chain = *FindChain(contents, jumps.chain);
    for (size_t i = jumps.positions.size(); i-- > 0;) {
      chain.rules.erase(chain.rules.begin() + jumps.positions[i] - 1);
    }
  }
  for (const size_t i : steps.made_jumps) {
    const OwnedHook& hook = wanted.hooks[i];
    Chain& chain = *FindChain(contents, hook.from);
    chain.rules.insert(
        placement == RulePlacement::kHead ? chain.rules.begin()
                                          : chain.rules.end(),
        OwnedRuleOf(wanted, absl::StrCat("-A ", hook.from, " -j ", hook.to)));
  }
  for (const std::string& name : steps.removed) {
    empty(*FindChain(contents, name));
  }
  for (const std::string& name : steps.removed) {
    std::erase_if(contents.chains,
                  [&](const Chain& chain) { return chain.name == name; });
  }
  return absl::OkStatus();
}

}  // namespace

FakeRuleTable::FakeRuleTable(FakeAcctTable* acct) : acct_(acct) {
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
  // The failures are for those who read then.
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
  NFM_RETURN_IF_ERROR(CheckCounterEdits(edit, outcome));
  if (edit.dry_run) {
    for (TableOutcome& table : outcome.tables) {
      for (Rule& rule : table.inserted) rule.position = 0;
    }
    return outcome;
  }
  NFM_RETURN_IF_ERROR(CreateCounters(edit.new_counters, terms));
  std::vector<TableContents> before;
  absl::Status status = Commit(edit, outcome.tables, before);
  if (status.ok()) {
    status = DeleteCounters(edit, terms, before, outcome);
    if (status.ok()) return outcome;
  }
  std::vector<std::string> made;
  for (const AcctObject& counter : edit.new_counters) {
    made.push_back(counter.name);
  }
  if (!made.empty()) {
    NFM_RETURN_IF_ERROR(terms.counter_turn([&] {
      acct_->Delete(made);
      return CounterChanges{.deleted = edit.new_counters};
    }));
  }
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
  NFM_RETURN_IF_ERROR(
      CarryOwned(wanted, steps, edit.placement, texts, contents, moved));
  NumberRules(contents);
  CountReferences(contents);
  NFM_RETURN_IF_ERROR(MoveReferences({moved}));
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
  NFM_RETURN_IF_ERROR(MoveReferences({change}));
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
    NFM_RETURN_IF_ERROR(CheckCounters(table, edit.new_counters));
    ApplyEdit(table, plan, contents);
    outcomes.push_back({.inserted = Inserted(table, contents),
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
  NFM_RETURN_IF_ERROR(MoveReferences(outcomes));
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

absl::Status FakeRuleTable::CheckCounters(
    const TableEdit& edit, absl::Span<const AcctObject> new_counters) {
  if (acct_ == nullptr) return absl::OkStatus();
  absl::flat_hash_set<absl::string_view> known;
  for (const AcctObject& counter : new_counters) known.insert(counter.name);
  for (const RuleSpec* rule : NewRules(edit)) {
    if (rule->counter.empty() || known.contains(rule->counter)) continue;
    if (acct_->Exists(rule->counter)) {
      known.insert(rule->counter);
      continue;
    }
    return AtField(
        *rule, "counter",
        MakeError(absl::StatusCode::kNotFound,
                  absl::StrCat("there is no counter '", rule->counter,
                               "'; create it before the rules that count "
                               "into it"),
                  {.reason = "COUNTER_NOT_FOUND",
                   .metadata = {{"counters", rule->counter}}}));
  }
  return absl::OkStatus();
}

absl::Status FakeRuleTable::CheckCounterEdits(const KernelEdit& edit,
                                              KernelOutcome& outcome) {
  if (acct_ == nullptr) return absl::OkStatus();
  for (const AcctObject& counter : edit.new_counters) {
    if (!acct_->Exists(counter.name)) continue;
    return ErrnoStatus(Operation::kAcctCreate, EEXIST, counter.name);
  }
  std::map<std::string, int64_t> uses;  // that the tables add
  for (const TableOutcome& table : outcome.tables) {
    for (const Rule& rule : table.inserted) ++uses[rule.counter];
    for (const Rule& rule : table.deleted) --uses[rule.counter];
  }
  for (const std::string& name : edit.deleted_counters) {
    NFM_ASSIGN_OR_RETURN(AcctObject counter, acct_->Get(name));
    if (counter.use_count + uses[name] > 0) {
      return ErrnoStatus(Operation::kAcctDelete, EBUSY, name);
    }
    if (edit.dry_run) outcome.deleted_counters.push_back(std::move(counter));
  }
  return absl::OkStatus();
}

absl::Status FakeRuleTable::CreateCounters(
    absl::Span<const AcctObject> counters, const EditTerms& terms) {
  if (counters.empty()) return absl::OkStatus();
  absl::Status failed;
  NFM_RETURN_IF_ERROR(terms.counter_turn([&] {
    CounterChanges changes;
    std::vector<std::string> made;
    const std::vector<absl::Status> results = acct_->Create(counters);
    for (size_t i = 0; i < counters.size(); ++i) {
      failed.Update(results[i]);
      if (!results[i].ok()) continue;
      made.push_back(counters[i].name);
      changes.created.push_back(counters[i]);
    }
    if (failed.ok()) return changes;
    acct_->Delete(made);
    return CounterChanges();
  }));
  return failed;
}

absl::Status FakeRuleTable::DeleteCounters(const KernelEdit& edit,
                                           const EditTerms& terms,
                                           std::vector<TableContents>& before,
                                           KernelOutcome& outcome) {
  if (edit.deleted_counters.empty()) return absl::OkStatus();
  absl::Status failed;
  NFM_RETURN_IF_ERROR(terms.counter_turn([&] {
    CounterChanges changes;
    for (const std::string& name : edit.deleted_counters) {
      absl::StatusOr<AcctObject> last = acct_->Get(name);
      absl::Status gone = last.status();
      if (gone.ok()) gone = acct_->Delete({name}).front();
      if (gone.ok()) changes.deleted.push_back(*std::move(last));
      failed.Update(gone);
    }
    if (failed.ok()) {
      outcome.deleted_counters = changes.deleted;
      return changes;
    }
    acct_->Create(changes.deleted);
    return CounterChanges();
  }));
  if (failed.ok()) return absl::OkStatus();
  absl::MutexLock lock(&mutex_);
  std::vector<TableOutcome> undone;
  for (size_t i = 0; i < edit.tables.size(); ++i) {
    const TableEdit& table = edit.tables[i];
    tables_[{table.family, table.table}] = std::move(before[i]);
    undone.push_back({.inserted = std::move(outcome.tables[i].deleted),
                      .deleted = std::move(outcome.tables[i].inserted)});
  }
  failed.Update(MoveReferences(undone));
  return failed;
}

// All or nothing, as the kernel resolves the names of a whole table before it
// puts it in place.
absl::Status FakeRuleTable::MoveReferences(
    const std::vector<TableOutcome>& outcomes) {
  if (acct_ == nullptr) return absl::OkStatus();
  for (const TableOutcome& table : outcomes) {
    for (const Rule& rule : table.inserted) {
      if (rule.counter.empty()) continue;
      NFM_RETURN_IF_ERROR(acct_->AddReference(rule.counter));
    }
  }
  for (const TableOutcome& table : outcomes) {
    for (const Rule& rule : table.deleted) ReleaseCounters(rule);
  }
  return absl::OkStatus();
}

void FakeRuleTable::ReleaseCounter(const std::string& counter) {
  if (acct_ != nullptr && !counter.empty()) acct_->RemoveReference(counter);
}

void FakeRuleTable::ReleaseCounters(const Rule& rule) {
  ReleaseCounter(rule.counter);
  for (const std::string& counter : rule.other_counters) {
    ReleaseCounter(counter);
  }
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
                                          absl::string_view text) {
  absl::MutexLock lock(&mutex_);
  const Key key{family, table};
  Rule rule = FakeForeignRule(text);
  rule.family = family;
  rule.table = table;
  std::vector<std::string> counters = rule.other_counters;
  if (!rule.counter.empty()) counters.push_back(rule.counter);
  for (const std::string& counter : counters) {
    if (acct_ == nullptr || acct_->AddReference(counter).ok()) continue;
    std::cerr << "FakeRuleTable: no counter " << counter << "\n";
    std::abort();
  }
  Chain& chain = ChainNamed(key, rule.chain);
  chain.rules.push_back(std::move(rule));
  NumberRules(tables_[key]);
  CountReferences(tables_[key]);
  return chain.rules.back().id;
}

void FakeRuleTable::Flush(Family family, Table table, absl::string_view chain) {
  absl::MutexLock lock(&mutex_);
  TableContents& contents = tables_[{family, table}];
  for (Chain& candidate : contents.chains) {
    if (!chain.empty() && candidate.name != chain) continue;
    for (const Rule& rule : candidate.rules) ReleaseCounters(rule);
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
