// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/plans/key_tree.h"

#include <algorithm>
#include <bit>

#include "absl/strings/str_format.h"

namespace nfmeter::accounting {
namespace {

using kernel::OwnedAction;
using kernel::OwnedChain;
using kernel::OwnedRule;

// Leaves that a chain may have in a row before it is worth another split: four
// cost a packet least at 10,000 addresses.
constexpr size_t kRow = 4;

// The lowest bits of a place say how narrow the part is: 0 for all keys, 128
// for one key.
constexpr int kNarrownessBits = 8;

std::string TextOf(const KeyRange& part) {
  const auto text = [](KeyNumber number) {
    return absl::StrFormat("%016x%016x", static_cast<uint64_t>(number >> 64),
                           static_cast<uint64_t>(number));
  };
  return text(part.first) + "-" + text(part.last);
}

// What of `pieces` is in `range`.
template <typename Piece>
std::vector<Piece> Within(const KeyRange& range,
                          const std::vector<Piece>& pieces) {
  std::vector<Piece> within;
  within.reserve(pieces.size());
  for (const Piece& piece : pieces) {
    if (!piece.range.Overlaps(range)) continue;
    within.push_back({{std::max(piece.range.first, range.first),
                       std::min(piece.range.last, range.last)},
                      piece.rule});
  }
  return within;
}

// From the first key to the last, of leaves or what is in a part of them.
template <typename Leaves>
KeyRange Extent(const Leaves& leaves) {
  KeyRange hull = leaves[0].range;
  for (const auto& leaf : leaves) {
    hull = {std::min(hull.first, leaf.range.first),
            std::max(hull.last, leaf.range.last)};
  }
  return hull;
}

int BitsOf(KeyNumber number) {
  const auto high = static_cast<uint64_t>(number >> 64);
  return high != 0 ? 64 + std::bit_width(high)
                   : std::bit_width(static_cast<uint64_t>(number));
}

}  // namespace

std::optional<KeyRange> KeyTree::HullOf(absl::Span<const Leaf> leaves) const {
  if (!IsAddress(field_)) return Extent(leaves);
  const KeyRange common = CommonPrefix(Extent(leaves));
  return common == WholeKey(field_, family_) ? std::nullopt
                                             : std::optional(common);
}

std::vector<OwnedChain> KeyTree::Build(absl::Span<const Leaf> leaves,
                                       const std::optional<KeyRange>& hull) {
  names_.clear();
  chains_.clear();
  cost_ = {};
  // There are places enough for all keys but those of IPv6.
  const KeyRange placed = family_ == kernel::Family::kIpv6
                              ? CommonPrefix(Extent(leaves))
                              : WholeKey(field_, family_);
  const int bits =
      std::max(32, (BitsOf(placed.last - placed.first) + 15) / 16 * 16);
  unplaced_ = std::max(0, bits - (kPlaceBits - kNarrownessBits));
  placed_first_ = bits < 128 ? placed.first >> bits << bits : 0;
  Pieces pieces;
  pieces.reserve(leaves.size());
  for (const Leaf& leaf : leaves) pieces.push_back({leaf.range, &leaf.rule});
  const std::optional<KeyRange> needed = HullOf(leaves);
  if (needed.has_value() && !hull.has_value()) {
    AddGuard(*needed, std::move(pieces));
  } else {
    AddChain(hull.value_or(WholeKey(field_, family_)), std::move(pieces), 0);
  }
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

OwnedRule KeyTree::WithKey(OwnedRule rule, const KeyRange& range) const {
  SetKey(rule.match, field_, family_, range);
  return rule;
}

uint64_t KeyTree::PlaceOf(const KeyRange& part) const {
  const KeyNumber key =
      part.first < placed_first_ ? 0 : part.first - placed_first_;
  const int narrowness = 128 - BitsOf(part.last - part.first);
  return static_cast<uint64_t>(key >> unplaced_) << kNarrownessBits |
         static_cast<uint64_t>(narrowness);
}

// In two, where ranges begin or end, with about as many of these on each side.
KeyTree::Split KeyTree::SplitOf(const KeyRange& rest,
                                const Pieces& leaves) const {
  if (IsAddress(field_)) return SplitPrefix(rest, leaves);
  std::vector<KeyNumber> cuts;  // where the other half may begin
  for (const Piece& leaf : leaves) {
    if (leaf.range.first > rest.first) cuts.push_back(leaf.range.first);
    if (leaf.range.last < rest.last) cuts.push_back(leaf.range.last + 1);
  }
  std::sort(cuts.begin(), cuts.end());
  cuts.erase(std::unique(cuts.begin(), cuts.end()), cuts.end());
  const KeyNumber cut = cuts[cuts.size() / 2];
  const KeyRange other = {cut, rest.last};
  return {.half = {rest.first, cut - 1}, .other = other, .rest = other};
}

// The halves of the smallest prefix that holds all leaves, or that prefix where
// a leaf is all of it.
KeyTree::Split KeyTree::SplitPrefix(const KeyRange& rest,
                                    const Pieces& leaves) {
  const KeyRange common = CommonPrefix(Extent(leaves));
  const bool is_leaf =
      std::any_of(leaves.begin(), leaves.end(),
                  [&](const Piece& leaf) { return leaf.range == common; });
  if (common != rest && is_leaf) {
    return {.half = common, .rest = rest};
  }
  const KeyNumber middle = common.first + (common.last - common.first) / 2;
  const KeyRange other = {middle + 1, common.last};
  return {.half = {common.first, middle},
          .other = other,
          .rest = common == rest ? other : rest};
}

void KeyTree::TakeCovering(const KeyRange& rest, Pieces& leaves,
                           std::vector<Step>& steps) {
  const auto narrower = std::stable_partition(
      leaves.begin(), leaves.end(),
      [&](const Piece& leaf) { return leaf.range.Contains(rest); });
  for (auto each = leaves.begin(); each != narrower; ++each) {
    steps.push_back({rest, *each->rule});
  }
  leaves.erase(leaves.begin(), narrower);
}

KeyTree::Step KeyTree::Ask(const Piece& leaf, bool last) const {
  Step step = {leaf.range, WithKey(*leaf.rule, leaf.range)};
  // Below its quota a counter counts, and the rule does not match.
  step.certain = !leaf.rule->quota && leaf.rule->match == base_;
  if (last && step.rule.action == OwnedAction::kContinue) {
    step.rule.action = OwnedAction::kReturn;
  }
  return step;
}

void KeyTree::AskInRow(const Pieces& leaves, std::vector<Step>& steps) const {
  for (auto leaf = leaves.begin(); leaf != leaves.end(); ++leaf) {
    const auto below = leaf + 1;
    const bool last =
        below != leaves.end() &&
        std::none_of(below, leaves.end(), [&](const Piece& other) {
          return other.range.Overlaps(leaf->range);
        });
    steps.push_back(Ask(*leaf, last));
  }
}

bool KeyTree::Diverts(const Step& step, const KeyRange& half) {
  return step.range == half && step.certain &&
         (step.rule.action == OwnedAction::kGoto ||
          step.rule.action == OwnedAction::kReturn);
}

KeyTree::Step KeyTree::StepFor(const KeyRange& half, Pieces inside,
                               size_t met) {
  if (inside.size() == 1) return Ask(inside[0], /*last=*/true);
  OwnedRule rule = {.match = base_, .action = OwnedAction::kReturn};
  size_t chain = 0;
  if (!inside.empty()) {
    chain = AddChain(half, std::move(inside), met);
    rule.action = OwnedAction::kGoto;
    rule.chain = names_[chain];
  }
  return {half, WithKey(std::move(rule), half), chain, /*certain=*/true};
}

void KeyTree::AddGuard(const KeyRange& hull, Pieces leaves) {
  names_.push_back(name_(PlaceOf(WholeKey(field_, family_)), "guard"));
  chains_.emplace_back();
  const size_t chain = AddChain(hull, std::move(leaves), 1);
  chains_[0].push_back({hull,
                        WithKey({.match = base_,
                                 .action = OwnedAction::kGoto,
                                 .chain = names_[chain]},
                                hull),
                        chain});
}

size_t KeyTree::AddChain(const KeyRange& part, Pieces leaves, size_t met) {
  const size_t index = chains_.size();
  names_.push_back(name_(PlaceOf(part), TextOf(part)));
  chains_.emplace_back();
  std::vector<Step> steps;
  // A packet that passes `steps` has its key in here.
  KeyRange rest = part;
  TakeCovering(rest, leaves, steps);
  while (leaves.size() > kRow) {
    const Split split = SplitOf(rest, leaves);
    steps.push_back(StepFor(split.half, Within(split.half, leaves),
                            met + steps.size() + 1));
    leaves = split.other.has_value() ? Within(*split.other, leaves) : Pieces();
    if (Diverts(steps.back(), split.half)) rest = split.rest;
    TakeCovering(rest, leaves, steps);
  }
  AskInRow(leaves, steps);
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
    if (!step.range.Contains({key, key})) continue;
    if (step.rule.action == OwnedAction::kReturn) break;
    if (step.rule.action == OwnedAction::kGoto) {
      chain = step.chain;
      i = static_cast<size_t>(-1);
    }
  }
  return met;
}

}  // namespace nfmeter::accounting
