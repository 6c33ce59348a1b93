#include "kernel/fake/fake_rule_table.h"

#include <errno.h>

#include <algorithm>
#include <cstdlib>
#include <iostream>

#include "absl/strings/str_cat.h"
#include "base/error.h"
#include "base/status_macros.h"
#include "kernel/fake/fake_acct_table.h"
#include "kernel/fake/fake_rule_text.h"
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

void Apply(const TableEdit& edit, const EditPlan& plan,
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

const Rule* FindRule(const TableContents& contents, absl::string_view id) {
  for (const Chain& chain : contents.chains) {
    for (const Rule& rule : chain.rules) {
      if (rule.id == id) return &rule;
    }
  }
  return nullptr;
}

}  // namespace

FakeRuleTable::FakeRuleTable(FakeAcctTable* acct) : acct_(acct) {
  for (Family family : kAllFamilies) {
    for (Table table : kAllTables) {
      tables_[{family, table}] = EmptyTable(family, table);
    }
  }
}

absl::Status FakeRuleTable::ProbeTables(Family family) {
  absl::MutexLock lock(&mutex_);
  return tables_probe_[family];
}

absl::Status FakeRuleTable::ProbeMatch(Family family) {
  absl::MutexLock lock(&mutex_);
  return match_probe_[family];
}

absl::Status FakeRuleTable::ProbeTarget(Family family) {
  absl::MutexLock lock(&mutex_);
  return target_probe_[family];
}

absl::string_view FakeRuleTable::BackendName() const { return "fake iptables"; }

std::vector<std::string> FakeRuleTable::Notices() {
  absl::MutexLock lock(&mutex_);
  return notices_;
}

absl::StatusOr<TableContents> FakeRuleTable::Read(Family family, Table table) {
  absl::MutexLock lock(&mutex_);
  NFM_RETURN_IF_ERROR(tables_probe_[family]);
  NFM_RETURN_IF_ERROR(TakeFailure(Operation::kRuleRead, {family, table}));
  ++reads_;
  return tables_[{family, table}];
}

absl::StatusOr<EditOutcome> FakeRuleTable::Edit(const TableEdit& edit,
                                                const Patience& patience) {
  NFM_RETURN_IF_ERROR(CheckLaws(edit));
  absl::MutexLock lock(&mutex_);
  const Key key{edit.family, edit.table};
  const auto may_go_on = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return !paused_ || (!waits_ && patience.stoppable()) ||
           !patience.CheckWanted().ok();
  };
  while (!mutex_.AwaitWithTimeout(absl::Condition(&may_go_on), kPausedLook)) {
  }
  NFM_RETURN_IF_ERROR(tables_probe_[edit.family]);
  NFM_RETURN_IF_ERROR(TakeFailure(Operation::kXtablesLock, key));
  if (!edit.dry_run) NFM_RETURN_IF_ERROR(patience.CheckWanted());
  if (lock_held_ || paused_) {
    return ErrnoStatus(Operation::kXtablesLock, ETIMEDOUT, "/run/xtables.lock");
  }
  TableContents& contents = tables_[key];
  NFM_ASSIGN_OR_RETURN(EditPlan plan, PlanEdit(contents, edit));
  NFM_RETURN_IF_ERROR(CheckForms(edit));
  EditOutcome outcome{.deleted = plan.deleted};
  if (edit.dry_run) {
    NFM_RETURN_IF_ERROR(ReserveCounters(edit));
    for (const RuleSpec* spec : NewRules(edit)) {
      ReleaseCounter(spec->counter);
      outcome.inserted.push_back(RuleOf(edit, *spec));
    }
    return outcome;
  }
  NFM_RETURN_IF_ERROR(TakeFailure(Operation::kRuleCommit, key));
  NFM_RETURN_IF_ERROR(ReserveCounters(edit));
  for (const Rule& rule : plan.deleted) ReleaseCounters(rule);
  Apply(edit, plan, contents);
  ++commits_[key];
  if (lose_counters_) {
    for (Chain& chain : contents.chains) {
      for (Rule& rule : chain.rules) rule.packets = rule.bytes = 0;
    }
    outcome.rule_counters_lost = true;
    lose_counters_ = false;
  }
  for (const RuleSpec* spec : NewRules(edit)) {
    outcome.inserted.push_back(*FindRule(contents, spec->id));
  }
  return outcome;
}

absl::Status FakeRuleTable::CheckForms(const TableEdit& edit) {
  for (const RuleSpec* rule : NewRules(edit)) {
    NFM_RETURN_IF_ERROR(rule->form == CountingForm::kTarget
                            ? target_probe_[edit.family]
                            : match_probe_[edit.family]);
  }
  return absl::OkStatus();
}

// All or nothing, as the kernel resolves the names of a whole table before it
// puts it in place.
absl::Status FakeRuleTable::ReserveCounters(const TableEdit& edit) {
  if (acct_ == nullptr) return absl::OkStatus();
  std::vector<std::string> reserved;
  for (const RuleSpec* rule : NewRules(edit)) {
    if (rule->counter.empty()) continue;
    if (acct_->AddReference(rule->counter).ok()) {
      reserved.push_back(rule->counter);
      continue;
    }
    for (const std::string& counter : reserved) ReleaseCounter(counter);
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

void FakeRuleTable::SetTablesProbe(Family family, absl::Status status) {
  absl::MutexLock lock(&mutex_);
  tables_probe_[family] = std::move(status);
}

void FakeRuleTable::SetMatchProbe(Family family, absl::Status status) {
  absl::MutexLock lock(&mutex_);
  match_probe_[family] = std::move(status);
}

void FakeRuleTable::SetTargetProbe(Family family, absl::Status status) {
  absl::MutexLock lock(&mutex_);
  target_probe_[family] = std::move(status);
}

void FakeRuleTable::SetNotices(std::vector<std::string> notices) {
  absl::MutexLock lock(&mutex_);
  notices_ = std::move(notices);
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
