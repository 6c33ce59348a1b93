// SPDX-License-Identifier: GPL-3.0-or-later
// How iptables-save writes the pieces that many extensions share.
#ifndef NFMETER_KERNEL_LINUX_XTABLES_XT_TEXT_H_
#define NFMETER_KERNEL_LINUX_XTABLES_XT_TEXT_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "kernel/acct_names.h"

namespace nfmeter::kernel {

// " value", or in double quotes with a backslash before ", \ and ' when it has
// any other byte than letters, digits, '_' and '-' (xtables_save_string).
void AppendQuoted(absl::string_view value, std::string& text);

// " !" if negated.
void AppendNegation(bool negated, std::string& text);

// " 0x1" or " 0x1/0x3".
void AppendMark(uint32_t value, uint32_t mask, std::string& text);

// "80" or "80:90".
void AppendRange(uint32_t first, uint32_t last, std::string& text);

// "FIN,SYN" behind `lead`, for the bits that are set, of which the first is
// called names[0]; nothing for none of these.
void AppendBits(uint32_t bits, absl::Span<const absl::string_view> names,
                absl::string_view lead, std::string& text);

// The name that iptables-save prints after -p: its own short list first, then
// /etc/protocols (read once), then the number.
absl::string_view ProtocolName(uint8_t protocol);

// The text in a fixed array of the kernel's, up to its NUL or its end.
template <size_t size>
absl::string_view TextOf(const char (&array)[size]) {
  const absl::string_view all(array, size);
  return all.substr(0, all.find('\0'));
}

// The counter that an extension names. The kernel takes no name that fills the
// field: its names end in a NUL.
inline std::string AcctNameOf(const char (&name)[kNfacctNameMaxBytes + 1]) {
  return std::string(TextOf(name).substr(0, kNfacctNameMaxBytes));
}

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_LINUX_XTABLES_XT_TEXT_H_
