// SPDX-License-Identifier: GPL-3.0-or-later
// Chains and maps that belong to the server as a whole: what a plan becomes.
#ifndef NFMETER_KERNEL_OWNED_CHAINS_H_
#define NFMETER_KERNEL_OWNED_CHAINS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/strings/string_view.h"
#include "kernel/rule_types.h"

namespace nfmeter::kernel {

// How the names of chains begin that the server owns. Nothing else may be in
// them, and nobody else's chain may be called so.
inline constexpr absl::string_view kOwnedChainPrefix = "NFM-";

// Longest name of a chain, without the final NUL (XT_EXTENSION_MAXNAMELEN - 1).
inline constexpr size_t kChainNameMaxBytes = 28;

// What an owned rule does with a packet that it matches, beside counting it.
enum class OwnedAction {
  kContinue,
  kJump,    // to `chain`, and comes back
  kGoto,    // to `chain`, whose end is this chain's end
  kReturn,  // to where the chain was jumped to from
  kDrop,    // the last three: only where the counter's quota is exceeded
  kReject,
  kMark,  // sets `mark`, and goes on
};

// By what a map tells packets apart.
enum class MapKey {
  kSource,
  kDestination,
  kSourcePort,
  kDestinationPort,
  kUid,
};

// Stands for thousands of rules that differ by one thing, where the kernel can
// look that up: packets count into the counter of their key, and those whose
// key is not in it into none.
struct OwnedMap {
  struct Element {
    std::string key;  // network order; bits beyond `bits` are 0
    std::string counter;
    bool quota = false;  // that counter has one

    friend bool operator==(const Element&, const Element&) = default;
  };

  std::string name;
  MapKey key = MapKey::kSource;
  uint8_t bits = 0;  // of the key that are looked at, from its first
  // Of a map by destination: packets that come from where they go to, by the
  // same bits, do not match either.
  bool from_elsewhere = false;
  std::vector<Element> elements;  // by rising key, each once

  // Rules look for quotas only in a map that has some.
  bool HasQuotas() const {
    return absl::c_any_of(elements,
                          [](const Element& each) { return each.quota; });
  }

  friend bool operator==(const OwnedMap&, const OwnedMap&) = default;
};

// One rule of an owned chain. It has no id and no comment of ours: its chain
// says whose it is, and a packet does not pay for them.
struct OwnedRule {
  RuleMatch match;
  std::string counter;  // empty: counts into none
  bool quota = false;   // that counter has one
  // Instead of a counter: a map of the table that says which. Packets that are
  // not in it do not match.
  std::string map;
  OwnedAction action = OwnedAction::kContinue;
  std::string chain;  // for kJump and kGoto
  Mark mark;          // for kMark

  friend bool operator==(const OwnedRule&, const OwnedRule&) = default;
};

struct OwnedChain {
  std::string name;
  std::vector<OwnedRule> rules;

  friend bool operator==(const OwnedChain&, const OwnedChain&) = default;
};

// A jump from a built-in chain (or one of the host's own) into an owned one,
// without a condition.
struct OwnedHook {
  std::string from;
  std::string to;

  friend bool operator==(const OwnedHook&, const OwnedHook&) = default;
};

// All that is owned for one purpose in one table of one family.
struct OwnedTable {
  Family family = Family::kIpv4;
  Table table = Table::kFilter;
  std::vector<OwnedHook> hooks;
  std::vector<OwnedChain> chains;  // each name once
  std::vector<OwnedMap> maps;      // only where RuleTable::CountsByMaps()

  friend bool operator==(const OwnedTable&, const OwnedTable&) = default;
};

// What is to be there of one owner.
struct OwnedEdit {
  // Of the names of its chains, behind kOwnedChainPrefix: "1a2b3c4d-". Chains
  // that begin so and are not wanted go, and so do jumps to them.
  std::string owner;
  // At most one for each family and table.
  std::vector<OwnedTable> wanted;
  // Where the jumps stand in the chains that they are from: before all other
  // rules, but for jumps to owned chains, or after.
  RulePlacement placement = RulePlacement::kHead;
  // Compare, change nothing.
  bool dry_run = false;
};

// How a chain or a jump differed from what is wanted.
struct OwnedDifference {
  enum class Kind { kMissing, kChanged, kUnwanted };

  Family family = Family::kIpv4;
  Table table = Table::kFilter;
  Kind kind = Kind::kMissing;
  std::string chain;  // or map
  // Of kChanged, and for jumps: the rules as the system's tools print them that
  // were missing, and those that were too many; some only, of a long chain.
  // Of a map its elements.
  std::vector<std::string> missing;
  std::vector<std::string> unwanted;

  // What is not counted while a chain or a map is so: what the missing rules or
  // elements count into or lead to. A rule that counts into a stand-in is not
  // missing.
  struct Lost {
    std::vector<std::string> counters;
    std::vector<std::string> places;  // chains and maps
  };
  // Only for kChanged. nullopt, as for the others: all that is in it, because
  // packets may not get past something in it.
  std::optional<Lost> lost;

  // Of a jump that is there, but not in its place: the rules of others in that
  // place, as the system's tools print them. Empty: all are of ours.
  std::optional<std::vector<std::string>> displaced_by;
};

struct OwnedOutcome {
  // What was found, and made good unless it was a dry run.
  std::vector<OwnedDifference> differences;
  size_t commits = 0;
  // See TableOutcome.
  bool rule_counters_lost = false;
};

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_OWNED_CHAINS_H_
