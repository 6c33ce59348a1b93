// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/rules/rule_editor.h"

#include <algorithm>
#include <map>

#include "absl/container/flat_hash_map.h"
#include "absl/random/random.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "accounting/common/counter_errors.h"
#include "accounting/common/counter_filter.h"
#include "accounting/counters/counters.h"
#include "accounting/rules/kept_rules.h"
#include "base/error.h"
#include "base/status_macros.h"
#include "kernel/rule_edit.h"

namespace nfmeter::accounting {
namespace {

using kernel::Rule;
using kernel::TableContents;
using kernel::TableOutcome;

constexpr char kWhyBudgetsAreFull[] =
    "every program that changes a table of legacy iptables does so, as the "
    "kernel keeps no budget when a table is replaced. Keep such rules in a "
    "table that changes seldom.";

// The id of a rule to which the client gave none: 16 hex digits.
std::string RandomId() {
  thread_local absl::BitGen random;
  return absl::StrFormat("%016x", absl::Uniform<uint64_t>(random));
}

// Runs `job` when it is its turn on the lane, unless that comes too late or the
// caller has gone.
template <typename Job>
std::invoke_result_t<Job> InTurn(Lane& lane, const kernel::Patience& patience,
                                 Job&& job) {
  using Result = std::invoke_result_t<Job>;
  std::optional<Result> result = lane.RunBefore(
      patience.deadline(), Lane::Priority::kNormal, [&]() -> Result {
        NFM_RETURN_IF_ERROR(patience.CheckWanted());
        return job();
      });
  if (result.has_value()) return *std::move(result);
  return MakeError(absl::StatusCode::kUnavailable, "RULE_LANE_BUSY",
                   "earlier changes of rules, of which one may wait for the "
                   "xtables lock, took until the deadline; nothing was "
                   "changed; try again with more time");
}

absl::Status ForeignRules(absl::Span<const std::string> ids) {
  return MakeError(
      absl::StatusCode::kFailedPrecondition,
      absl::StrCat(ids.size() == 1 ? "rule " : "rules ", ShownNames(ids),
                   ids.size() == 1 ? " was" : " were",
                   " not made by nfmeter, which never deletes what is not "
                   "its own; use iptables-legacy"),
      ErrorDetails{.reason = "FOREIGN_RULE",
                   .metadata = {{"rules", ShownNames(ids)}}});
}

absl::Status RulesOfPlans(absl::Span<const std::string> ids) {
  return MakeError(
      absl::StatusCode::kFailedPrecondition,
      absl::StrCat(ids.size() == 1 ? "rule " : "rules ", ShownNames(ids),
                   ids.size() == 1 ? " is" : " are",
                   " of a plan, which would put back what is deleted: change "
                   "the plan and apply it again, or delete the plan"),
      ErrorDetails{.reason = "FOREIGN_RULE",
                   .metadata = {{"rules", ShownNames(ids)}}});
}

absl::Status RulesExist(absl::Span<const std::string> ids) {
  return MakeError(
      absl::StatusCode::kAlreadyExists,
      absl::StrCat(ids.size() == 1 ? "rule " : "rules ", ShownNames(ids),
                   ids.size() == 1 ? " exists already; nothing was changed; "
                                     "delete it first or choose another id"
                                   : " exist already; nothing was changed; "
                                     "delete them first or choose other ids"),
      ErrorDetails{.reason = "RULE_EXISTS",
                   .metadata = {{"rules", ShownNames(ids)}}});
}

// A violation of the same field in each of the rules that `is_meant`.
absl::Status WithFields(const absl::Status& status,
                        absl::Span<const NewRule> rules,
                        absl::string_view field,
                        absl::FunctionRef<bool(size_t index)> is_meant) {
  ErrorDetails details = GetErrorDetails(status);
  for (size_t i = 0; i < rules.size(); ++i) {
    if (rules[i].field.empty() || !is_meant(i)) continue;
    details.violations.push_back({absl::StrCat(rules[i].field, ".", field),
                                  std::string(status.message())});
  }
  return MakeError(status.code(), status.message(), std::move(details));
}

// `status` in the words of the request: the kernel's layer names a rule by its
// id, which the caller may not know, and a field by its place in the rule.
absl::Status InRequest(const absl::Status& status,
                       absl::Span<const NewRule> rules,
                       absl::Span<const std::string> ids,
                       const absl::flat_hash_set<std::string>& given_ids) {
  ErrorDetails details = GetErrorDetails(status);
  const auto named = details.metadata.find("rule");
  if (named == details.metadata.end()) return status;
  const auto found = std::find(ids.begin(), ids.end(), named->second);
  if (found == ids.end()) return status;
  const std::string& place = rules[found - ids.begin()].field;
  if (!given_ids.contains(*found)) details.metadata.erase(named);
  if (place.empty()) details.violations.clear();
  for (FieldViolation& violation : details.violations) {
    violation.field = violation.field.empty()
                          ? place
                          : absl::StrCat(place, ".", violation.field);
  }
  return MakeError(status.code(),
                   rules.size() == 1 || place.empty()
                       ? std::string(status.message())
                       : absl::StrCat(place, ": ", status.message()),
                   std::move(details));
}

// The chains that a table has beside the one that is missing, for those who may
// see all of the host.
absl::Status WithChains(const absl::Status& status, const CounterScope& scope) {
  ErrorDetails details = GetErrorDetails(status);
  const auto chains = details.metadata.find("chains");
  if (chains == details.metadata.end()) return status;
  std::string message(status.message());
  if (scope.has_all()) {
    absl::StrAppend(&message, "; its chains are ", chains->second);
  } else {
    details.metadata.erase(chains);
  }
  return MakeError(status.code(), message, std::move(details));
}

}  // namespace

absl::Status VerdictNotPermitted() {
  return MakeError(absl::StatusCode::kPermissionDenied, "VERDICT_NOT_PERMITTED",
                   "an operator's rules only count; rules with a verdict need "
                   "the role admin");
}

absl::Status RuleEditor::ChooseForm(NewRule& rule) const {
  const kernel::RuleCapabilities capabilities = this->capabilities();
  const absl::Status& match = capabilities.match(rule.family);
  const absl::Status& target = capabilities.target(rule.family);
  const bool may_be_target = rule.spec.verdict == kernel::Verdict::kContinue;
  if (!rule.form.has_value() && !match.ok() && target.ok() && !may_be_target) {
    return Annotate(match,
                    "a rule with a verdict counts by the match, as the NFACCT "
                    "target goes on");
  }
  rule.spec.form = rule.form.value_or(match.ok() || !target.ok()
                                          ? kernel::CountingForm::kMatch
                                          : kernel::CountingForm::kTarget);
  return rule.spec.form == kernel::CountingForm::kTarget ? target : match;
}

absl::StatusOr<ChangedRules> RuleEditor::Create(std::vector<NewRule> rules,
                                                const RuleChange& change) {
  absl::flat_hash_set<std::string> given_ids;
  std::vector<std::string> ids;
  ids.reserve(rules.size());
  for (NewRule& rule : rules) {
    NFM_RETURN_IF_ERROR(capabilities().tables(rule.family));
    if (const absl::Status form = ChooseForm(rule); !form.ok()) {
      return rule.form.has_value() ? WithFields(form, {rule}, "counting_form",
                                                [](size_t) { return true; })
                                   : form;
    }
    if (rule.spec.id.empty()) {
      rule.spec.id = RandomId();
    } else {
      given_ids.insert(rule.spec.id);
    }
    ids.push_back(rule.spec.id);
  }
  NFM_RETURN_IF_ERROR(CheckCounters(rules));
  std::vector<Group> groups = GroupInsertions(rules, change);
  absl::StatusOr<ChangedRules> created =
      InTurn(lane_, change.patience, [&]() -> absl::StatusOr<ChangedRules> {
        NFM_ASSIGN_OR_RETURN(const std::vector<std::string> existing,
                             ExistingIds(given_ids));
        if (!existing.empty()) {
          const absl::flat_hash_set<absl::string_view> old(existing.begin(),
                                                           existing.end());
          return WithFields(RulesExist(existing), rules, "id",
                            [&](size_t i) { return old.contains(ids[i]); });
        }
        NFM_ASSIGN_OR_RETURN(ChangedRules made,
                             EditAll(std::move(groups), change));
        if (kept_ != nullptr && !change.validate_only) {
          kept_->OnRulesCreated(made.rules, change.placement);
        }
        return made;
      });
  if (created.ok()) {
    if (kept_ != nullptr) kept_->CommitRules();
    return created;
  }
  return InRequest(WithChains(created.status(), change.scope), rules, ids,
                   given_ids);
}

absl::StatusOr<ChangedRules> RuleEditor::Delete(
    absl::Span<const std::string> ids, const RuleChange& change) {
  absl::StatusOr<ChangedRules> deleted =
      InTurn(lane_, change.patience, [&]() -> absl::StatusOr<ChangedRules> {
        NFM_ASSIGN_OR_RETURN(std::vector<Group> groups,
                             GroupDeletions(ids, change));
        NFM_ASSIGN_OR_RETURN(ChangedRules gone,
                             EditAll(std::move(groups), change));
        if (kept_ != nullptr && !change.validate_only) {
          kept_->OnRulesDeleted(gone.rules);
        }
        return gone;
      });
  if (deleted.ok() && kept_ != nullptr) kept_->CommitRules();
  return deleted;
}

absl::Status RuleEditor::InTurnOfChanges(
    const kernel::Patience& patience,
    absl::FunctionRef<absl::Status(kernel::RuleTable&)> job) {
  return InTurn(lane_, patience, [&] { return job(kernel_.rules()); });
}

absl::Status RuleEditor::CheckCounters(absl::Span<const NewRule> rules) {
  absl::flat_hash_set<absl::string_view> unseen;
  for (const NewRule& rule : rules) unseen.insert(rule.spec.counter);
  bool certain = false;
  if (unseen.size() >= kDumpFromNames) {
    // Beside the counter lane: a deletion there can only cut the dump short,
    // and what it left out is asked for.
    NFM_ASSIGN_OR_RETURN(
        const kernel::AcctDumpOutcome outcome,
        kernel_.rule_acct().Dump(
            kernel::AcctDumpFilter::kAll,
            [&](absl::Span<const kernel::AcctRecord> records) {
              for (const kernel::AcctRecord& record : records) {
                unseen.erase(record.name);
              }
            }));
    certain = outcome.complete;
  }
  std::vector<std::string> missing;
  for (const absl::string_view name : unseen) {
    const absl::Status found = certain ? absl::NotFoundError(name)
                                       : kernel_.rule_acct().Get(name).status();
    if (absl::IsNotFound(found)) {
      missing.emplace_back(name);
    } else if (!found.ok()) {
      return found;
    }
  }
  if (missing.empty()) return absl::OkStatus();
  std::sort(missing.begin(), missing.end());
  return WithFields(CountersMissing(missing), rules, "counter", [&](size_t i) {
    return std::binary_search(missing.begin(), missing.end(),
                              rules[i].spec.counter);
  });
}

absl::StatusOr<std::vector<std::string>> RuleEditor::ExistingIds(
    const absl::flat_hash_set<std::string>& ids) {
  std::vector<std::string> existing;
  if (ids.empty()) return existing;
  const auto read = ReadAllTables([&](const TableContents& contents) {
    ForEachRule(contents, [&](const Rule& rule) {
      if (ids.contains(rule.id)) existing.push_back(rule.id);
    });
    return true;
  });
  NFM_RETURN_IF_ERROR(read.status());
  return existing;
}

std::vector<RuleEditor::Group> RuleEditor::GroupInsertions(
    std::vector<NewRule>& rules, const RuleChange& change) {
  using Place = std::pair<kernel::Family, kernel::Table>;
  std::map<Place, size_t> sizes;
  for (const NewRule& rule : rules) ++sizes[{rule.family, rule.table}];
  std::map<Place, Group> groups;
  for (size_t i = 0; i < rules.size(); ++i) {
    const Place place(rules[i].family, rules[i].table);
    const auto [found, is_new] = groups.try_emplace(place);
    Group& group = found->second;
    if (is_new) group.edit.insertions.reserve(sizes[place]);
    group.edit.family = rules[i].family;
    group.edit.table = rules[i].table;
    group.edit.placement = change.placement;
    group.edit.insertions.push_back(std::move(rules[i].spec));
    group.indexes.push_back(i);
  }
  std::vector<Group> ordered;
  for (auto& [key, group] : groups) ordered.push_back(std::move(group));
  return ordered;
}

absl::StatusOr<std::vector<RuleEditor::Group>> RuleEditor::GroupDeletions(
    absl::Span<const std::string> ids, const RuleChange& change) {
  absl::flat_hash_map<absl::string_view, size_t> wanted;
  for (size_t i = 0; i < ids.size(); ++i) wanted.emplace(ids[i], i);
  const absl::flat_hash_set<absl::string_view> counters(change.counters.begin(),
                                                        change.counters.end());
  const auto may_be_meant = [&](const Rule& rule) {
    return change.scope.Contains(ShownName(rule.counter)) &&
           (counters.empty() || counters.contains(rule.counter));
  };
  std::vector<Group> groups;
  std::vector<std::string> foreign;
  std::vector<std::string> of_plans;
  bool decides = false;
  NFM_ASSIGN_OR_RETURN(
      const TablesRead read, ReadAllTables([&](const TableContents& contents) {
        Group group;
        group.edit.family = contents.family;
        group.edit.table = contents.table;
        ForEachRule(contents, [&](const Rule& rule) {
          const auto found = wanted.find(rule.id);
          if (found == wanted.end() || !may_be_meant(rule)) return;
          if (!rule.managed) {
            (kernel::IsOfOwner(rule) ? of_plans : foreign).push_back(rule.id);
          }
          decides |= rule.verdict != kernel::Verdict::kContinue;
          group.edit.deletions.push_back(rule.id);
          group.indexes.push_back(found->second);
          wanted.erase(found);
        });
        if (!group.indexes.empty()) groups.push_back(std::move(group));
        return !wanted.empty();
      }));
  std::vector<std::string> missing;
  for (const std::string& id : ids) {
    if (wanted.contains(id)) missing.push_back(id);
  }
  if (!missing.empty()) {
    NFM_RETURN_IF_ERROR(read.unseen);
    return RuleNotFound(missing);
  }
  if (!foreign.empty()) return ForeignRules(foreign);
  if (!of_plans.empty()) return RulesOfPlans(of_plans);
  if (decides && change.counting_only) return VerdictNotPermitted();
  return groups;
}

absl::StatusOr<ChangedRules> RuleEditor::EditAll(std::vector<Group> groups,
                                                 const RuleChange& change) {
  kernel::KernelEdit edit{.dry_run = change.validate_only};
  size_t size = 0;
  for (Group& group : groups) {
    size += group.indexes.size();
    edit.tables.push_back(std::move(group.edit));
  }
  NFM_ASSIGN_OR_RETURN(kernel::KernelOutcome outcome,
                       kernel_.rules().Apply(edit, change.patience));
  ChangedRules changed;
  for (size_t g = 0; g < groups.size(); ++g) {
    if (outcome.tables[g].rule_counters_lost) ++rule_counter_losses_;
    if (outcome.tables[g].budgets_refilled == 0) continue;
    ++refills_;
    changed.refilled.emplace_back(edit.tables[g].family, edit.tables[g].table);
  }
  std::vector<Rule>& rules = changed.rules;
  if (groups.size() == 1 && !edit.tables[0].insertions.empty()) {
    rules = std::move(outcome.tables[0].inserted);  // in order already
    return changed;
  }
  rules.resize(size);
  for (size_t g = 0; g < groups.size(); ++g) {
    TableOutcome& table = outcome.tables[g];
    std::vector<Rule>& edited =
        edit.tables[g].insertions.empty() ? table.deleted : table.inserted;
    for (size_t i = 0; i < edited.size(); ++i) {
      rules[groups[g].indexes[i]] = std::move(edited[i]);
    }
  }
  return changed;
}

std::vector<std::string> RuleEditor::Notices() const {
  std::vector<std::string> notices;
  if (const uint64_t losses = rule_counter_losses_; losses > 0) {
    notices.push_back(absl::StrCat(
        "The kernel refused to take over the packet counts of rules in ",
        losses,
        " commits since the start of this server: the counts shown with those "
        "tables' rules may have restarted. Counters are not concerned."));
  }
  if (const uint64_t refills = refills_; refills > 0) {
    notices.push_back(absl::StrCat(
        "Changes of rules have filled up the budgets of other programs' rules "
        "(-m quota, -m limit, -m statistic --mode nth) in the same table ",
        refills, refills == 1 ? " time" : " times",
        " since the start of this server: ", kWhyBudgetsAreFull));
  }
  return notices;
}

std::vector<std::string> RuleEditor::FirstNotices(const ChangedRules& changed) {
  std::vector<std::string> notices;
  absl::MutexLock lock(&told_mutex_);
  for (const auto& each : changed.refilled) {
    if (!told_.insert(each).second) continue;
    notices.push_back(absl::StrCat(
        "This change has filled up the budgets of other programs' rules (-m "
        "quota, -m limit, -m statistic --mode nth) in table ",
        kernel::TableName(each.second), " of ", kernel::FamilyName(each.first),
        ", and so will later ones: ", kWhyBudgetsAreFull));
  }
  return notices;
}

}  // namespace nfmeter::accounting
