// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/linux/xtables/xt_edit_outcome.h"

#include "absl/algorithm/container.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "kernel/linux/xtables/iptc_rule_table_contents.h"

namespace nfmeter::kernel {
namespace {

using RulesById = absl::flat_hash_map<absl::string_view, const Rule*>;

RulesById ManagedRules(const TableContents& contents) {
  RulesById rules;
  for (const Chain& chain : contents.chains) {
    for (const Rule& rule : chain.rules) {
      if (rule.managed) rules.emplace(rule.id, &rule);
    }
  }
  return rules;
}

// Whether there was a rule with this text that was not managed: a copy of a
// rule of ours, which takes its place when that one goes.
bool HadCopy(const TableContents& before, const Rule& rule) {
  for (const Chain& chain : before.chains) {
    for (const Rule& other : chain.rules) {
      if (!other.managed && other.text == rule.text) return true;
    }
  }
  return false;
}

// The state of these is the kernel's own, made anew for each new table and not
// among what it copies to user space: `usersize` of the matches in xt_quota.c,
// xt_limit.c and xt_statistic.c.
bool HasBudget(const Rule& rule) {
  return absl::c_any_of(rule.other_matches,
                        [](const std::string& match) {
                          return match == "quota" || match == "limit";
                        }) ||
         absl::StrContains(rule.text, " --mode nth ");
}

}  // namespace

Rule Foreseen(const TableEdit& edit, const RuleSpec& spec,
              const std::vector<uint8_t>& entry, IpSetIndex& sets) {
  Rule rule = ReadRule(
      edit.family, edit.table, spec.chain,
      {.entry = entry, .target = TargetName(spec.verdict, spec.form)}, sets);
  rule.counter = spec.counter;
  return rule;
}

bool IsApplied(const XtCommit& commit, const TableContents& after,
               IpSetIndex& sets) {
  const RulesById rules = ManagedRules(after);
  const TableEdit& edit = commit.edit;
  const absl::flat_hash_set<absl::string_view> deleted(edit.deletions.begin(),
                                                       edit.deletions.end());
  absl::flat_hash_set<absl::string_view> inserted;
  const std::vector<const RuleSpec*> wanted = NewRules(edit);
  for (size_t i = 0; i < wanted.size(); ++i) {
    const RuleSpec& spec = *wanted[i];
    inserted.insert(spec.id);
    const auto found = rules.find(spec.id);
    if (found == rules.end()) return false;
    if (!deleted.contains(spec.id)) continue;
    const Rule& rule = *found->second;
    if (rule.chain != spec.chain ||
        rule.text != Foreseen(edit, spec, commit.entries[i], sets).text) {
      return false;
    }
  }
  return absl::c_all_of(deleted, [&](absl::string_view id) {
    const auto found = rules.find(id);
    return found == rules.end() || inserted.contains(id) ||
           (commit.err == 0 && HadCopy(commit.before, *found->second));
  });
}

size_t BudgetsIn(const TableContents& contents) {
  size_t budgets = 0;
  for (const Chain& chain : contents.chains) {
    budgets += absl::c_count_if(chain.rules, HasBudget);
  }
  return budgets;
}

}  // namespace nfmeter::kernel
