// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/suggestion.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "proto/words/nearest_word.h"

namespace nfmeter {

std::string Suggestion(absl::string_view word,
                       absl::Span<const std::string> known) {
  const std::string nearest =
      NearestWord(word, known, std::max<size_t>(2, word.size() / 3));
  if (!nearest.empty()) {
    return absl::StrCat("; did you mean '", nearest, "'?");
  }
  return absl::StrCat("; known are: ", absl::StrJoin(known, ", "));
}

}  // namespace nfmeter
