// SPDX-License-Identifier: GPL-3.0-or-later
// Trees of chains for rules that differ by one thing.
#ifndef NFMETER_ACCOUNTING_PLANS_KEY_TREE_H_
#define NFMETER_ACCOUNTING_PLANS_KEY_TREE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "accounting/plans/key_range.h"
#include "kernel/owned_chains.h"
#include "kernel/rule_types.h"

namespace nfmeter::accounting {

// Rules that walk a packet down to those that its key meets, instead of past
// all of them. A chain splits its part of the keys in two again and again: a
// rule for one half leads with -g to a chain of its own, and the rules for the
// other half follow below. So each split costs a packet one rule, whichever
// way it goes. Where a part is one rule's whole range, that rule asks for no
// key.
//
// All ranges that hold a key are met, however they nest; ranges of addresses
// are prefixes. A rule may ask for more than its key and `base`. The same rules
// always give the same chains, and a chain's name depends on nothing but the
// seed, the field, its part, and for IPv6 the prefix that all have in common,
// by whole groups of 16 bits.
//
// Not thread-safe; used for one tree.
class KeyTree {
 public:
  // What a rule does must not end the walk where another rule of the same tree
  // could still count.
  struct Leaf {
    KeyRange range;
    kernel::OwnedRule rule;  // without its key
  };

  // How many rules a packet meets: evaluated, not only matched.
  struct Cost {
    size_t most = 0;  // of all packets
    double mean = 0;  // over packets that hit one leaf each
  };

  // Bits of a place. Chains stand in memory by their names, and a packet costs
  // less if it finds those that it meets side by side: places rise with the
  // keys of parts, a part coming before those that it is split into, and names
  // are to rise with places.
  static constexpr int kPlaceBits = 45;
  // Makes the name of a chain from its place and a text that tells its part
  // apart.
  using Namer =
      std::function<std::string(uint64_t place, absl::string_view part)>;

  // `base` is what a rule must ask for beside its key: the protocol of ports.
  KeyTree(kernel::Family family, KeyField field, kernel::RuleMatch base,
          Namer name)
      : family_(family),
        field_(field),
        base_(std::move(base)),
        name_(std::move(name)) {}

  // The smallest range that a key of any leaf is in, a prefix of addresses;
  // nullopt: every key is. Not for an empty span, as Build().
  std::optional<KeyRange> HullOf(absl::Span<const Leaf> leaves) const;
  // The chains, the one to jump to first. `hull` is HullOf() if no packet comes
  // to it that was not asked for that, else nullopt.
  std::vector<kernel::OwnedChain> Build(absl::Span<const Leaf> leaves,
                                        const std::optional<KeyRange>& hull);

  // Of what Build() made.
  const Cost& cost() const { return cost_; }

 private:
  // What of a leaf lies in the part of the keys that is looked at.
  struct Piece {
    KeyRange range;
    const kernel::OwnedRule* rule;
  };
  using Pieces = std::vector<Piece>;
  // A rule of the chain under construction, with the keys that it accepts.
  struct Step {
    KeyRange range;
    kernel::OwnedRule rule;
    size_t chain = 0;  // where it leads, if it is a kGoto
    // Known: no packet of the range passes it by.
    bool certain = false;
  };

  // How the keys of the rest of a chain are told apart next.
  struct Split {
    KeyRange half;  // whose packets leave the chain
    // Where leaves are beside it; nullopt: nowhere.
    std::optional<KeyRange> other;
    KeyRange rest;  // of the packets that stay
  };

  // Adds the chain of `part`, in which packets arrive that `met` rules have
  // looked at, and returns its place among the chains.
  size_t AddChain(const KeyRange& part, Pieces leaves, size_t met);
  // A first chain for packets that were not asked for their key.
  void AddGuard(const KeyRange& hull, Pieces leaves);
  Split SplitOf(const KeyRange& rest, const Pieces& leaves) const;
  static Split SplitPrefix(const KeyRange& rest, const Pieces& leaves);
  // Rules for the whole of `rest` first; taken out of `leaves`.
  static void TakeCovering(const KeyRange& rest, Pieces& leaves,
                           std::vector<Step>& steps);
  // What packets of `half` do: nothing more, what one leaf says, or what a
  // chain says. `met` as in AddChain().
  Step StepFor(const KeyRange& half, Pieces inside, size_t met);
  // Whether no packet of `half` comes below the step.
  static bool Diverts(const Step& step, const KeyRange& half);
  // `last`: whatever the chain has below, this leaf's packets do not meet.
  Step Ask(const Piece& leaf, bool last) const;
  // Rules for the last few leaves of a chain.
  void AskInRow(const Pieces& leaves, std::vector<Step>& steps) const;
  uint64_t PlaceOf(const KeyRange& part) const;
  // The rules that a packet with this key meets.
  size_t Walk(KeyNumber key) const;
  kernel::OwnedRule WithKey(kernel::OwnedRule rule,
                            const KeyRange& range) const;

  const kernel::Family family_;
  const KeyField field_;
  const kernel::RuleMatch base_;
  const Namer name_;
  KeyNumber placed_first_ = 0;             // the key of the first place
  int unplaced_ = 0;                       // lower bits that places leave out
  std::vector<std::string> names_;         // of the chains
  std::vector<std::vector<Step>> chains_;  // the rules of each
  Cost cost_;
};

}  // namespace nfmeter::accounting

#endif  // NFMETER_ACCOUNTING_PLANS_KEY_TREE_H_
