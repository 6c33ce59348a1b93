// SPDX-License-Identifier: GPL-3.0-or-later
// Names that the kernel has, which are bytes, as text that people read and
// write: what is shown works as input.
#ifndef NFMETER_BASE_NAME_ESCAPE_H_
#define NFMETER_BASE_NAME_ESCAPE_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace nfmeter {

// `name` with each byte that does not belong to a printable UTF-8 character,
// and each backslash, as \xHH. Different names differ.
std::string EscapeName(absl::string_view name);

// The same as 'name', for sentences.
std::string QuoteName(absl::string_view name);

// The same in printable ASCII without spaces: each other byte is \xHH.
std::string EscapeNameToAscii(absl::string_view name);

// The name that either of the two shows as `shown`. Characters that they would
// have escaped may stand for themselves, but for the backslash.
// INVALID_ARGUMENT: a backslash that begins no \xHH; the message goes on where
// the field's name ends.
absl::StatusOr<std::string> UnescapeName(absl::string_view shown);

}  // namespace nfmeter

#endif  // NFMETER_BASE_NAME_ESCAPE_H_
