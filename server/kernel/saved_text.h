// SPDX-License-Identifier: GPL-3.0-or-later
// Which strings of a rule read the same after the system's own tools have saved
// and restored it.
//
// iptables-save prints the names of chains, sets and interfaces bare; comments,
// cgroup paths and counters go into quotes when they have more than letters,
// digits, '_' and '-' (xtables_save_string).
#ifndef NFMETER_KERNEL_SAVED_TEXT_H_
#define NFMETER_KERNEL_SAVED_TEXT_H_

#include "absl/strings/string_view.h"

namespace nfmeter::kernel {

// Whether `text` has control characters of ASCII. A line break ends a rule even
// in quotes.
bool HasControl(absl::string_view text);

// Whether all of it is UTF-8 that can be printed: no controls, those from
// U+0080 to U+009F included.
bool IsPrintable(absl::string_view text);

// Whether it may stand without quotes: not empty, no space, quote (") or
// control character, and neither '-' nor '!' at its beginning.
bool IsBareWord(absl::string_view text);

// Whether a rule may name an interface so: a bare word of letters, digits,
// . _ - + @ % = , and bytes beyond ASCII but 0xa0, which the kernel takes for a
// space.
bool IsInterfaceName(absl::string_view name);

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_SAVED_TEXT_H_
