// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/fake/fake_rule_counters.h"

#include <errno.h>

#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "base/error.h"
#include "base/status_macros.h"
#include "kernel/acct_table.h"
#include "kernel/errno_status.h"
#include "kernel/fake/fake_acct_table.h"
#include "kernel/rule_edit.h"

namespace nfmeter::kernel {

absl::Status FakeRuleCounters::CheckRules(
    const TableEdit& edit, absl::Span<const AcctObject> new_counters) const {
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

absl::Status FakeRuleCounters::CheckEdit(const KernelEdit& edit,
                                         KernelOutcome& outcome) const {
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

absl::Status FakeRuleCounters::Create(absl::Span<const AcctObject> counters,
                                      const EditTerms& terms) {
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

absl::Status FakeRuleCounters::TakeBack(absl::Span<const AcctObject> made,
                                        const EditTerms& terms) {
  if (made.empty()) return absl::OkStatus();
  return terms.counter_turn([&] {
    acct_->Delete(NamesOf(made));
    return CounterChanges{.deleted = {made.begin(), made.end()}};
  });
}

absl::Status FakeRuleCounters::Delete(const KernelEdit& edit,
                                      const EditTerms& terms,
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
  return failed;
}

absl::Status FakeRuleCounters::MoveReferences(
    const std::vector<TableOutcome>& outcomes) {
  if (acct_ == nullptr) return absl::OkStatus();
  for (const TableOutcome& table : outcomes) {
    for (const Rule& rule : table.inserted) {
      if (rule.counter.empty()) continue;
      NFM_RETURN_IF_ERROR(acct_->AddReference(rule.counter));
    }
  }
  for (const TableOutcome& table : outcomes) {
    for (const Rule& rule : table.deleted) Release(rule);
  }
  return absl::OkStatus();
}

absl::Status FakeRuleCounters::Hold(const Rule& rule) {
  if (acct_ == nullptr) return absl::OkStatus();
  std::vector<std::string> counters = rule.other_counters;
  if (!rule.counter.empty()) counters.push_back(rule.counter);
  for (const std::string& counter : counters) {
    NFM_RETURN_IF_ERROR(acct_->AddReference(counter));
  }
  return absl::OkStatus();
}

void FakeRuleCounters::Release(const Rule& rule) {
  if (acct_ == nullptr) return;
  if (!rule.counter.empty()) acct_->RemoveReference(rule.counter);
  for (const std::string& counter : rule.other_counters) {
    acct_->RemoveReference(counter);
  }
}

}  // namespace nfmeter::kernel
