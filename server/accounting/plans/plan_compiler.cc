// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/plans/plan_compiler.h"

#include <algorithm>
#include <deque>
#include <map>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/functional/function_ref.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "accounting/plans/account_buckets.h"
#include "accounting/plans/key_maps.h"
#include "accounting/plans/key_tree.h"
#include "base/error.h"
#include "base/stable_hash.h"
#include "base/status_macros.h"

namespace nfmeter::accounting {
namespace {

using kernel::Family;
using kernel::OwnedAction;
using kernel::OwnedChain;
using kernel::OwnedRule;
using kernel::OwnedTable;
using kernel::RuleMatch;

absl::string_view BuiltinChain(Direction direction) {
  switch (direction) {
    case Direction::kIn:
      return "INPUT";
    case Direction::kOut:
      return "OUTPUT";
    case Direction::kForwarded:
      return "FORWARD";
  }
  return "";
}

// The lowest 5 * `digits` bits of a number, in digits that sort as it does.
std::string Base32(uint64_t number, int digits) {
  std::string text(static_cast<size_t>(digits), '0');
  for (auto digit = text.rbegin(); digit != text.rend(); ++digit) {
    *digit = "0123456789abcdefghijklmnopqrstuv"[number % 32];
    number /= 32;
  }
  return text;
}

// Compiles what the hooks of one family see. What is the same at several hooks
// is there once, and each of them leads to it.
class TableCompiler {
 public:
  TableCompiler(const Plan& plan, PlanForm form, OwnedTable& table,
                PlanCost& cost)
      : plan_(plan),
        form_(form),
        chains_(
            absl::StrCat(kernel::kOwnedChainPrefix, OwnerOfChains(plan.name))),
        family_(table.family),
        table_(table),
        cost_(cost) {}

  // `accounts` are those that count in this direction. How many rules packets
  // of one account each meet, added up.
  double CompileHook(Direction direction,
                     absl::Span<const PlanAccount* const> accounts) {
    direction_ = direction;
    const std::string root = NameOf("");
    table_.hooks.push_back({std::string(BuiltinChain(direction)), root});
    const size_t place = table_.chains.size();
    table_.chains.push_back({.name = root});
    std::vector<OwnedRule> rules;
    size_t most = 1;  // the hook's own
    double below = 0;
    for (const AccountBucket& bucket : BucketsOf(accounts)) {
      if (!bucket.key.has_value() && !bucket.split.has_value()) {
        for (const PlanAccount* account : bucket.accounts) {
          rules.push_back(RuleOf(*account, account->counter, account->match));
        }
        continue;
      }
      const Entry& entry = EntryOf(bucket);
      rules.push_back(entry.rule);
      most += entry.most;
      below += entry.mean * static_cast<double>(bucket.accounts.size());
    }
    most += rules.size();
    cost_.most = std::max(cost_.most, most);
    const double sum =
        below + static_cast<double>(accounts.size() * (1 + rules.size()));
    table_.chains[place].rules = std::move(rules);
    return sum;
  }

 private:
  // A chain to jump to, and the rules that a packet meets in and below it.
  struct Reached {
    std::string chain;
    size_t most = 0;
    double mean = 0;
    // Keys that the jump has to ask for.
    std::optional<KeyRange> hull;
  };

  // The rule at a hook that leads packets to the accounts of a bucket.
  struct Entry {
    std::vector<const PlanAccount*> accounts;
    OwnedRule rule;
    size_t most = 0;  // rules that a packet meets behind it
    double mean = 0;
  };

  // Kept, as the accounts are often those of the hook before.
  const std::vector<AccountBucket>& BucketsOf(
      absl::Span<const PlanAccount* const> accounts) {
    if (accounts != absl::MakeConstSpan(bucketed_)) {
      bucketed_.assign(accounts.begin(), accounts.end());
      buckets_ = MakeBuckets(accounts);
    }
    return buckets_;
  }

  // Made anew, unless there is one for the same accounts.
  const Entry& EntryOf(const AccountBucket& bucket) {
    std::vector<Entry>& known = entries_[bucket.Text()];
    for (const Entry& each : known) {
      if (each.accounts == bucket.accounts) return each;
    }
    known.push_back(MakeEntry(bucket));
    return known.back();
  }

  Entry MakeEntry(const AccountBucket& bucket) {
    const Reached reached = bucket.split.has_value()
                                ? CompileSplit(bucket)
                                : CompileTree(bucket, std::nullopt);
    OwnedChain& last = table_.chains.back();
    if (form_ == PlanForm::kMaps && !bucket.split.has_value() &&
        last.rules.size() == 1) {
      // One lookup is not worth a jump.
      OwnedRule lookup = std::move(last.rules[0]);
      lookup.match = bucket.shared;
      table_.chains.pop_back();
      return {.accounts = bucket.accounts, .rule = std::move(lookup)};
    }
    OwnedRule jump = {.match = bucket.shared,
                      .action = OwnedAction::kJump,
                      .chain = reached.chain};
    if (reached.hull.has_value()) {
      SetKey(jump.match, *bucket.key, family_, *reached.hull);
    }
    return {.accounts = bucket.accounts,
            .rule = std::move(jump),
            .most = reached.most,
            .mean = reached.mean};
  }

  // The chain of a part of the plan, told apart by its text and the first hook
  // that it is for: 26 bytes.
  std::string NameOf(absl::string_view part) {
    if (part.empty()) {
      return absl::StrCat(chains_, DirectionName(direction_));
    }
    return Unused([&](uint64_t attempt) {
      const uint64_t hash = StableHash()
                                .Add(DirectionName(direction_))
                                .Add(part)
                                .Add(attempt)
                                .value();
      return absl::StrFormat("%s%013x", chains_, hash >> 12);
    });
  }

  // The chain of a part of a tree: behind others of the tree by its place.
  std::string NameIn(absl::string_view tree, uint64_t place,
                     absl::string_view part) {
    const StableHash hash =
        StableHash().Add(DirectionName(direction_)).Add(tree);
    return Unused([&](uint64_t attempt) {
      return absl::StrCat(
          chains_, Base32(hash.value() >> 54, 2),
          Base32(place, KeyTree::kPlaceBits / 5),
          Base32(StableHash(hash).Add(part).Add(attempt).value() >> 44, 4));
    });
  }

  // The first of the names that `make` makes that no chain of this has.
  std::string Unused(absl::FunctionRef<std::string(uint64_t attempt)> make) {
    uint64_t attempt = 0;
    std::string name = make(attempt);
    while (!names_.insert(name).second) name = make(++attempt);
    return name;
  }

  static OwnedRule RuleOf(const PlanAccount& account, std::string counter,
                          RuleMatch match) {
    OwnedRule rule{.match = std::move(match),
                   .counter = std::move(counter),
                   .quota = account.quota.has_value(),
                   .action = ActionOf(account)};
    if (rule.action == OwnedAction::kMark) rule.mark = account.quota->mark;
    return rule;
  }

  // What rules below the jump still ask for: ports need their protocol.
  static RuleMatch BaseOf(const AccountBucket& bucket) {
    RuleMatch base;
    if (bucket.key == KeyField::kSourcePort ||
        bucket.key == KeyField::kDestinationPort) {
      base.protocol = bucket.shared.protocol;
    }
    return base;
  }

  static std::string CounterOf(const PlanAccount& account,
                               std::optional<absl::string_view> class_name) {
    return class_name.has_value() ? ClassCounter(account.counter, *class_name)
                                  : account.counter;
  }

  void Add(std::vector<OwnedChain> chains) {
    for (OwnedChain& chain : chains) table_.chains.push_back(std::move(chain));
  }

  // The accounts of a bucket, or the counters of one class of each.
  Reached CompileTree(const AccountBucket& bucket,
                      std::optional<absl::string_view> class_name) {
    const std::string text =
        absl::StrCat(bucket.Text(), "|", class_name.value_or(""), "|");
    const RuleMatch base = BaseOf(bucket);
    if (!bucket.key.has_value()) {
      OwnedChain chain{.name = NameOf(text)};
      for (const PlanAccount* account : bucket.accounts) {
        chain.rules.push_back(
            RuleOf(*account, CounterOf(*account, class_name), account->match));
      }
      const Reached reached = {chain.name, chain.rules.size(),
                               static_cast<double>(chain.rules.size())};
      Add({std::move(chain)});
      return reached;
    }
    if (form_ == PlanForm::kMaps) return CompileMaps(bucket, class_name, text);
    std::vector<KeyTree::Leaf> leaves;
    leaves.reserve(bucket.accounts.size());
    for (const PlanAccount* account : bucket.accounts) {
      OwnedRule rule = RuleOf(*account, CounterOf(*account, class_name), base);
      if (bucket.from_elsewhere) rule.match.source = account->match.source;
      leaves.push_back({*KeyOf(account->match, *bucket.key), std::move(rule)});
    }
    KeyTree tree(family_, *bucket.key, base,
                 [&](uint64_t place, absl::string_view part) {
                   return NameIn(text, place, part);
                 });
    // Where a class leads to it, the jump has asked for that alone.
    const std::optional<KeyRange> hull =
        class_name.has_value() ? std::nullopt : tree.HullOf(leaves);
    std::vector<OwnedChain> chains = tree.Build(leaves, hull);
    Reached reached = {chains[0].name, tree.cost().most, tree.cost().mean,
                       hull};
    Add(std::move(chains));
    return reached;
  }

  // The same by lookups, which ask for nothing but the key.
  Reached CompileMaps(const AccountBucket& bucket,
                      std::optional<absl::string_view> class_name,
                      const std::string& text) {
    std::vector<KeyedCounter> counters;
    counters.reserve(bucket.accounts.size());
    for (const PlanAccount* account : bucket.accounts) {
      KeyedCounter& keyed = counters.emplace_back();
      keyed.range = *KeyOf(account->match, *bucket.key);
      keyed.counter = CounterOf(*account, class_name);
      keyed.quota = account->quota.has_value();
      keyed.from_elsewhere = bucket.from_elsewhere;
      keyed.action = ActionOf(*account);
      if (keyed.action == OwnedAction::kMark) keyed.mark = account->quota->mark;
    }
    KeyMaps maps = MakeKeyMaps(family_, *bucket.key, std::move(counters),
                               [&](absl::string_view part) {
                                 return NameOf(absl::StrCat(text, part));
                               });
    for (kernel::OwnedMap& map : maps.maps) {
      table_.maps.push_back(std::move(map));
    }
    const size_t met = maps.rules.size();
    OwnedChain chain{.name = NameOf(text), .rules = std::move(maps.rules)};
    const Reached reached = {chain.name, met, static_cast<double>(met)};
    Add({std::move(chain)});
    return reached;
  }

  // First which class an address is of, then the accounts of that class.
  Reached CompileSplit(const AccountBucket& bucket) {
    Reached reached;
    std::map<std::string, Reached> by_class;
    const auto add = [&](const std::string& name) {
      const Reached below = CompileTree(bucket, name);
      by_class[name] = below;
      reached.most = std::max(reached.most, below.most);
      reached.mean = std::max(reached.mean, below.mean);
    };
    for (const AddressClass& each : plan_.classes) add(each.name);
    add(std::string(kOtherClass));

    const KeyField end = *bucket.split == Split::kSource
                             ? KeyField::kSource
                             : KeyField::kDestination;
    // The longest prefix first, so that it decides.
    std::vector<std::pair<KeyRange, const std::string*>> prefixes;
    for (const AddressClass& each : plan_.classes) {
      for (const kernel::IpPrefix& prefix : each.prefixes) {
        if (prefix.family != family_) continue;
        RuleMatch match;
        match.source = {.value = prefix};
        prefixes.emplace_back(*KeyOf(match, KeyField::kSource), &each.name);
      }
    }
    std::sort(prefixes.begin(), prefixes.end(),
              [](const auto& a, const auto& b) {
                return std::pair(a.first.last - a.first.first, a.first.first) <
                       std::pair(b.first.last - b.first.first, b.first.first);
              });
    OwnedChain chain{.name = NameOf(absl::StrCat("classes|", bucket.Text()))};
    for (const auto& [range, name] : prefixes) {
      OwnedRule rule{.action = OwnedAction::kGoto,
                     .chain = by_class[*name].chain};
      SetKey(rule.match, end, family_, range);
      chain.rules.push_back(std::move(rule));
    }
    chain.rules.push_back({.action = OwnedAction::kGoto,
                           .chain = by_class[std::string(kOtherClass)].chain});
    reached.chain = chain.name;
    reached.most += chain.rules.size();
    reached.mean += static_cast<double>(chain.rules.size());
    Add({std::move(chain)});
    return reached;
  }

  const Plan& plan_;
  const PlanForm form_;
  const std::string chains_;  // what their names begin with
  const Family family_;
  OwnedTable& table_;
  PlanCost& cost_;
  Direction direction_ = Direction::kIn;  // of the hook under construction
  absl::flat_hash_set<std::string> names_;
  std::vector<const PlanAccount*> bucketed_;  // into buckets_
  std::vector<AccountBucket> buckets_;
  absl::flat_hash_map<std::string, std::vector<Entry>> entries_;
};

// Those that count in packets of a family and a direction.
using AccountsByPlace =
    std::map<std::pair<Family, Direction>, std::vector<const PlanAccount*>>;

AccountsByPlace ByPlace(absl::Span<const PlanAccount> accounts) {
  AccountsByPlace by_place;
  for (const PlanAccount& account : accounts) {
    for (const Direction direction : PossibleDirections(account)) {
      for (const Family family : PossibleFamilies(account)) {
        by_place[{family, direction}].push_back(&account);
      }
    }
  }
  return by_place;
}

std::vector<PlannedCounter> PlannedCounters(
    const Plan& plan, absl::Span<const PlanAccount> accounts) {
  struct Named {
    absl::string_view name;
    const PlanAccount* account;
  };
  std::vector<Named> all;
  all.reserve(accounts.size());
  std::deque<std::string> of_classes;
  for (const PlanAccount& account : accounts) {
    if (!account.split.has_value()) {
      all.push_back({account.counter, &account});
      continue;
    }
    for (std::string& name : accounting::CountersOf(plan, account)) {
      all.push_back({of_classes.emplace_back(std::move(name)), &account});
    }
  }
  // By name; the first account of a counter is the one that describes it.
  absl::c_stable_sort(
      all, [](const Named& a, const Named& b) { return a.name < b.name; });
  std::vector<PlannedCounter> counters;
  counters.reserve(all.size());
  for (const auto& [name, account] : all) {
    if (!counters.empty() && counters.back().name == name) continue;
    counters.push_back({.name = std::string(name),
                        .labels = account->labels,
                        .description = account->description,
                        .quota = account->quota});
  }
  return counters;
}

absl::Status CheckBudget(const PlanCost& cost, const PlanBudget& budget) {
  const auto over = [&](absl::string_view what, size_t has, size_t bound) {
    return MakeError(
        absl::StatusCode::kResourceExhausted,
        absl::StrCat("the plan takes ", has, " ", what, ", and ", bound,
                     " are allowed; accounts that differ by an address, a "
                     "port or a uid alone cost least, in groups"),
        BoundDetails("PLAN_TOO_COSTLY", bound));
  };
  if (cost.rules > budget.max_rules) {
    return over("rules", cost.rules, budget.max_rules);
  }
  if (cost.chains > budget.max_chains) {
    return over("chains", cost.chains, budget.max_chains);
  }
  if (cost.most > budget.max_met) {
    return over("rules that one packet meets", cost.most, budget.max_met);
  }
  return absl::OkStatus();
}

std::vector<std::string> IdleCounters(const CompiledPlan& compiled) {
  absl::flat_hash_set<absl::string_view> fed;
  for (const OwnedTable& table : compiled.tables) {
    for (const OwnedChain& chain : table.chains) {
      for (const OwnedRule& rule : chain.rules) fed.insert(rule.counter);
    }
    for (const kernel::OwnedMap& map : table.maps) {
      for (const auto& element : map.elements) fed.insert(element.counter);
    }
  }
  std::vector<std::string> idle;
  for (const PlannedCounter& each : compiled.counters) {
    if (!fed.contains(each.name)) idle.push_back(each.name);
  }
  return idle;
}

}  // namespace

absl::StatusOr<CompiledPlan> CompilePlan(const Plan& plan,
                                         const PlanBudget& budget,
                                         PlanForm form,
                                         const CgroupBindings& cgroups) {
  NFM_ASSIGN_OR_RETURN(std::vector<PlanAccount> accounts, ExpandPlan(plan));
  CompiledPlan compiled;
  compiled.counters = PlannedCounters(plan, accounts);
  const size_t count = accounts.size();
  accounts = WithCgroups(std::move(accounts), cgroups);
  compiled.watched_quotas =
      std::any_of(compiled.counters.begin(), compiled.counters.end(),
                  [](const PlannedCounter& counter) {
                    return counter.quota.has_value() &&
                           (!counter.quota->thresholds.empty() ||
                            counter.quota->period.has_value());
                  });
  const AccountsByPlace by_place = ByPlace(accounts);
  double met = 0;
  size_t places = 0;
  for (const Family family : kernel::kAllFamilies) {
    OwnedTable table{.family = family, .table = plan.table};
    TableCompiler compiler(plan, form, table, compiled.cost);
    for (const Direction direction : kAllDirections) {
      const auto here = by_place.find({family, direction});
      if (here == by_place.end()) continue;
      met += compiler.CompileHook(direction, here->second);
      places += here->second.size();
    }
    if (table.chains.empty()) continue;
    compiled.cost.chains += table.chains.size();
    compiled.cost.rules += table.hooks.size();
    for (const OwnedChain& chain : table.chains) {
      compiled.cost.rules += chain.rules.size();
    }
    for (const kernel::OwnedMap& map : table.maps) {
      compiled.cost.rules += map.elements.size();
    }
    compiled.tables.push_back(std::move(table));
  }
  if (accounts.size() < count) compiled.idle_counters = IdleCounters(compiled);
  if (places > 0) compiled.cost.mean = met / static_cast<double>(places);
  NFM_RETURN_IF_ERROR(CheckBudget(compiled.cost, budget));
  return compiled;
}

}  // namespace nfmeter::accounting
