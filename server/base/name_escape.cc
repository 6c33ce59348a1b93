// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/name_escape.h"

#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/utf8.h"

namespace nfmeter {
namespace {

// Bytes of the printable character that `text`, not empty, begins with; 0 when
// it begins with none, or with a backslash. Controls of C1 (U+0080 to U+009F)
// are not printable.
size_t PrintableBytes(absl::string_view text) {
  const size_t size = Utf8CharacterBytes(text);
  const char first = text[0];
  if (size == 1) return absl::ascii_isprint(first) && first != '\\' ? 1 : 0;
  const bool is_control =
      size == 2 && first == '\xc2' && static_cast<uint8_t>(text[1]) < 0xa0;
  return is_control ? 0 : size;
}

void AppendEscaped(char byte, std::string& shown) {
  absl::StrAppendFormat(&shown, "\\x%02x", static_cast<uint8_t>(byte));
}

// Whether `text` begins with \xHH.
bool BeginsWithEscape(absl::string_view text) {
  return text.size() >= 4 && text[0] == '\\' && text[1] == 'x' &&
         absl::ascii_isxdigit(text[2]) && absl::ascii_isxdigit(text[3]);
}

}  // namespace

std::string EscapeName(absl::string_view name) {
  std::string shown;
  shown.reserve(name.size());
  while (!name.empty()) {
    const size_t size = PrintableBytes(name);
    if (size == 0) {
      AppendEscaped(name[0], shown);
      name.remove_prefix(1);
    } else {
      absl::StrAppend(&shown, name.substr(0, size));
      name.remove_prefix(size);
    }
  }
  return shown;
}

std::string QuoteName(absl::string_view name) {
  return absl::StrCat("'", EscapeName(name), "'");
}

std::string EscapeNameToAscii(absl::string_view name) {
  std::string shown;
  shown.reserve(name.size());
  for (const char c : name) {
    if (absl::ascii_isgraph(c) && c != '\\') {
      shown.push_back(c);
    } else {
      AppendEscaped(c, shown);
    }
  }
  return shown;
}

absl::StatusOr<std::string> UnescapeName(absl::string_view shown) {
  std::string name;
  name.reserve(shown.size());
  for (size_t i = 0; i < shown.size(); ++i) {
    if (shown[i] != '\\') {
      name.push_back(shown[i]);
    } else if (BeginsWithEscape(shown.substr(i))) {
      name += absl::HexStringToBytes(shown.substr(i + 2, 2));
      i += 3;
    } else {
      return absl::InvalidArgumentError(
          absl::StrCat("has a backslash at byte ", i,
                       " that begins no \\xHH; a backslash itself is \\x5c"));
    }
  }
  return name;
}

}  // namespace nfmeter
