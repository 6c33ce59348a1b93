// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/rule_edit.h"

#include <algorithm>
#include <map>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "base/error.h"
#include "base/name_escape.h"
#include "base/stable_hash.h"
#include "base/status_macros.h"
#include "kernel/owned_chains.h"
#include "kernel/rule_law.h"

namespace nfmeter::kernel {
namespace {

// The names of the table's chains are in the metadata only: not every caller
// may know them.
absl::Status ChainNotFound(const TableContents& contents,
                           absl::string_view chain) {
  std::vector<std::string> names;
  for (const Chain& existing : contents.chains) {
    names.push_back(EscapeName(existing.name));
  }
  constexpr size_t kMaxNames = 12;
  std::string more;
  if (names.size() > kMaxNames) {
    more = absl::StrCat(" and ", names.size() - kMaxNames, " more");
    names.resize(kMaxNames);
  }
  return MakeError(
      absl::StatusCode::kNotFound,
      absl::StrCat("there is no chain ", QuoteName(chain), " in table ",
                   TableSubject(contents.family, contents.table)),
      {.reason = "CHAIN_NOT_FOUND",
       .metadata = {
           {"chain", EscapeName(chain)},
           {"table", std::string(TableName(contents.table))},
           {"family", std::string(FamilyName(contents.family))},
           {"chains", absl::StrCat(absl::StrJoin(names, ", "), more)}}});
}

// A rule in words for people, who may never have seen an id that the server
// chose.
std::string SubjectOf(const RuleSpec& rule) {
  return absl::StrCat("the rule in chain ", EscapeName(rule.chain),
                      " for counter '", EscapeNameToAscii(rule.counter), "'");
}

absl::Status RuleError(absl::StatusCode code, absl::string_view reason,
                       absl::string_view id, absl::string_view message) {
  return MakeError(
      code, message,
      {.reason = std::string(reason), .metadata = {{"rule", EscapeName(id)}}});
}

// All `faults` of a rule, of which the message names the first.
absl::Status Refused(const RuleSpec& rule,
                     const std::vector<RuleFault>& faults) {
  ErrorDetails details = {.reason = "RULE_REFUSED",
                          .metadata = {{"rule", EscapeName(rule.id)},
                                       {"chain", EscapeName(rule.chain)}}};
  for (const RuleFault& fault : faults) {
    details.violations.push_back({fault.field, fault.description});
  }
  return MakeError(absl::StatusCode::kInvalidArgument,
                   absl::StrCat(SubjectOf(rule), ": ", faults[0].field, ": ",
                                faults[0].description),
                   std::move(details));
}

bool NeedsSocket(const RuleSpec& rule) {
  return rule.match.owner_uid.has_value() || rule.match.owner_gid.has_value() ||
         rule.match.cgroup_path.has_value();
}

// The built-in chains from which packets come to `chain`, by jumps or because
// it is one itself.
std::vector<absl::string_view> EntryPoints(const TableContents& contents,
                                           absl::string_view chain) {
  absl::flat_hash_set<absl::string_view> leading = {chain};
  for (bool grown = true; grown;) {
    grown = false;
    for (const Chain& candidate : contents.chains) {
      if (leading.contains(candidate.name)) continue;
      for (const Rule& rule : candidate.rules) {
        if (!leading.contains(rule.target)) continue;
        leading.insert(candidate.name);
        grown = true;
        break;
      }
    }
  }
  std::vector<absl::string_view> entries;
  for (const Chain& candidate : contents.chains) {
    if (candidate.builtin && leading.contains(candidate.name)) {
      entries.push_back(candidate.name);
    }
  }
  return entries;
}

// Jumps bring packets into user chains. In a built-in chain FaultsOfRule()
// looks at its own.
absl::Status CheckSocket(const TableContents& contents, const RuleSpec& rule) {
  if (!NeedsSocket(rule)) return absl::OkStatus();
  for (const absl::string_view from : EntryPoints(contents, rule.chain)) {
    const std::vector<RuleFault> faults = FaultsOfSocket(rule.match, from);
    if (!faults.empty()) return Refused(rule, faults);
  }
  return absl::OkStatus();
}

// Where each managed rule is: chain index and rule index.
using Places =
    absl::flat_hash_map<absl::string_view, std::pair<size_t, size_t>>;

Places FindManaged(const TableContents& contents) {
  Places places;
  for (size_t c = 0; c < contents.chains.size(); ++c) {
    const std::vector<Rule>& rules = contents.chains[c].rules;
    for (size_t r = 0; r < rules.size(); ++r) {
      if (rules[r].managed) places.emplace(rules[r].id, std::pair(c, r));
    }
  }
  return places;
}

using Chains = absl::flat_hash_map<absl::string_view, const Chain*>;

absl::Status AlreadyThere(const TableContents& contents, const RuleSpec& rule,
                          size_t chain) {
  return AtField(
      rule, "id",
      RuleError(
          absl::StatusCode::kAlreadyExists, "RULE_EXISTS", rule.id,
          absl::StrCat("rule ", QuoteName(rule.id), " is already in chain ",
                       EscapeName(contents.chains[chain].name), " of ",
                       TableSubject(contents.family, contents.table),
                       "; delete it first, or choose another id")));
}

// What stands in the way of the NFACCT target: a chain of its name, to which
// libiptc would jump instead.
absl::Status CheckTarget(const RuleSpec& rule, const Chains& chains) {
  if (rule.form != CountingForm::kTarget || !chains.contains(kAcctTarget)) {
    return absl::OkStatus();
  }
  return AtField(
      rule, "counting_form",
      MakeError(absl::StatusCode::kInvalidArgument, "RULE_REFUSED",
                absl::StrCat("there is a user chain ", kAcctTarget,
                             ", which hides the target of that name: rename "
                             "the chain, or count by the match")));
}

absl::Status CheckNewRules(
    const TableContents& contents, const TableEdit& edit, const Places& places,
    const absl::flat_hash_set<absl::string_view>& deleted) {
  Chains chains;
  for (const Chain& chain : contents.chains) chains.emplace(chain.name, &chain);
  absl::flat_hash_set<absl::string_view> seen;
  for (const RuleSpec* each : NewRules(edit)) {
    const RuleSpec& rule = *each;
    if (!chains.contains(rule.chain)) {
      return AtField(rule, "chain", ChainNotFound(contents, rule.chain));
    }
    if (!seen.insert(rule.id).second) {
      return RuleError(absl::StatusCode::kInvalidArgument, "RULE_NAMED_TWICE",
                       rule.id,
                       absl::StrCat("rule id ", QuoteName(rule.id),
                                    " is given twice in one batch"));
    }
    const auto place = places.find(rule.id);
    if (place != places.end() && !deleted.contains(rule.id)) {
      return AlreadyThere(contents, rule, place->second.first);
    }
    NFM_RETURN_IF_ERROR(CheckSocket(contents, rule));
    NFM_RETURN_IF_ERROR(CheckTarget(rule, chains));
  }
  return absl::OkStatus();
}

absl::Status CheckDeletion(const TableContents& contents, absl::string_view id,
                           const Places& places) {
  if (absl::StartsWith(id, "~")) {
    return RuleError(
        absl::StatusCode::kFailedPrecondition, "FOREIGN_RULE", id,
        absl::StrCat("rule ", QuoteName(id),
                     " was not made by nfmeter, which "
                     "never deletes what is not its own; use iptables-legacy"));
  }
  if (places.contains(id)) return absl::OkStatus();
  return RuleError(absl::StatusCode::kNotFound, "RULE_NOT_FOUND", id,
                   absl::StrCat("there is no rule ", QuoteName(id), " in ",
                                TableSubject(contents.family, contents.table)));
}

}  // namespace

std::string TableSubject(Family family, Table table) {
  return absl::StrCat(TableName(table), " (", FamilyName(family), ")");
}

std::vector<Rule> TakeNewRules(const TableEdit& edit, TableContents& contents) {
  absl::flat_hash_map<absl::string_view, size_t> places;
  const std::vector<const RuleSpec*> wanted = NewRules(edit);
  places.reserve(wanted.size());
  for (size_t i = 0; i < wanted.size(); ++i) places.emplace(wanted[i]->id, i);
  std::vector<Rule> inserted(wanted.size());
  for (Chain& chain : contents.chains) {
    for (Rule& rule : chain.rules) {
      const auto place = places.find(rule.id);
      if (place == places.end() || !rule.managed) continue;
      inserted[place->second] = std::move(rule);
      // Should there be a copy, the first one counts, as in the managed rules.
      places.erase(place);
    }
  }
  return inserted;
}

RestoredRule AsItWas(const Rule& rule) {
  return {.spec = {.id = rule.id,
                   .chain = rule.chain,
                   .match = rule.match,
                   .counter = rule.counter,
                   .verdict = rule.verdict,
                   .form = rule.form},
          .position = rule.position,
          .packets = rule.packets,
          .bytes = rule.bytes};
}

bool CountsInto(const Rule& rule, absl::string_view counter) {
  return rule.counter == counter ||
         absl::c_linear_search(rule.other_counters, counter);
}

bool IsOurs(const Rule& rule) { return rule.managed || IsInOwnedChain(rule); }

bool IsInOwnedChain(const Rule& rule) {
  return absl::StartsWith(rule.chain, kOwnedChainPrefix);
}

bool IsOfOwner(const Rule& rule) {
  return IsInOwnedChain(rule) ||
         absl::StartsWith(rule.target, kOwnedChainPrefix);
}

std::string TextWithPlace(const Rule& rule) {
  const bool ipv4 = rule.family == Family::kIpv4;
  const absl::string_view table = TableName(rule.table);
  return absl::StartsWith(rule.text, "-A ")
             ? absl::StrCat(ipv4 ? "iptables" : "ip6tables", " -t ", table, " ",
                            rule.text)
             : absl::StrCat(ipv4 ? "IPv4" : "IPv6", " ", table, " ", rule.chain,
                            ": ", rule.text);
}

absl::Status CounterHeldBy(const Rule& rule, absl::string_view counter) {
  const std::string name = EscapeNameToAscii(counter);
  return MakeError(
      absl::StatusCode::kFailedPrecondition,
      absl::StrCat("counter '", name, "' is in use by somebody else's rule ",
                   rule.id, " (", TextWithPlace(rule),
                   "), which nfmeter does not change; nothing was done"),
      {.reason = "COUNTER_IN_USE",
       .metadata = {{"counters", name}, {"count", "1"}, {"rules", rule.id}}});
}

std::vector<const RuleSpec*> NewRules(const TableEdit& edit) {
  std::vector<const RuleSpec*> rules;
  rules.reserve(edit.restorations.size() + edit.insertions.size());
  for (const RestoredRule& rule : edit.restorations) {
    rules.push_back(&rule.spec);
  }
  for (const RuleSpec& rule : edit.insertions) rules.push_back(&rule);
  return rules;
}

absl::Status AtField(const RuleSpec& rule, absl::string_view field,
                     const absl::Status& status) {
  ErrorDetails details = GetErrorDetails(status);
  details.metadata["rule"] = EscapeName(rule.id);
  details.violations = {{.field = std::string(field),
                         .description = std::string(status.message())}};
  return MakeError(status.code(), status.message(), std::move(details));
}

absl::Status AboutRule(const RuleSpec& rule, absl::string_view field,
                       const absl::Status& status) {
  return Annotate(AtField(rule, field, status), SubjectOf(rule));
}

TableContents EmptyTable(Family family, Table table) {
  TableContents contents{.family = family, .table = table};
  for (absl::string_view name : BuiltinChains(table)) {
    contents.chains.push_back(
        {.name = std::string(name), .builtin = true, .policy = "ACCEPT"});
  }
  return contents;
}

void NumberRules(TableContents& contents) {
  absl::flat_hash_set<absl::string_view> managed;
  const StableHash table_hash = StableHash()
                                    .Add(FamilyName(contents.family))
                                    .Add(TableName(contents.table));
  for (Chain& chain : contents.chains) {
    const StableHash chain_hash = StableHash(table_hash).Add(chain.name);
    absl::flat_hash_map<absl::string_view, uint32_t> equal_before;
    for (size_t i = 0; i < chain.rules.size(); ++i) {
      Rule& rule = chain.rules[i];
      rule.position = static_cast<uint32_t>(i + 1);
      if (rule.managed && managed.insert(rule.id).second) continue;
      rule.managed = false;
      const StableHash hash = StableHash(chain_hash)
                                  .Add(rule.text)
                                  .Add(absl::StrCat(equal_before[rule.text]++));
      rule.id = absl::StrFormat("~%016x", hash.value());
    }
  }
}

absl::Status CheckLaws(const TableEdit& edit) {
  for (const RuleSpec& rule : edit.insertions) {
    const std::vector<RuleFault> faults =
        FaultsOfRule(rule, edit.family, edit.table);
    if (!faults.empty()) return Refused(rule, faults);
  }
  return absl::OkStatus();
}

absl::StatusOr<EditPlan> PlanEdit(const TableContents& contents,
                                  const TableEdit& edit) {
  const Places places = FindManaged(contents);
  EditPlan plan;
  std::map<size_t, std::vector<uint32_t>> positions;
  absl::flat_hash_set<absl::string_view> deleted;
  for (const std::string& id : edit.deletions) {
    NFM_RETURN_IF_ERROR(CheckDeletion(contents, id, places));
    if (!deleted.insert(id).second) {
      return RuleError(
          absl::StatusCode::kInvalidArgument, "RULE_NAMED_TWICE", id,
          absl::StrCat("rule ", QuoteName(id), " is to be deleted twice"));
    }
    const auto [c, r] = places.at(id);
    positions[c].push_back(static_cast<uint32_t>(r + 1));
    plan.deleted.push_back(contents.chains[c].rules[r]);
  }
  NFM_RETURN_IF_ERROR(CheckNewRules(contents, edit, places, deleted));
  for (auto& [chain, numbers] : positions) {
    std::sort(numbers.begin(), numbers.end());
    plan.deletions.push_back({chain, std::move(numbers)});
  }
  return plan;
}

}  // namespace nfmeter::kernel
