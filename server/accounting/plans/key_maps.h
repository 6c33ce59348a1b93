// SPDX-License-Identifier: GPL-3.0-or-later
// Maps for accounts that differ by one thing.
#ifndef NFMETER_ACCOUNTING_PLANS_KEY_MAPS_H_
#define NFMETER_ACCOUNTING_PLANS_KEY_MAPS_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "accounting/plans/key_range.h"
#include "kernel/owned_chains.h"
#include "kernel/rule_types.h"

namespace nfmeter::accounting {

// What packets of a range of keys count into.
struct KeyedCounter {
  KeyRange range;
  std::string counter;
  bool quota = false;  // that counter has one
  // Of a destination: not those that come from there, too.
  bool from_elsewhere = false;
  // Beside counting, none that leads to another chain.
  kernel::OwnedAction action = kernel::OwnedAction::kContinue;
  kernel::Mark mark;  // for kMark
};

// What looks all of them up, whether there are five or a million.
struct KeyMaps {
  std::vector<kernel::OwnedMap> maps;
  std::vector<kernel::OwnedRule> rules;  // one a map, which have no match
};

// One map for each length of prefix, so that all ranges that hold a key are
// met, however they nest; a range that is no prefix becomes the few prefixes
// that it is made of. Where a key has several counters it is in as many maps.
// The longest prefixes come first. `name` makes the name of a map from a text
// that tells it apart. The same counters give the same maps, in whatever order.
KeyMaps MakeKeyMaps(kernel::Family family, KeyField field,
                    std::vector<KeyedCounter> counters,
                    std::function<std::string(absl::string_view part)> name);

}  // namespace nfmeter::accounting

#endif  // NFMETER_ACCOUNTING_PLANS_KEY_MAPS_H_
