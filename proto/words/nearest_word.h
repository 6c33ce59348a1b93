// SPDX-License-Identifier: Apache-2.0
// What somebody who mistyped a word may have meant.
#ifndef NFMETER_PROTO_WORDS_NEAREST_WORD_H_
#define NFMETER_PROTO_WORDS_NEAREST_WORD_H_

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace nfmeter {

// The first of those of `known` that take the fewest letters put in, left out,
// changed or swapped with the next to become `word`, but at most so many; else
// the first one that begins with `word`, or that `word` begins with, and it
// with five letters. Empty: there is none, or `word` is longer than anybody's
// slip (256 bytes).
std::string NearestWord(absl::string_view word,
                        absl::Span<const std::string> known, size_t most);

}  // namespace nfmeter

#endif  // NFMETER_PROTO_WORDS_NEAREST_WORD_H_
