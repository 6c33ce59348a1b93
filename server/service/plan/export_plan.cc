// SPDX-License-Identifier: GPL-3.0-or-later
#include "service/plan/export_plan.h"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "accounting/common/counter_filter.h"
#include "accounting/plans/plan_compiler.h"
#include "base/error.h"
#include "kernel/ip_prefix.h"
#include "kernel/rule_edit.h"
#include "service/gate/field_errors.h"
#include "service/match/match_message.h"
#include "service/plan/read_plan.h"

namespace nfmeter::service {
namespace {

using kernel::Rule;
using kernel::RuleMatch;
using Rules = std::vector<const Rule*>;

std::optional<v1::Direction> DirectionOf(const Rule& rule) {
  if (rule.chain == "INPUT") return v1::DIRECTION_IN;
  if (rule.chain == "OUTPUT") return v1::DIRECTION_OUT;
  if (rule.chain == "FORWARD") return v1::DIRECTION_FORWARDED;
  return std::nullopt;
}

// Why the rule can't be a part of a plan of `table`; empty: it can.
std::string WhyNot(const Rule& rule, kernel::Table table, bool has_quota) {
  if (!DirectionOf(rule).has_value()) {
    return absl::StrCat("it is in chain ", rule.chain,
                        ", and a plan counts in INPUT, OUTPUT and FORWARD");
  }
  if (rule.table != table) {
    return absl::StrCat("it is in table ", kernel::TableName(rule.table),
                        ", and most others are in ", kernel::TableName(table));
  }
  if (!rule.other_matches.empty()) {
    return absl::StrCat("no plan has its condition '", rule.other_matches[0],
                        "'");
  }
  if (!rule.other_counters.empty()) {
    return "it counts into several counters";
  }
  if (!rule.managed && rule.verdict == kernel::Verdict::kContinue &&
      !rule.target.empty() && rule.target != "NFACCT") {
    return absl::StrCat("packets that it counts go on to ", rule.target);
  }
  if (rule.verdict == kernel::Verdict::kDrop && !has_quota) {
    return "it drops all packets, and a plan drops those beyond a quota alone";
  }
  if (rule.verdict != kernel::Verdict::kDrop &&
      rule.verdict != kernel::Verdict::kContinue) {
    return "it decides about packets whether or not a quota is exceeded";
  }
  return "";
}

void SetQuota(const kernel::QuotaLimit& limit, bool drop,
              v1::PlanQuota* quota) {
  if (limit.unit == kernel::QuotaLimit::Unit::kPackets) {
    quota->set_packets(limit.limit);
  } else {
    quota->set_bytes(limit.limit);
  }
  if (drop) quota->set_over(v1::OVER_QUOTA_DROP);
}

// The table that most of the rules are in.
kernel::Table TableOf(const Rules& rules) {
  std::map<kernel::Table, size_t> counts;
  for (const Rule* const rule : rules) ++counts[rule->table];
  kernel::Table most = kernel::Table::kFilter;
  for (const auto& [table, count] : counts) {
    // A plan's table is one of these.
    const bool allowed = table == kernel::Table::kFilter ||
                         table == kernel::Table::kMangle ||
                         table == kernel::Table::kSecurity;
    if (allowed && count > counts[most]) most = table;
  }
  return most;
}

// A key by which rules of one counter may differ, in a group.
struct Key {
  v1::GroupKey name;
  // The member's value, where the match has the key once and not negated.
  std::optional<std::string> (*value)(const RuleMatch& match);
  void (*clear)(RuleMatch& match);
};

std::optional<std::string> PrefixOf(
    const std::optional<kernel::Negatable<kernel::IpPrefix>>& prefix) {
  if (!prefix.has_value() || prefix->negated) return std::nullopt;
  return kernel::FormatIpPrefix(prefix->value);
}

std::optional<std::string> PortOf(
    const std::optional<kernel::Negatable<std::vector<kernel::PortRange>>>&
        ports) {
  if (!ports.has_value() || ports->negated || ports->value.size() != 1) {
    return std::nullopt;
  }
  const kernel::PortRange& range = ports->value[0];
  return range.first == range.last ? absl::StrCat(range.first)
                                   : absl::StrCat(range.first, "-", range.last);
}

constexpr std::array<Key, 4> kKeys = {
    Key{v1::GROUP_KEY_SOURCE,
        [](const RuleMatch& match) { return PrefixOf(match.source); },
        [](RuleMatch& match) { match.source.reset(); }},
    Key{v1::GROUP_KEY_DESTINATION,
        [](const RuleMatch& match) { return PrefixOf(match.destination); },
        [](RuleMatch& match) { match.destination.reset(); }},
    Key{v1::GROUP_KEY_SOURCE_PORT,
        [](const RuleMatch& match) { return PortOf(match.source_ports); },
        [](RuleMatch& match) { match.source_ports.reset(); }},
    Key{v1::GROUP_KEY_DESTINATION_PORT,
        [](const RuleMatch& match) { return PortOf(match.destination_ports); },
        [](RuleMatch& match) { match.destination_ports.reset(); }},
};

// The rules of one counter that match the same, with the places where they do.
struct Shape {
  RuleMatch match;
  kernel::Verdict verdict;
  std::set<std::pair<kernel::Family, v1::Direction>> hooks;
  bool twice = false;  // at one of them there are two such rules
};

std::vector<Shape> ShapesOf(const Rules& rules) {
  std::vector<Shape> shapes;
  for (const Rule* const rule : rules) {
    const auto same = [&](const Shape& shape) {
      return shape.match == rule->match && shape.verdict == rule->verdict;
    };
    auto found = std::find_if(shapes.begin(), shapes.end(), same);
    if (found == shapes.end()) {
      shapes.push_back({rule->match, rule->verdict, {}});
      found = shapes.end() - 1;
    }
    if (!found->hooks.insert({rule->family, *DirectionOf(*rule)}).second) {
      found->twice = true;
    }
  }
  return shapes;
}

std::set<v1::Direction> DirectionsOf(const Shape& shape) {
  std::set<v1::Direction> directions;
  for (const auto& [family, direction] : shape.hooks) {
    directions.insert(direction);
  }
  return directions;
}

// The family of an account that stands for the shape; unspecified for both.
// None if the shape lacks one of its directions in one of its families.
std::optional<v1::Family> FamilyOf(const Shape& shape) {
  std::set<kernel::Family> families;
  for (const auto& [family, direction] : shape.hooks) families.insert(family);
  if (shape.hooks.size() != families.size() * DirectionsOf(shape).size()) {
    return std::nullopt;
  }
  return families.size() > 1 ? v1::FAMILY_UNSPECIFIED
                             : ToProto(*families.begin());
}

// What accounts and groups have in common.
template <typename Message>
void SetShared(const accounting::Counter& counter, const Shape& shape,
               const RuleMatch& match, Message& message) {
  for (const v1::Direction direction : DirectionsOf(shape)) {
    message.add_directions(direction);
  }
  ToProto(match, message.mutable_match());
  if (message.match().ByteSizeLong() == 0) message.clear_match();
  for (const auto& [key, value] : counter.labels) {
    if (key == accounting::kDescriptionLabel) {
      message.set_description(value);
    } else if (key != accounting::kManagedLabel) {
      (*message.mutable_labels())[key] = value;
    }
  }
  if (counter.object.quota.has_value()) {
    SetQuota(*counter.object.quota, shape.verdict == kernel::Verdict::kDrop,
             message.mutable_quota());
  }
}

// Adds a group whose members all count into the counter. False if the rules do
// not differ by one key alone.
bool AddGroup(const accounting::Counter& counter,
              const std::vector<Shape>& shapes, v1::Plan* plan) {
  for (const Key& key : kKeys) {
    RuleMatch shared = shapes[0].match;
    key.clear(shared);
    const std::set<v1::Direction> directions = DirectionsOf(shapes[0]);
    v1::AccountGroup group;
    const bool fits =
        std::all_of(shapes.begin(), shapes.end(), [&](const Shape& shape) {
          const std::optional<std::string> value = key.value(shape.match);
          RuleMatch rest = shape.match;
          key.clear(rest);
          if (!value.has_value() || rest != shared ||
              shape.verdict != shapes[0].verdict ||
              !FamilyOf(shape).has_value() ||
              DirectionsOf(shape) != directions) {
            return false;
          }
          (*group.mutable_members())[*value] =
              accounting::ShownName(counter.object.name);
          return true;
        });
    // Members by address may be of either family, but a group by ports has one
    // family for all of them.
    const bool is_address = key.name == v1::GROUP_KEY_SOURCE ||
                            key.name == v1::GROUP_KEY_DESTINATION;
    const auto family = FamilyOf(shapes[0]);
    const bool one_family =
        is_address ||
        std::all_of(shapes.begin(), shapes.end(), [&](const Shape& shape) {
          return FamilyOf(shape) == family;
        });
    if (!fits || !one_family) continue;
    group.set_key(key.name);
    if (!is_address) group.set_family(*family);
    SetShared(counter, shapes[0], shared, group);
    *plan->add_groups() = std::move(group);
    return true;
  }
  return false;
}

// Why the plan can't be applied; empty: it can.
std::string WhyRefused(const v1::Plan& plan) {
  FieldErrors errors;
  const accounting::Plan read = ReadPlan(plan, "plan", errors);
  absl::Status status = errors.ToStatus();
  if (status.ok()) status = accounting::ExpandPlan(read).status();
  if (status.ok()) return "";
  const ErrorDetails details = GetErrorDetails(status);
  if (details.violations.empty()) return std::string(status.message());
  // Without "plan.groups[0].": there is no such group yet.
  const FieldViolation& first = details.violations[0];
  const std::pair<std::string, std::string> parts =
      absl::StrSplit(first.field, absl::MaxSplits("].", 1));
  return absl::StrCat(parts.second, parts.second.empty() ? "" : ": ",
                      first.description);
}

// Adds what counts as the rules of the counter do to `plan`, which is empty
// but for its name and table. Returns why that can't be; empty: it is done.
std::string AddCounter(const accounting::Counter& counter, const Rules& rules,
                       v1::Plan* plan) {
  const std::vector<Shape> shapes = ShapesOf(rules);
  if (std::any_of(shapes.begin(), shapes.end(),
                  [](const Shape& shape) { return shape.twice; })) {
    return "it counts packets twice, as two rules of a chain match the same, "
           "and an account counts each once";
  }
  const std::optional<v1::Family> family = FamilyOf(shapes[0]);
  if (shapes.size() == 1 && family.has_value()) {
    v1::Account& account = *plan->add_accounts();
    account.set_counter(accounting::ShownName(counter.object.name));
    account.set_family(*family);
    SetShared(counter, shapes[0], shapes[0].match, account);
  } else if (!AddGroup(counter, shapes, plan)) {
    return "its rules differ by more than the chain, the family, or one "
           "address or port, and an account has one match";
  }
  const std::string why = WhyRefused(*plan);
  return why.empty() ? "" : absl::StrCat("no plan can have it: ", why);
}

}  // namespace

void ExportPlan(absl::Span<const accounting::Counter> counters,
                absl::Span<const Rule> rules,
                const std::map<std::string, std::string>& plans,
                v1::ExportPlanResponse* response) {
  Rules by_hand;
  for (const Rule& rule : rules) {
    // Not those that plans have made.
    if (!kernel::IsInOwnedChain(rule)) by_hand.push_back(&rule);
  }
  const kernel::Table table = TableOf(by_hand);
  std::map<std::string, Rules> by_counter;
  for (const Rule* const rule : by_hand)
    by_counter[rule->counter].push_back(rule);
  if (table != kernel::Table::kFilter) {
    response->mutable_plan()->set_table(std::string(kernel::TableName(table)));
  }
  for (const accounting::Counter& counter : counters) {
    const std::string name = accounting::ShownName(counter.object.name);
    Rules fitting;
    for (const Rule* const rule : by_counter[counter.object.name]) {
      const std::string why =
          WhyNot(*rule, table, counter.object.quota.has_value());
      if (why.empty()) {
        fitting.push_back(rule);
      } else {
        response->add_left_out(absl::StrCat("rule ", rule->id, ": ", why));
      }
    }
    if (fitting.empty()) {
      if (by_counter[counter.object.name].empty() &&
          counter.labels.contains(accounting::kManagedLabel) &&
          counter.object.use_count == 0) {
        response->add_left_out(
            absl::StrCat("counter ", name,
                         ": no rule counts into it, and an account "
                         "without a match counts everything"));
      }
      continue;
    }
    if (const auto plan = plans.find(counter.object.name);
        plan != plans.end() && plan->second != response->plan().name()) {
      response->add_left_out(
          absl::StrCat("counter ", name, ": it is one of plan ", plan->second));
      continue;
    }
    v1::Plan part;
    part.set_name(response->plan().name());
    part.set_table(response->plan().table());
    const std::string why = AddCounter(counter, fitting, &part);
    if (!why.empty()) {
      response->add_left_out(absl::StrCat("counter ", name, ": ", why));
      continue;
    }
    response->mutable_plan()->mutable_accounts()->MergeFrom(part.accounts());
    response->mutable_plan()->mutable_groups()->MergeFrom(part.groups());
  }
}

}  // namespace nfmeter::service
