// SPDX-License-Identifier: Apache-2.0
// Bytes written as \xHH, as the server shows them in names.
#ifndef NFMETER_CLI_ESCAPES_H_
#define NFMETER_CLI_ESCAPES_H_

#include <string>

#include "absl/strings/string_view.h"

namespace nfmeter::cli {

// `text` with the backslash and the characters of `special` as \xHH.
std::string EscapeBytes(absl::string_view text, absl::string_view special);

// The way back. What only looks like an escape stays as it is.
std::string UnescapeBytes(absl::string_view text);

// A name as it was typed, in the form in which the API takes names: bytes that
// are not ASCII as \xHH. Escapes that were typed stay.
std::string NameBytes(absl::string_view typed);

}  // namespace nfmeter::cli

#endif  // NFMETER_CLI_ESCAPES_H_
