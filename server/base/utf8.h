// SPDX-License-Identifier: GPL-3.0-or-later
// Text from outside in what must be UTF-8: strings of protobuf, JSON.
#ifndef NFMETER_BASE_UTF8_H_
#define NFMETER_BASE_UTF8_H_

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"

namespace nfmeter {

// Bytes of the UTF-8 character that `text`, not empty, begins with; 0 when it
// begins with none (RFC 3629).
size_t Utf8CharacterBytes(absl::string_view text);

// `text` with each byte that is not part of a character as \xHH.
std::string ValidUtf8(absl::string_view text);

}  // namespace nfmeter

#endif  // NFMETER_BASE_UTF8_H_
