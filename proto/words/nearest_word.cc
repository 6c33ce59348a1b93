// SPDX-License-Identifier: Apache-2.0
#include "proto/words/nearest_word.h"

#include <algorithm>
#include <vector>

namespace nfmeter {
namespace {

constexpr size_t kMaxBytes = 256;
// So many letters are no accident.
constexpr size_t kLeastBeginning = 5;

// Letters too many, missing, wrong, or in each other's place ("optimal string
// alignment"), a row of the table at a time.
size_t EditDistance(absl::string_view a, absl::string_view b) {
  std::vector<size_t> before(b.size() + 1);
  std::vector<size_t> above(b.size() + 1);
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    before.swap(above);
    above.swap(row);
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({above[j] + 1, row[j - 1] + 1,
                         above[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = std::min(row[j], before[j - 2] + 1);
      }
    }
  }
  return row[b.size()];
}

}  // namespace

std::string NearestWord(absl::string_view word,
                        absl::Span<const std::string> known, size_t most) {
  if (word.size() > kMaxBytes) return "";
  const std::string* nearest = nullptr;
  size_t fewest = most + 1;
  for (const std::string& each : known) {
    const size_t distance = EditDistance(word, each);
    if (distance >= fewest) continue;
    fewest = distance;
    nearest = &each;
  }
  if (nearest != nullptr) return *nearest;
  for (const std::string& each : known) {
    const size_t shorter = std::min(word.size(), each.size());
    if (shorter >= kLeastBeginning &&
        word.substr(0, shorter) == each.substr(0, shorter)) {
      return each;
    }
  }
  return "";
}

}  // namespace nfmeter
