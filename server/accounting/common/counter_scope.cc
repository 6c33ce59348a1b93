// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/common/counter_scope.h"

#include <algorithm>

#include "absl/strings/match.h"

namespace nfmeter::accounting {

bool CounterScope::Contains(absl::string_view shown_name) const {
  return prefixes.empty() ||
         (!shown_name.empty() && std::any_of(prefixes.begin(), prefixes.end(),
                                             [&](const std::string& prefix) {
                                               return absl::StartsWith(
                                                   shown_name, prefix);
                                             }));
}

}  // namespace nfmeter::accounting
