// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/plans/key_tree.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_format.h"

namespace nfmeter::accounting {
namespace {

using kernel::OwnedAction;
using kernel::OwnedChain;
using kernel::OwnedRule;

// Rules that a chain may have in a row before it is worth another level, and
// the parts that a level makes. Four of each cost a packet least at 10,000
// addresses.
constexpr size_t kFanOut = 4;

std::string TextOf(const KeyRange& part) {
  const auto text = [](KeyNumber number) {
    return absl::StrFormat("%016x%016x", static_cast<uint64_t>(number >> 64),
                           static_cast<uint64_t>(number));
  };
  return text(part.first) + "-" + text(part.last);
}

KeyRange Intersection(const KeyRange& a, const KeyRange& b) {
  return {std::max(a.first, b.first), std::min(a.last, b.last)};
}

// Up to kFanOut parts of `part`, cut where ranges begin or end, with about as
// many of these in each.
std::vector<KeyRange> SplitRange(const KeyRange& part,
                                 const std::vector<KeyTree::Leaf>& leaves) {
  std::vector<KeyNumber> cuts;  // where a part may begin
  for (const KeyTree::Leaf& leaf : leaves) {
    if (leaf.range.first > part.first) cuts.push_back(leaf.range.first);
    if (leaf.range.last < part.last) cuts.push_back(leaf.range.last + 1);
  }
  std::sort(cuts.begin(), cuts.end());
  cuts.erase(std::unique(cuts.begin(), cuts.end()), cuts.end());
  std::vector<KeyRange> parts;
  KeyNumber begin = part.first;
  const size_t count = std::min(kFanOut, cuts.size() + 1);
  for (size_t i = 1; i < count; ++i) {
    const KeyNumber cut = cuts[i * cuts.size() / count];
    parts.push_back({begin, cut - 1});
    begin = cut;
  }
  parts.push_back({begin, part.last});
  return parts;
}

}  // namespace

std::vector<OwnedChain> KeyTree::Build(absl::Span<const Leaf> leaves) {
  names_.clear();
  chains_.clear();
  cost_ = {};
  AddChain(WholeKey(field_, family_), Leaves(leaves.begin(), leaves.end()), 0);
  size_t met = 0;
  for (const Leaf& leaf : leaves) met += Walk(leaf.range.first);
  cost_.mean = static_cast<double>(met) / static_cast<double>(leaves.size());
  std::vector<OwnedChain> chains(chains_.size());
  for (size_t i = 0; i < chains.size(); ++i) {
    chains[i].name = std::move(names_[i]);
    for (Step& step : chains_[i]) {
      chains[i].rules.push_back(std::move(step.rule));
    }
  }
  return chains;
}

OwnedRule KeyTree::WithKey(const OwnedRule& rule, const KeyRange& range) const {
  OwnedRule with_key = rule;
  SetKey(with_key.match, field_, family_, range);
  return with_key;
}

// Four parts of the smallest prefix that holds all leaves; that prefix itself
// where they all are it.
std::vector<KeyRange> KeyTree::SplitPrefix(const Leaves& leaves) const {
  KeyRange all = leaves[0].range;
  for (const Leaf& leaf : leaves) {
    all = {std::min(all.first, leaf.range.first),
           std::max(all.last, leaf.range.last)};
  }
  const KeyRange common = CommonPrefix(all);
  if (std::all_of(leaves.begin(), leaves.end(),
                  [&](const Leaf& leaf) { return leaf.range == common; })) {
    return {common};
  }
  KeyNumber size = common.last - common.first;
  for (size_t halved = 1; halved < kFanOut && size != 0; halved *= 2) {
    size >>= 1;
  }
  std::vector<KeyRange> parts;
  for (KeyNumber first = common.first;; first += size + 1) {
    parts.push_back({first, first + size});
    if (first + size == common.last) return parts;
  }
}

size_t KeyTree::AddChain(const KeyRange& part, Leaves leaves, size_t met) {
  const size_t index = chains_.size();
  names_.push_back(name_(TextOf(part)));
  chains_.emplace_back();
  std::vector<Step> steps;
  // Every packet that comes here meets those that accept the whole part.
  const auto narrower = std::stable_partition(
      leaves.begin(), leaves.end(),
      [&](const Leaf& leaf) { return leaf.range.Contains(part); });
  for (auto each = leaves.begin(); each != narrower; ++each) {
    steps.push_back({part, each->rule});
  }
  leaves.erase(leaves.begin(), narrower);

  const auto ask = [&](const Leaf& leaf, const KeyRange& range) {
    steps.push_back({range, WithKey(leaf.rule, range)});
  };
  std::vector<std::pair<KeyRange, Leaves>> deeper;
  if (leaves.size() <= kFanOut) {
    for (const Leaf& leaf : leaves) ask(leaf, leaf.range);
  } else {
    const bool prefixes = IsAddress(field_);
    const std::vector<KeyRange> parts =
        prefixes ? SplitPrefix(leaves) : SplitRange(part, leaves);
    if (prefixes) {
      // A prefix of more than one part is asked for once, here.
      for (const Leaf& leaf : leaves) {
        if (!parts[0].Contains(leaf.range) &&
            leaf.range.last - leaf.range.first >
                parts[0].last - parts[0].first) {
          ask(leaf, leaf.range);
        }
      }
    }
    for (const KeyRange& each : parts) {
      Leaves inside;
      for (const Leaf& leaf : leaves) {
        if (prefixes ? each.Contains(leaf.range) : each.Overlaps(leaf.range)) {
          inside.push_back({Intersection(leaf.range, each), leaf.rule});
        }
      }
      if (inside.size() == 1) {
        ask(inside[0], inside[0].range);
      } else if (!inside.empty()) {
        deeper.emplace_back(each, std::move(inside));
      }
    }
  }
  for (auto& [range, inside] : deeper) {
    const size_t chain =
        AddChain(range, std::move(inside), met + steps.size() + 1);
    steps.push_back({range,
                     WithKey({.match = base_,
                              .action = OwnedAction::kGoto,
                              .chain = names_[chain]},
                             range),
                     chain});
  }
  cost_.most = std::max(cost_.most, met + steps.size());
  chains_[index] = std::move(steps);
  return index;
}

size_t KeyTree::Walk(KeyNumber key) const {
  size_t met = 0;
  size_t chain = 0;
  for (size_t i = 0; i < chains_[chain].size(); ++i) {
    const Step& step = chains_[chain][i];
    ++met;
    if (step.rule.action == OwnedAction::kGoto &&
        step.range.Contains({key, key})) {
      chain = step.chain;
      i = static_cast<size_t>(-1);
    }
  }
  return met;
}

}  // namespace nfmeter::accounting
