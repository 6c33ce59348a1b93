// SPDX-License-Identifier: GPL-3.0-or-later
// Owned chains as they are against how they should be.
#ifndef NFMETER_KERNEL_OWNED_DIFF_H_
#define NFMETER_KERNEL_OWNED_DIFF_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "kernel/owned_chains.h"
#include "kernel/rule_types.h"

namespace nfmeter::kernel {

// What makes a table as it is wanted, in this order: chains are made, chains
// filled, jumps deleted, jumps made, chains emptied and removed. All empty:
// nothing.
struct OwnedSteps {
  std::vector<std::string> made;
  std::vector<size_t> filled;  // indexes of OwnedTable::chains
  struct Jumps {
    std::string chain;                // that they are in
    std::vector<uint32_t> positions;  // from 1, rising
  };
  std::vector<Jumps> deleted_jumps;
  std::vector<size_t> made_jumps;  // indexes of OwnedTable::hooks
  std::vector<std::string> removed;

  // The same for people.
  std::vector<OwnedDifference> differences;

  bool empty() const { return differences.empty(); }
};

// Compares rules by their texts: `texts` says how those of the wanted chains
// would read back, "-A CHAIN ...", chain by chain.
//
// A jump is where it should be if nothing but jumps into owned chains, and
// rules of ours that only count, is before it (kHead) or behind it (kTail). A
// jump that others made into a chain of the owner counts as the owner's.
OwnedSteps CompareOwned(const TableContents& contents, const OwnedTable& wanted,
                        absl::string_view owner, RulePlacement placement,
                        absl::Span<const std::vector<std::string>> texts);

// What is not counted of a chain that has so many rules in place of those that
// are wanted; nullopt: all. `same(i, j)`: rule j of those does for packets what
// rule i of the wanted ones does. `passed(j)`: packets go on behind it.
std::optional<OwnedDifference::Lost> LostOf(
    const OwnedChain& wanted, size_t rules,
    absl::FunctionRef<bool(size_t i, size_t j)> same,
    absl::FunctionRef<bool(size_t j)> passed);

// Whether a rule that was read does what is wanted, if perhaps with a stand-in,
// or without asking for a quota.
bool DoesAs(const Rule& rule, const OwnedRule& wanted);
// Whether it lets packets go on.
bool IsPassed(const Rule& rule);

// "NFM-1a2b3c4d-": how the names of an owner's chains begin.
std::string OwnedChainsOf(absl::string_view owner);

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_OWNED_DIFF_H_
