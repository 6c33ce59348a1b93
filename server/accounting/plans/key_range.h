// SPDX-License-Identifier: GPL-3.0-or-later
// What accounts differ by, as ranges of one number.
#ifndef NFMETER_ACCOUNTING_PLANS_KEY_RANGE_H_
#define NFMETER_ACCOUNTING_PLANS_KEY_RANGE_H_

#include <optional>

#include "kernel/owned_chains.h"
#include "kernel/rule_types.h"

namespace nfmeter::accounting {

// A field of a match by whose values accounts can be told apart.
using KeyField = kernel::MapKey;
inline constexpr KeyField kKeyFields[] = {
    KeyField::kSource, KeyField::kDestination, KeyField::kSourcePort,
    KeyField::kDestinationPort, KeyField::kUid};

// Addresses stand in the upper bits, so that a prefix is a range.
using KeyNumber = unsigned __int128;

// Inclusive.
struct KeyRange {
  KeyNumber first = 0;
  KeyNumber last = 0;

  bool Contains(const KeyRange& other) const {
    return first <= other.first && other.last <= last;
  }
  bool Overlaps(const KeyRange& other) const {
    return first <= other.last && other.first <= last;
  }

  friend bool operator==(const KeyRange&, const KeyRange&) = default;
};

// The values of `field` that the match accepts, where they are one range:
// nullopt where the field is absent, negated, or several ranges.
std::optional<KeyRange> KeyOf(const kernel::RuleMatch& match, KeyField field);

// All values that the field can have.
KeyRange WholeKey(KeyField field, kernel::Family family);

// Makes `match` accept `range` of the field alone. `range` of an address is a
// prefix.
void SetKey(kernel::RuleMatch& match, KeyField field, kernel::Family family,
            const KeyRange& range);

// What `visit` makes of the field of the match.
template <typename Match, typename Visitor>
auto VisitField(Match& match, KeyField field, Visitor visit) {
  switch (field) {
    case KeyField::kSource:
      return visit(match.source);
    case KeyField::kDestination:
      return visit(match.destination);
    case KeyField::kSourcePort:
      return visit(match.source_ports);
    case KeyField::kDestinationPort:
      return visit(match.destination_ports);
    case KeyField::kUid:
      break;
  }
  return visit(match.owner_uid);
}

// Whether a value of the field is an address.
inline bool IsAddress(KeyField field) {
  return field == KeyField::kSource || field == KeyField::kDestination;
}

// The smallest prefix that holds both ends of `range`.
KeyRange CommonPrefix(const KeyRange& range);

}  // namespace nfmeter::accounting

#endif  // NFMETER_ACCOUNTING_PLANS_KEY_RANGE_H_
