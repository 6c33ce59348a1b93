// SPDX-License-Identifier: GPL-3.0-or-later
// What callers may call their labels.
#ifndef NFMETER_ACCOUNTING_COMMON_LABEL_KEY_H_
#define NFMETER_ACCOUNTING_COMMON_LABEL_KEY_H_

#include <cstddef>

#include "absl/strings/string_view.h"

namespace nfmeter::accounting {

inline constexpr size_t kMaxLabelKeyBytes = 63;

// 1 to 63 of [a-z0-9._/-].
bool IsLabelKey(absl::string_view key);

}  // namespace nfmeter::accounting

#endif  // NFMETER_ACCOUNTING_COMMON_LABEL_KEY_H_
