// SPDX-License-Identifier: GPL-3.0-or-later
// What somebody who mistyped a word may have meant.
#ifndef NFMETER_BASE_SUGGESTION_H_
#define NFMETER_BASE_SUGGESTION_H_

#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace nfmeter {

// "; did you mean 'x'?" when one of `known` is near `word`, else
// "; known are: a, b".
std::string Suggestion(absl::string_view word,
                       absl::Span<const std::string> known);

}  // namespace nfmeter

#endif  // NFMETER_BASE_SUGGESTION_H_
