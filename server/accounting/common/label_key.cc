// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/common/label_key.h"

#include <algorithm>

#include "absl/strings/ascii.h"

namespace nfmeter::accounting {

bool IsLabelKey(absl::string_view key) {
  return !key.empty() && key.size() <= kMaxLabelKeyBytes &&
         std::all_of(key.begin(), key.end(), [](char c) {
           return absl::ascii_islower(c) || absl::ascii_isdigit(c) ||
                  c == '.' || c == '_' || c == '/' || c == '-';
         });
}

}  // namespace nfmeter::accounting
