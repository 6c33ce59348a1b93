// SPDX-License-Identifier: GPL-3.0-or-later
// Transient objects that mark the tail of the kernel's list during a dump.
#ifndef NFMETER_KERNEL_LINUX_NFACCT_ACCT_TAIL_H_
#define NFMETER_KERNEL_LINUX_NFACCT_ACCT_TAIL_H_

#include <string>

#include "absl/strings/string_view.h"

namespace nfmeter::kernel {

// A new name, ".nfmeterd.tail." and 16 random hexadecimal digits.
std::string NewAcctTailName();

// Whether a name has that form.
bool IsAcctTailName(absl::string_view name);

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_LINUX_NFACCT_ACCT_TAIL_H_
