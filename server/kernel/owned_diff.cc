// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/owned_diff.h"

#include <algorithm>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "kernel/acct_names.h"

namespace nfmeter::kernel {
namespace {

using Kind = OwnedDifference::Kind;
using Texts = std::vector<std::string>;

// How many rules of a changed chain are reported.
constexpr size_t kMaxTold = 20;

// The texts of `from` that `other` lacks, as often as it lacks them.
Texts Lacking(const Texts& from, const Texts& other) {
  absl::flat_hash_map<absl::string_view, int> left;
  for (const std::string& text : other) ++left[text];
  Texts lacking;
  for (const std::string& text : from) {
    if (--left[text] < 0 && lacking.size() < kMaxTold) lacking.push_back(text);
  }
  return lacking;
}

Texts TextsOf(const Chain& chain) {
  Texts texts;
  texts.reserve(chain.rules.size());
  for (const Rule& rule : chain.rules) texts.push_back(rule.text);
  return texts;
}

bool IsJumpToOwned(const Rule& rule) {
  return absl::StartsWith(rule.target, kOwnedChainPrefix);
}

// A rule of ours that lets all packets pass to what stands behind it.
bool CountsOnly(const Rule& rule) { return rule.managed && IsPassed(rule); }

// What is between the jump at `index` and its end of the chain.
absl::Span<const Rule> InItsPlace(const Chain& chain, size_t index,
                                  RulePlacement placement) {
  const auto rules = absl::MakeConstSpan(chain.rules);
  return placement == RulePlacement::kHead ? rules.subspan(0, index)
                                           : rules.subspan(index + 1);
}

// Whether nothing is there but other owners' jumps, and rules of ours that only
// count.
bool LetThrough(absl::Span<const Rule> rules) {
  return absl::c_all_of(rules, [](const Rule& rule) {
    return IsJumpToOwned(rule) || CountsOnly(rule);
  });
}

Texts OfOthers(absl::Span<const Rule> rules) {
  Texts texts;
  for (const Rule& rule : rules) {
    if (!IsJumpToOwned(rule) && !rule.managed) texts.push_back(rule.text);
  }
  return texts;
}

class Comparison {
 public:
  Comparison(const TableContents& contents, const OwnedTable& wanted,
             absl::string_view owner)
      : contents_(contents), wanted_(wanted), prefix_(OwnedChainsOf(owner)) {}

  void Chains(absl::Span<const std::vector<std::string>> texts) {
    absl::flat_hash_map<absl::string_view, const Chain*> there;
    for (const Chain& chain : contents_.chains) {
      if (IsOurs(chain.name)) there[chain.name] = &chain;
    }
    for (size_t i = 0; i < wanted_.chains.size(); ++i) {
      const OwnedChain& chain = wanted_.chains[i];
      const auto found = there.find(chain.name);
      if (found == there.end()) {
        steps_.made.push_back(chain.name);
        steps_.filled.push_back(i);
        Tell(Kind::kMissing, chain.name);
        continue;
      }
      const Texts& wanted = texts[i];
      const Texts is = TextsOf(*found->second);
      const std::vector<Rule>& rules = found->second->rules;
      there.erase(found);
      if (is == wanted) continue;
      steps_.filled.push_back(i);
      Tell(Kind::kChanged, chain.name, Lacking(wanted, is),
           Lacking(is, wanted));
      steps_.differences.back().lost = LostOf(chain, wanted, rules);
    }
    // In the kernel's order, as the map has none.
    for (const Chain& chain : contents_.chains) {
      if (!there.contains(chain.name)) continue;
      steps_.removed.push_back(chain.name);
      Tell(Kind::kUnwanted, chain.name, {}, TextsOf(chain));
    }
  }

  void Jumps(RulePlacement placement) {
    for (const Chain& chain : contents_.chains) {
      if (IsOurs(chain.name)) continue;
      std::vector<uint32_t> positions;
      for (size_t i = 0; i < chain.rules.size(); ++i) {
        if (IsOurs(chain.rules[i].target)) {
          positions.push_back(static_cast<uint32_t>(i + 1));
        }
      }
      const auto hook = std::find_if(
          wanted_.hooks.begin(), wanted_.hooks.end(),
          [&](const OwnedHook& each) { return each.from == chain.name; });
      if (hook == wanted_.hooks.end()) {
        if (!positions.empty()) DeleteJumps(chain, positions, Kind::kUnwanted);
        continue;
      }
      const std::string text = TextOf(*hook);
      const bool there =
          positions.size() == 1 && chain.rules[positions[0] - 1].text == text;
      const absl::Span<const Rule> in_place =
          there ? InItsPlace(chain, positions[0] - 1, placement)
                : absl::Span<const Rule>();
      if (there && LetThrough(in_place)) continue;
      if (positions.empty()) {
        Tell(Kind::kMissing, chain.name, {text});
      } else {
        DeleteJumps(chain, positions, Kind::kChanged);
        steps_.differences.back().missing = {text};
        if (there) {
          steps_.differences.back().displaced_by = OfOthers(in_place);
        }
      }
      steps_.made_jumps.push_back(
          static_cast<size_t>(hook - wanted_.hooks.begin()));
    }
  }

  OwnedSteps Steps() && { return std::move(steps_); }

 private:
  static std::optional<OwnedDifference::Lost> LostOf(
      const OwnedChain& wanted, const Texts& texts,
      const std::vector<Rule>& rules) {
    // A rule may be several, where a map is written out.
    const bool one_each = texts.size() == wanted.rules.size();
    return kernel::LostOf(
        wanted, rules.size(),
        [&](size_t i, size_t j) {
          return (one_each && texts[i] == rules[j].text) ||
                 DoesAs(rules[j], wanted.rules[i]);
        },
        [&](size_t j) { return IsPassed(rules[j]); });
  }

  bool IsOurs(absl::string_view chain) const {
    return absl::StartsWith(chain, prefix_);
  }

  static std::string TextOf(const OwnedHook& hook) {
    return absl::StrCat("-A ", hook.from, " -j ", hook.to);
  }

  void Tell(Kind kind, absl::string_view chain, Texts missing = {},
            Texts unwanted = {}) {
    if (unwanted.size() > kMaxTold) unwanted.resize(kMaxTold);
    steps_.differences.push_back({.family = contents_.family,
                                  .table = contents_.table,
                                  .kind = kind,
                                  .chain = std::string(chain),
                                  .missing = std::move(missing),
                                  .unwanted = std::move(unwanted)});
  }

  void DeleteJumps(const Chain& chain, const std::vector<uint32_t>& positions,
                   Kind kind) {
    Texts texts;
    for (const uint32_t position : positions) {
      texts.push_back(chain.rules[position - 1].text);
    }
    Tell(kind, chain.name, {}, std::move(texts));
    steps_.deleted_jumps.push_back({chain.name, positions});
  }

  const TableContents& contents_;
  const OwnedTable& wanted_;
  const std::string prefix_;
  OwnedSteps steps_;
};

}  // namespace

std::optional<OwnedDifference::Lost> LostOf(
    const OwnedChain& wanted, size_t rules,
    absl::FunctionRef<bool(size_t i, size_t j)> same,
    absl::FunctionRef<bool(size_t j)> passed) {
  // A chain that lacks more is another chain altogether.
  constexpr int kMostLacking = 100;
  OwnedDifference::Lost lost;
  int lacking = 0;
  size_t next = 0;
  for (size_t i = 0; i < wanted.rules.size(); ++i) {
    size_t j = next;
    while (j < rules && !same(i, j)) ++j;
    if (j < rules) {
      for (; next < j; ++next) {
        if (!passed(next)) return std::nullopt;
      }
      ++next;
      continue;
    }
    if (++lacking > kMostLacking) return std::nullopt;
    const OwnedRule& rule = wanted.rules[i];
    if (!rule.counter.empty()) lost.counters.push_back(rule.counter);
    if (!rule.map.empty()) lost.places.push_back(rule.map);
    if (!rule.chain.empty()) lost.places.push_back(rule.chain);
  }
  return lost;
}

bool IsPassed(const Rule& rule) {
  return rule.verdict == Verdict::kContinue &&
         (rule.target.empty() || rule.target == kAcctTarget);
}

bool DoesAs(const Rule& rule, const OwnedRule& wanted) {
  RuleMatch match = wanted.match;
  match.comment = rule.match.comment;
  const bool counts =
      rule.counter == wanted.counter ||
      (!wanted.counter.empty() && rule.counter == StandInName(wanted.counter));
  if (!counts || !wanted.map.empty() || rule.match != match ||
      !rule.other_matches.empty() || !rule.other_counters.empty()) {
    return false;
  }
  switch (wanted.action) {
    case OwnedAction::kContinue:
    case OwnedAction::kDrop:  // these three change no count
    case OwnedAction::kReject:
    case OwnedAction::kMark:
      return IsPassed(rule) || wanted.action != OwnedAction::kContinue;
    case OwnedAction::kReturn:
      return rule.verdict == Verdict::kReturn;
    case OwnedAction::kJump:
    case OwnedAction::kGoto:
      return rule.target == wanted.chain;
  }
  return false;
}

std::string OwnedChainsOf(absl::string_view owner) {
  return absl::StrCat(kOwnedChainPrefix, owner);
}

OwnedSteps CompareOwned(const TableContents& contents, const OwnedTable& wanted,
                        absl::string_view owner, RulePlacement placement,
                        absl::Span<const std::vector<std::string>> texts) {
  Comparison comparison(contents, wanted, owner);
  comparison.Chains(texts);
  comparison.Jumps(placement);
  return std::move(comparison).Steps();
}

}  // namespace nfmeter::kernel
