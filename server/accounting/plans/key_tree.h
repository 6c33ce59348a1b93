// SPDX-License-Identifier: GPL-3.0-or-later
// Trees of chains for rules that differ by one thing.
#ifndef NFMETER_ACCOUNTING_PLANS_KEY_TREE_H_
#define NFMETER_ACCOUNTING_PLANS_KEY_TREE_H_

#include <cstddef>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "accounting/plans/key_maps.h"
#include "accounting/plans/key_range.h"
#include "kernel/owned_chains.h"
#include "kernel/rule_types.h"

namespace nfmeter::accounting {

// Rules that walk a packet down to those that its key meets, instead of past
// all of them: a chain has a rule for each of at most a few parts of the keys,
// which leads with -g to a chain that knows only its part. A chain reached so
// has no key left to ask for where its part is one rule's whole range.
//
// All ranges that hold a key are met, however they nest; ranges of addresses
// are prefixes. The same rules always give the same chains, and a chain's name
// depends on nothing but the seed, the field and its part.
//
// Not thread-safe; used for one tree.
class KeyTree {
 public:
  // What a rule does must not end the walk where another rule of the same tree
  // could still count.
  using Leaf = KeyedRule;

  // How many rules a packet meets: evaluated, not only matched.
  struct Cost {
    size_t most = 0;  // of all packets
    double mean = 0;  // over packets that hit one leaf each
  };

  // `base` is what a rule must ask for beside its key: the protocol of ports.
  // `name` makes the name of a chain from a text that tells its part apart.
  KeyTree(kernel::Family family, KeyField field, kernel::RuleMatch base,
          std::function<std::string(absl::string_view part)> name)
      : family_(family),
        field_(field),
        base_(std::move(base)),
        name_(std::move(name)) {}

  // The chains, the one to jump to first. Not for an empty span.
  std::vector<kernel::OwnedChain> Build(absl::Span<const Leaf> leaves);

  // Of what Build() made.
  const Cost& cost() const { return cost_; }

 private:
  // A rule of the chain under construction, with the keys that it accepts.
  struct Step {
    KeyRange range;
    kernel::OwnedRule rule;
    size_t chain = 0;  // where it leads, if it is a kGoto
  };
  using Leaves = std::vector<Leaf>;

  // Adds the chain of `part`, in which packets arrive that `met` rules have
  // looked at, and returns its place among the chains.
  size_t AddChain(const KeyRange& part, Leaves leaves, size_t met);
  std::vector<KeyRange> SplitPrefix(const Leaves& leaves) const;
  // The rules that a packet with this key meets.
  size_t Walk(KeyNumber key) const;
  kernel::OwnedRule WithKey(const kernel::OwnedRule& rule,
                            const KeyRange& range) const;

  const kernel::Family family_;
  const KeyField field_;
  const kernel::RuleMatch base_;
  const std::function<std::string(absl::string_view part)> name_;
  std::vector<std::string> names_;         // of the chains
  std::vector<std::vector<Step>> chains_;  // the rules of each
  Cost cost_;
};

}  // namespace nfmeter::accounting

#endif  // NFMETER_ACCOUNTING_PLANS_KEY_TREE_H_
