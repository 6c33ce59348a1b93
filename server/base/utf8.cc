// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/utf8.h"

#include <algorithm>
#include <cstdint>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace nfmeter {

size_t Utf8CharacterBytes(absl::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t lead = byte(0);
  if (lead < 0x80) return 1;
  const size_t size = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < size) return 0;
  uint32_t character = lead & (0x7f >> size);
  for (size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
    character = character << 6 | (byte(i) & 0x3f);
  }
  const bool overlong =
      (size == 3 && character < 0x800) || (size == 4 && character < 0x10000);
  const bool surrogate = character >= 0xd800 && character < 0xe000;
  return overlong || surrogate || character > 0x10ffff ? 0 : size;
}

std::string ValidUtf8(absl::string_view text) {
  // Nearly every text is ASCII, and this is ten times as fast as what follows.
  if (std::all_of(text.begin(), text.end(), absl::ascii_isascii)) {
    return std::string(text);
  }
  std::string valid;
  valid.reserve(text.size());
  while (!text.empty()) {
    const size_t size = Utf8CharacterBytes(text);
    if (size == 0) {
      absl::StrAppendFormat(&valid, "\\x%02x",
                            static_cast<uint8_t>(text.front()));
      text.remove_prefix(1);
    } else {
      absl::StrAppend(&valid, text.substr(0, size));
      text.remove_prefix(size);
    }
  }
  return valid;
}

}  // namespace nfmeter
