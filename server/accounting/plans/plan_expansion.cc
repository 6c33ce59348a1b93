// SPDX-License-Identifier: GPL-3.0-or-later
// ExpandPlan(): what accounts and groups say, one account each.
#include <netinet/in.h>

#include <algorithm>
#include <deque>
#include <set>
#include <tuple>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/functional/function_ref.h"
#include "absl/hash/hash.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "accounting/plans/key_range.h"
#include "accounting/plans/plan_compiler.h"
#include "base/error.h"
#include "base/status_macros.h"
#include "kernel/ip_prefix.h"
#include "kernel/owned_chains.h"
#include "kernel/rule_law.h"

namespace nfmeter::accounting {
namespace {

using kernel::Family;
using kernel::IpPrefix;
using kernel::RuleMatch;

// Violations of a plan of 50,000 accounts that one answer names.
constexpr size_t kMaxViolations = 20;

class Violations {
 public:
  void Add(std::string field, std::string description) {
    if (found_.size() < kMaxViolations) {
      found_.push_back({std::move(field), std::move(description)});
    }
  }
  absl::Status ToStatus() && { return InvalidFields(std::move(found_)); }

 private:
  std::vector<FieldViolation> found_;
};

std::optional<Family> FamilyOf(const RuleMatch& match) {
  for (const auto* prefix : {&match.source, &match.destination}) {
    if (prefix->has_value()) return (*prefix)->value.family;
  }
  if (match.protocol.has_value() && !match.protocol->negated) {
    if (match.protocol->value == IPPROTO_ICMP) return Family::kIpv4;
    if (match.protocol->value == IPPROTO_ICMPV6) return Family::kIpv6;
  }
  return std::nullopt;
}

// Why no packet of the direction can match; empty: some can.
absl::string_view WhyNever(const PlanAccount& account, Direction direction) {
  const RuleMatch& match = account.match;
  if (direction == Direction::kForwarded &&
      (match.cgroup_path.has_value() || !account.systemd_unit.empty())) {
    return "only packets to and from this host have a cgroup";
  }
  if (direction == Direction::kOut && match.in_interface.has_value()) {
    return "packets from this host have no in_interface";
  }
  if (direction == Direction::kIn && match.out_interface.has_value()) {
    return "packets to this host have no out_interface";
  }
  if (direction != Direction::kOut &&
      (match.owner_uid.has_value() || match.owner_gid.has_value())) {
    return "only packets from this host have an owner";
  }
  return "";
}

void CheckDirections(const PlanAccount& account, Violations& violations) {
  size_t possible = 0;
  for (const Direction direction : kAllDirections) {
    const absl::string_view why = WhyNever(account, direction);
    possible += why.empty();
    if (!why.empty() && std::count(account.directions.begin(),
                                   account.directions.end(), direction) > 0) {
      violations.Add(
          absl::StrCat(account.field, ".directions"),
          absl::StrCat(why, ": take '", DirectionName(direction), "' out"));
    }
  }
  if (possible == 0) {
    violations.Add(absl::StrCat(account.field, ".match"),
                   "no packet of any direction can match this");
  }
}

// Where an account stands in the plan: made only for errors, as there may be
// 50,000.
using Place = absl::FunctionRef<std::string()>;

// False: it is of no family.
bool CheckFamily(const PlanAccount& account, Place place,
                 Violations& violations) {
  const std::optional<Family> needed = FamilyOf(account.match);
  const auto& source = account.match.source;
  const auto& destination = account.match.destination;
  if (source.has_value() && destination.has_value() &&
      source->value.family != destination->value.family) {
    violations.Add(absl::StrCat(place(), ".match"),
                   "source and destination are of different families");
    return false;
  }
  if (needed.has_value() && account.family.value_or(*needed) != *needed) {
    violations.Add(
        absl::StrCat(place(), ".family"),
        absl::StrCat("the match is one of ", kernel::FamilyName(*needed)));
    return false;
  }
  return true;
}

// What no rule may be, wherever it stands.
void CheckLaw(const PlanAccount& account, kernel::Table table,
              Violations& violations) {
  const kernel::RuleSpec rule = {
      .chain = std::string(kernel::kOwnedChainPrefix),
      .match = account.match,
      .counter = account.counter};
  for (const Family family : PossibleFamilies(account)) {
    bool lawful = true;
    for (const kernel::RuleFault& fault :
         kernel::FaultsOfRule(rule, family, table)) {
      if (!absl::StartsWith(fault.field, "match.")) continue;
      violations.Add(absl::StrCat(account.field, ".", fault.field),
                     fault.description);
      lawful = false;
    }
    if (!lawful) return;  // the other family would say the same
  }
}

absl::string_view KeyName(GroupKey key) {
  switch (key) {
    case GroupKey::kSource:
      return "source";
    case GroupKey::kDestination:
      return "destination";
    case GroupKey::kAddress:
      return "address";
    case GroupKey::kSourcePort:
      return "source_port";
    case GroupKey::kDestinationPort:
      return "destination_port";
    case GroupKey::kUid:
      return "uid";
  }
  return "";
}

// Of members that count by either end, their source.
KeyField KeyFieldOf(GroupKey key) {
  switch (key) {
    case GroupKey::kDestination:
      return KeyField::kDestination;
    case GroupKey::kSourcePort:
      return KeyField::kSourcePort;
    case GroupKey::kDestinationPort:
      return KeyField::kDestinationPort;
    case GroupKey::kUid:
      return KeyField::kUid;
    case GroupKey::kSource:
    case GroupKey::kAddress:
      break;
  }
  return KeyField::kSource;
}

bool Sets(const RuleMatch& match, GroupKey key) {
  return VisitField(match, KeyFieldOf(key),
                    [](const auto& each) { return each.has_value(); }) ||
         (key == GroupKey::kAddress && match.destination.has_value());
}

// Narrows a condition of the shared match to one member's value. False: that is
// a value of something else.
template <typename T>
bool NarrowTo(const AccountGroup::Value& value,
              std::optional<kernel::Negatable<T>>& condition) {
  const T* own = std::get_if<T>(&value);
  if (own != nullptr) condition = {.value = *own};
  return own != nullptr;
}
bool NarrowTo(
    const AccountGroup::Value& value,
    std::optional<kernel::Negatable<std::vector<kernel::PortRange>>>& ports) {
  const auto* own = std::get_if<kernel::PortRange>(&value);
  if (own != nullptr) ports = {.value = {*own}};
  return own != nullptr;
}

// Of a member by either of its ends: turns the match of its source into that of
// its destination, which leaves out what the other has counted.
void TurnAround(RuleMatch& match) {
  match.destination = match.source;
  match.source->negated = true;
}

std::string ValueText(const AccountGroup::Value& value) {
  if (const auto* prefix = std::get_if<IpPrefix>(&value)) {
    return kernel::FormatIpPrefix(*prefix);
  }
  const auto text = [](const auto& range) {
    return range.first == range.last
               ? absl::StrCat(range.first)
               : absl::StrCat(range.first, "-", range.last);
  };
  if (const auto* ports = std::get_if<kernel::PortRange>(&value)) {
    return text(*ports);
  }
  return text(std::get<kernel::IdRange>(value));
}

struct ValueHash {
  size_t operator()(const AccountGroup::Value& value) const {
    if (const auto* prefix = std::get_if<IpPrefix>(&value)) {
      return absl::HashOf(prefix->family, prefix->address, prefix->mask);
    }
    if (const auto* ports = std::get_if<kernel::PortRange>(&value)) {
      return absl::HashOf(ports->first, ports->last);
    }
    const auto& ids = std::get<kernel::IdRange>(value);
    return absl::HashOf(ids.first, ids.last);
  }
};

// What errors call a member.
std::string FieldOf(const AccountGroup& group,
                    const AccountGroup::Member& member) {
  return absl::StrCat(group.shared.field, ".members[\"",
                      ValueText(member.value), "\"]");
}

// Members of one counter must not meet in a packet, which would count twice.
// Keeps references to what it is given.
class MemberOverlaps {
 public:
  explicit MemberOverlaps(const AccountGroup& group) : group_(group) {}

  void Add(const AccountGroup::Member& member, const RuleMatch& match,
           KeyField field) {
    const std::optional<KeyRange> range = KeyOf(match, field);
    if (!range.has_value()) return;
    keys_.push_back({&member, FamilyOf(match).value_or(Family::kIpv4), *range});
  }

  void Check(Violations& violations) && {
    std::sort(keys_.begin(), keys_.end(), [](const Key& a, const Key& b) {
      return std::tie(a.member->counter, a.family, a.range.first) <
             std::tie(b.member->counter, b.family, b.range.first);
    });
    for (size_t i = 1; i < keys_.size(); ++i) {
      const Key& before = keys_[i - 1];
      Key& key = keys_[i];
      const std::string& counter = key.member->counter;
      if (before.member->counter != counter || before.family != key.family) {
        continue;
      }
      if (before.range.Overlaps(key.range)) {
        violations.Add(FieldOf(group_, *key.member),
                       absl::StrCat("counts into ", counter, " as ",
                                    ValueText(before.member->value),
                                    " does, and they overlap: a packet would "
                                    "count twice"));
      }
      // For the next one: what begins later may still end earlier.
      if (before.range.last > key.range.last) {
        key.range.last = before.range.last;
        key.member = before.member;
      }
    }
  }

 private:
  struct Key {
    const AccountGroup::Member* member;
    Family family;
    KeyRange range;
  };

  const AccountGroup& group_;
  std::vector<Key> keys_;
};

void ExpandGroup(const AccountGroup& group, kernel::Table table,
                 Violations& violations, std::vector<PlanAccount>& accounts) {
  if (Sets(group.shared.match, group.key)) {
    violations.Add(absl::StrCat(group.shared.field, ".match"),
                   absl::StrCat("the members differ by ", KeyName(group.key),
                                ", so their match may not have it"));
    return;
  }
  const KeyField field = KeyFieldOf(group.key);
  const size_t begin = accounts.size();
  bool of_families = true;
  MemberOverlaps overlaps(group);
  absl::flat_hash_set<AccountGroup::Value, ValueHash> values;
  values.reserve(group.members.size());
  for (const AccountGroup::Member& member : group.members) {
    const auto place = [&] { return FieldOf(group, member); };
    if (!values.insert(member.value).second) {
      violations.Add(place(), "is in the group twice");
      continue;
    }
    // False: the value is one of something else.
    const auto add = [&] {
      PlanAccount& account = accounts.emplace_back(group.shared);
      account.counter = member.counter;
      return VisitField(account.match, field, [&](auto& condition) {
        return NarrowTo(member.value, condition);
      });
    };
    if (!add()) {
      accounts.pop_back();
      violations.Add(place(), absl::StrCat("this is no ", KeyName(group.key)));
      continue;
    }
    const PlanAccount& account = accounts.back();
    overlaps.Add(member, account.match, field);
    of_families &= CheckFamily(account, place, violations);
    if (group.key == GroupKey::kAddress) {
      add();
      TurnAround(accounts.back().match);
    }
  }
  std::move(overlaps).Check(violations);
  if (accounts.size() == begin) return;
  // What they share is wrong in all of them, and said once, of the group.
  CheckDirections(accounts[begin], violations);
  if (of_families) CheckLaw(accounts[begin], table, violations);
}

void CheckCounters(const Plan& plan, Violations& violations) {
  absl::flat_hash_map<absl::string_view, const std::string*> places;
  std::deque<std::string> of_classes;
  const auto add = [&](absl::string_view counter, const std::string& place) {
    const auto [found, is_new] = places.try_emplace(counter, &place);
    if (!is_new && *found->second != place) {
      violations.Add(absl::StrCat(place, ".counter"),
                     absl::StrCat(counter, " is the counter of ",
                                  *found->second, " already"));
    }
  };
  const auto add_all = [&](const PlanAccount& account,
                           const std::string& counter) {
    if (!account.split.has_value()) {
      add(counter, account.field);
      return;
    }
    const auto add_class = [&](absl::string_view name) {
      add(of_classes.emplace_back(ClassCounter(counter, name)), account.field);
    };
    for (const AddressClass& each : plan.classes) add_class(each.name);
    add_class(kOtherClass);
  };
  for (const PlanAccount& account : plan.accounts) {
    add_all(account, account.counter);
  }
  for (const AccountGroup& group : plan.groups) {
    for (const AccountGroup::Member& member : group.members) {
      add_all(group.shared, member.counter);
    }
  }
}

void CheckClasses(const Plan& plan, Violations& violations) {
  absl::flat_hash_map<std::string, std::string> owners;  // by prefix
  std::set<std::string> names = {std::string(kOtherClass)};
  for (size_t i = 0; i < plan.classes.size(); ++i) {
    const std::string& field = plan.classes[i].field;
    if (!names.insert(plan.classes[i].name).second) {
      violations.Add(absl::StrCat(field, ".name"),
                     plan.classes[i].name == kOtherClass
                         ? "'other' is the class of all other addresses"
                         : "another class is called so");
    }
    for (const IpPrefix& prefix : plan.classes[i].prefixes) {
      const std::string text = kernel::FormatIpPrefix(prefix);
      const auto [found, is_new] =
          owners.try_emplace(text, plan.classes[i].name);
      if (!is_new) {
        violations.Add(
            absl::StrCat(field, ".prefixes"),
            absl::StrCat(
                text, " is in ", found->second,
                found->second == plan.classes[i].name ? " twice" : ", too"));
      }
    }
  }
  const auto check = [&](const PlanAccount& account) {
    if (account.split.has_value() && plan.classes.empty()) {
      violations.Add(absl::StrCat(account.field, ".split_by"),
                     "the plan has no classes to split it by");
    }
  };
  for (const PlanAccount& account : plan.accounts) check(account);
  for (const AccountGroup& group : plan.groups) check(group.shared);
}

}  // namespace

std::vector<Direction> PossibleDirections(const PlanAccount& account) {
  std::vector<Direction> possible;
  for (const Direction direction : kAllDirections) {
    const bool wanted = account.directions.empty() ||
                        std::count(account.directions.begin(),
                                   account.directions.end(), direction) > 0;
    if (wanted && WhyNever(account, direction).empty()) {
      possible.push_back(direction);
    }
  }
  return possible;
}

std::vector<Family> PossibleFamilies(const PlanAccount& account) {
  const std::optional<Family> needed =
      account.family.has_value() ? account.family : FamilyOf(account.match);
  if (needed.has_value()) return {*needed};
  return {Family::kIpv4, Family::kIpv6};
}

absl::StatusOr<std::vector<PlanAccount>> ExpandPlan(const Plan& plan) {
  Violations violations;
  std::vector<PlanAccount> accounts;
  size_t count = plan.accounts.size();
  for (const AccountGroup& group : plan.groups) {
    const bool twice = group.key == GroupKey::kAddress;
    count += (twice ? 2 : 1) * group.members.size();
  }
  accounts.reserve(count);
  for (const PlanAccount& account : plan.accounts) {
    CheckDirections(account, violations);
    const auto place = [&] { return account.field; };
    if (CheckFamily(account, place, violations)) {
      CheckLaw(account, plan.table, violations);
    }
    accounts.push_back(account);
  }
  for (const AccountGroup& group : plan.groups) {
    ExpandGroup(group, plan.table, violations, accounts);
  }
  CheckCounters(plan, violations);
  CheckClasses(plan, violations);
  NFM_RETURN_IF_ERROR(std::move(violations).ToStatus());
  return accounts;
}

}  // namespace nfmeter::accounting
