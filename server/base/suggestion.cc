// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/suggestion.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace nfmeter {
namespace {

size_t EditDistance(absl::string_view a, absl::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1,
                         diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

}  // namespace

std::string Suggestion(absl::string_view word,
                       absl::Span<const std::string> known) {
  // Longer words are nobody's slip, and cost.
  constexpr size_t kMaxBytes = 256;
  const std::string* nearest = nullptr;
  size_t distance = std::max<size_t>(2, word.size() / 3) + 1;
  for (const std::string& candidate : known) {
    if (word.size() > kMaxBytes) break;
    const size_t d = EditDistance(word, candidate);
    if (d < distance) {
      distance = d;
      nearest = &candidate;
    }
  }
  if (nearest != nullptr) {
    return absl::StrCat("; did you mean '", *nearest, "'?");
  }
  return absl::StrCat("; known are: ", absl::StrJoin(known, ", "));
}

}  // namespace nfmeter
