// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/plans/rule_gaps.h"

#include <algorithm>
#include <set>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/string_view.h"

namespace nfmeter::accounting {
namespace {

using kernel::OwnedChain;
using kernel::OwnedDifference;
using kernel::OwnedHook;
using kernel::OwnedMap;
using kernel::OwnedTable;

const OwnedTable* TableOf(absl::Span<const OwnedTable> tables,
                          const OwnedDifference& difference) {
  for (const OwnedTable& table : tables) {
    if (table.family == difference.family && table.table == difference.table) {
      return &table;
    }
  }
  return nullptr;
}

// Finds chains and maps of one table by name.
class ChainIndex {
 public:
  explicit ChainIndex(const OwnedTable& table) : table_(table) {
    for (const OwnedChain& chain : table.chains) chains_[chain.name] = &chain;
    for (const OwnedMap& map : table.maps) maps_[map.name] = &map;
  }

  const OwnedChain* Find(absl::string_view name) const {
    const auto found = chains_.find(name);
    return found == chains_.end() ? nullptr : found->second;
  }
  const OwnedMap* FindMap(absl::string_view name) const {
    const auto found = maps_.find(name);
    return found == maps_.end() ? nullptr : found->second;
  }
  const OwnedHook* FindHook(absl::string_view from) const {
    for (const OwnedHook& hook : table_.hooks) {
      if (hook.from == from) return &hook;
    }
    return nullptr;
  }

 private:
  const OwnedTable& table_;
  absl::flat_hash_map<absl::string_view, const OwnedChain*> chains_;
  absl::flat_hash_map<absl::string_view, const OwnedMap*> maps_;
};

// Walks from one chain to all that it leads to, each once.
class Walk {
 public:
  Walk(const ChainIndex& index, std::set<std::string>& counters)
      : index_(index), counters_(counters) {}

  // `name` is that of a chain or a map.
  void From(absl::string_view name) {
    AddMap(name);
    std::vector<absl::string_view> left = {name};
    while (!left.empty()) {
      const OwnedChain* const chain = index_.Find(left.back());
      left.pop_back();
      if (chain == nullptr || !seen_.insert(chain->name).second) continue;
      for (const kernel::OwnedRule& rule : chain->rules) {
        if (!rule.counter.empty()) counters_.insert(rule.counter);
        if (!rule.map.empty()) AddMap(rule.map);
        if (!rule.chain.empty()) left.push_back(rule.chain);
      }
    }
  }

 private:
  void AddMap(absl::string_view name) {
    const OwnedMap* const map = index_.FindMap(name);
    if (map == nullptr) return;
    for (const OwnedMap::Element& each : map->elements) {
      counters_.insert(each.counter);
    }
  }

  const ChainIndex& index_;
  std::set<std::string>& counters_;
  absl::flat_hash_set<absl::string_view> seen_;
};

// Both are there and equal.
template <typename T>
bool Same(const T* a, const T* b) {
  return a != nullptr && b != nullptr && *a == *b;
}

// The chain is there before and now, and has the same rules: those of a map
// look for quotas only where it has some.
bool IsSameChain(const ChainIndex& before, const ChainIndex& now,
                 absl::string_view name) {
  const OwnedChain* const chain = before.Find(name);
  if (!Same(chain, now.Find(name))) return false;
  return std::none_of(chain->rules.begin(), chain->rules.end(),
                      [&](const kernel::OwnedRule& rule) {
                        return !rule.map.empty() &&
                               before.FindMap(rule.map)->HasQuotas() !=
                                   now.FindMap(rule.map)->HasQuotas();
                      });
}

}  // namespace

std::vector<std::string> MissedCounters(
    absl::Span<const OwnedTable> tables,
    absl::Span<const OwnedDifference> differences) {
  std::set<std::string> counters;
  for (const OwnedTable& table : tables) {
    const ChainIndex index(table);
    Walk walk(index, counters);
    for (const OwnedDifference& difference : differences) {
      if (difference.kind == OwnedDifference::Kind::kUnwanted ||
          TableOf(tables, difference) != &table) {
        continue;
      }
      if (difference.lost.has_value()) {
        counters.insert(difference.lost->counters.begin(),
                        difference.lost->counters.end());
        for (const std::string& place : difference.lost->places) {
          walk.From(place);
        }
        continue;
      }
      const OwnedHook* const hook = index.FindHook(difference.chain);
      walk.From(hook == nullptr ? difference.chain : hook->to);
    }
  }
  return {counters.begin(), counters.end()};
}

std::vector<OwnedDifference> DriftIn(
    absl::Span<const OwnedDifference> differences,
    absl::Span<const OwnedTable> before, absl::Span<const OwnedTable> wanted) {
  std::vector<OwnedDifference> drift;
  for (const OwnedTable& table : before) {
    const auto is_this = [&](const OwnedTable& other) {
      return other.family == table.family && other.table == table.table;
    };
    const auto now = std::find_if(wanted.begin(), wanted.end(), is_this);
    if (now == wanted.end()) continue;
    const ChainIndex before_index(table);
    const ChainIndex index(*now);
    for (const OwnedDifference& difference : differences) {
      if (TableOf(before, difference) != &table) continue;
      const std::string& name = difference.chain;
      if (Same(before_index.FindHook(name), index.FindHook(name)) ||
          IsSameChain(before_index, index, name) ||
          Same(before_index.FindMap(name), index.FindMap(name))) {
        drift.push_back(difference);
      }
    }
  }
  return drift;
}

}  // namespace nfmeter::accounting
