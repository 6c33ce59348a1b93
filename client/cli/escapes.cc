// SPDX-License-Identifier: Apache-2.0
#include "cli/escapes.h"

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_format.h"

namespace nfmeter::cli {
namespace {

void AppendEscaped(char c, std::string& text) {
  absl::StrAppendFormat(&text, "\\x%02x", static_cast<unsigned char>(c));
}

bool IsEscape(absl::string_view text) {
  return text.size() >= 4 && text[0] == '\\' && text[1] == 'x' &&
         absl::ascii_isxdigit(text[2]) && absl::ascii_isxdigit(text[3]);
}

}  // namespace

std::string EscapeBytes(absl::string_view text, absl::string_view special) {
  std::string escaped;
  for (const char c : text) {
    if (c == '\\' || special.find(c) != special.npos) {
      AppendEscaped(c, escaped);
    } else {
      escaped.push_back(c);
    }
  }
  return escaped;
}

std::string UnescapeBytes(absl::string_view text) {
  std::string bytes;
  for (size_t i = 0; i < text.size(); ++i) {
    if (IsEscape(text.substr(i))) {
      bytes += absl::HexStringToBytes(text.substr(i + 2, 2));
      i += 3;
    } else {
      bytes.push_back(text[i]);
    }
  }
  return bytes;
}

std::string NameBytes(absl::string_view typed) {
  std::string name;
  for (const char c : typed) {
    if (absl::ascii_isascii(static_cast<unsigned char>(c))) {
      name.push_back(c);
    } else {
      AppendEscaped(c, name);
    }
  }
  return name;
}

}  // namespace nfmeter::cli
