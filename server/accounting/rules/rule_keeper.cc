// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/rules/rule_keeper.h"

#include <map>
#include <set>

#include "absl/container/flat_hash_map.h"
#include "accounting/rules/rule_tables.h"
#include "base/status_macros.h"

namespace nfmeter::accounting {
namespace {

using kernel::Rule;
using kernel::TableContents;
using kernel::TableEdit;
using Place = std::pair<kernel::Family, kernel::Table>;

// The edits that make `rules` of one table again; `stale` are ids of rules that
// are there and must be deleted before.
std::vector<TableEdit> EditsOf(const Place& place,
                               absl::Span<const WantedRule* const> rules,
                               std::set<std::string> stale) {
  // One edit has one placement. Those at the head come one before the other,
  // as they were made one after the other.
  std::vector<TableEdit> edits;
  for (const kernel::RulePlacement placement :
       {kernel::RulePlacement::kHead, kernel::RulePlacement::kTail}) {
    TableEdit edit{
        .family = place.first, .table = place.second, .placement = placement};
    for (const WantedRule* const wanted : rules) {
      if (wanted->placement != placement) continue;
      const kernel::RuleSpec& spec = wanted->rule.spec;
      if (stale.erase(spec.id) > 0) edit.deletions.push_back(spec.id);
      if (wanted->away) continue;
      if (placement == kernel::RulePlacement::kHead) {
        edit.insertions.insert(edit.insertions.begin(), spec);
      } else {
        edit.insertions.push_back(spec);
      }
    }
    if (!edit.insertions.empty() || !edit.deletions.empty()) {
      edits.push_back(std::move(edit));
    }
  }
  return edits;
}

bool IsAs(const Rule& rule, const kernel::RuleSpec& spec) {
  return rule.chain == spec.chain && rule.match == spec.match &&
         rule.counter == spec.counter && rule.verdict == spec.verdict &&
         rule.other_matches.empty() && rule.other_counters.empty();
}

}  // namespace

absl::StatusOr<KeptOutcome> RuleKeeper::Keep(
    absl::FunctionRef<std::vector<WantedRule>()> wanted, bool dry_run) {
  return lane_.Run(
      Lane::Priority::kNormal, [&]() -> absl::StatusOr<KeptOutcome> {
        const std::vector<WantedRule> all = wanted();
        std::map<Place, std::vector<const WantedRule*>> by_table;
        for (const WantedRule& each : all) {
          by_table[{each.rule.family, each.rule.table}].push_back(&each);
        }
        KeptOutcome outcome;
        for (const auto& [place, rules] : by_table) {
          NFM_RETURN_IF_ERROR(
              KeepTable(place.first, place.second, rules, dry_run, outcome));
        }
        return outcome;
      });
}

absl::Status RuleKeeper::KeepTable(kernel::Family family, kernel::Table table,
                                   absl::Span<const WantedRule* const> rules,
                                   bool dry_run, KeptOutcome& outcome) {
  absl::flat_hash_map<absl::string_view, const WantedRule*> wanted_by_id;
  for (const WantedRule* const each : rules) {
    wanted_by_id[each->rule.spec.id] = each;
  }
  absl::flat_hash_map<std::string, bool> there;  // id: as wanted
  const auto read =
      ReadTables(kernel_, kernel_.rules(), family, table,
                 [&](const TableContents& contents) {
                   ForEachRule(contents, [&](const Rule& rule) {
                     if (!rule.managed) return;
                     const auto found = wanted_by_id.find(rule.id);
                     if (found == wanted_by_id.end()) return;
                     there[rule.id] = IsAs(rule, found->second->rule.spec);
                   });
                   return true;
                 });
  NFM_RETURN_IF_ERROR(read.status());
  std::vector<const WantedRule*> lacking;
  std::set<std::string> stale;
  for (const WantedRule* const wanted : rules) {
    const std::string& id = wanted->rule.spec.id;
    const auto found = there.find(id);
    const bool is_there = found != there.end();
    if (wanted->away ? !is_there
                     : is_there && found->second && !wanted->rebind) {
      continue;
    }
    lacking.push_back(wanted);
    if (is_there) stale.insert(id);
    if (wanted->away || wanted->rebind) {
      outcome.rebound.push_back(id);
    } else if (is_there) {
      outcome.changed.push_back(id);
    } else {
      outcome.missing.push_back(id);
    }
  }
  if (lacking.empty() || dry_run) return absl::OkStatus();
  const auto apply = [&](absl::Span<const WantedRule* const> some) {
    absl::Status status;
    for (TableEdit& edit : EditsOf({family, table}, some, stale)) {
      status.Update(
          kernel_.rules().Apply({.tables = {std::move(edit)}}, {}).status());
    }
    return status;
  };
  const absl::Status together = apply(lacking);
  if (together.ok()) return together;
  // One of them may need a chain or a set that is gone: each by itself.
  for (const WantedRule* const each : lacking) {
    if (absl::Status alone = apply({each}); !alone.ok()) {
      outcome.failed.emplace_back(each->rule.spec.id, std::move(alone));
    }
  }
  return absl::OkStatus();
}

}  // namespace nfmeter::accounting
