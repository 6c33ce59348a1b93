// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/saved_text.h"

#include <cstdint>

#include "absl/algorithm/container.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "base/utf8.h"

namespace nfmeter::kernel {

bool HasControl(absl::string_view text) {
  return absl::c_any_of(text,
                        [](unsigned char c) { return absl::ascii_iscntrl(c); });
}

bool IsPrintable(absl::string_view text) {
  while (!text.empty()) {
    const size_t size = Utf8CharacterBytes(text);
    if (size == 0 || absl::ascii_iscntrl(text[0])) return false;
    if (text[0] == '\xc2' && static_cast<uint8_t>(text[1]) < 0xa0) return false;
    text.remove_prefix(size);
  }
  return true;
}

// Whether iptables-restore reads it as it is when it stands without quotes: its
// parser, add_param_to_argv(), ends words at white space and takes quotes away.
// "!" turns around what follows, and up to 1.8.8 a word is refused that begins
// with '-' and has a 't' (it looks like "-t TABLE").
bool IsBareWord(absl::string_view text) {
  return !text.empty() && text[0] != '-' && text[0] != '!' &&
         absl::c_none_of(text, [](unsigned char c) {
           return absl::ascii_iscntrl(c) || c == ' ' || c == '"';
         });
}

// Names of interfaces need not exist, so a rule may bring any. The kernel's own
// law (dev_valid_name() in net/core/dev.c) leaves out '/', ':' and white space,
// 0xa0 of Latin-1 included; this one leaves out what shells read, too.
bool IsInterfaceName(absl::string_view name) {
  constexpr absl::string_view kPunctuation = "._-+@%=,";
  return IsBareWord(name) && absl::c_all_of(name, [&](unsigned char c) {
           return absl::ascii_isalnum(c) || (c >= 0x80 && c != 0xa0) ||
                  absl::StrContains(kPunctuation, static_cast<char>(c));
         });
}

}  // namespace nfmeter::kernel
