// SPDX-License-Identifier: GPL-3.0-or-later
// Which counters somebody may see and touch.
#ifndef NFMETER_ACCOUNTING_COMMON_COUNTER_SCOPE_H_
#define NFMETER_ACCOUNTING_COMMON_COUNTER_SCOPE_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"

namespace nfmeter::accounting {

// The counters whose name starts with one of `prefixes`; without any, all.
struct CounterScope {
  std::vector<std::string> prefixes;

  bool has_all() const { return prefixes.empty(); }

  // `shown_name` is as ShownName() makes it. No scope but that of all contains
  // the empty name, which is that of rules without a counter.
  bool Contains(absl::string_view shown_name) const;

  friend bool operator==(const CounterScope&, const CounterScope&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const CounterScope& scope) {
    return H::combine(std::move(h), scope.prefixes);
  }
};

}  // namespace nfmeter::accounting

#endif  // NFMETER_ACCOUNTING_COMMON_COUNTER_SCOPE_H_
