// SPDX-License-Identifier: Apache-2.0
// Names and the globs of CounterFilter.
#ifndef NFMETER_PROTO_WORDS_NAME_GLOB_H_
#define NFMETER_PROTO_WORDS_NAME_GLOB_H_

#include <string>

#include "absl/strings/string_view.h"

namespace nfmeter {

// Whether it has one of the characters that globs are made with.
bool IsGlob(absl::string_view text);

// The glob that this name alone matches: "a[*]b" of "a*b".
std::string GlobOfName(absl::string_view name);

}  // namespace nfmeter

#endif  // NFMETER_PROTO_WORDS_NAME_GLOB_H_
