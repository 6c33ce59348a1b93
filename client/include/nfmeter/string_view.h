// SPDX-License-Identifier: Apache-2.0
// Between std::string_view and absl::string_view, which are two types in
// Abseil builds for C++14 (Debian 12's) and one in newer ones.
#ifndef NFMETER_STRING_VIEW_H_
#define NFMETER_STRING_VIEW_H_

#include <string_view>

#include "absl/strings/string_view.h"

namespace nfmeter {

inline absl::string_view ToAbsl(std::string_view text) {
  return absl::string_view(text.data(), text.size());
}

inline std::string_view ToStd(absl::string_view text) {
  return std::string_view(text.data(), text.size());
}

}  // namespace nfmeter

#endif  // NFMETER_STRING_VIEW_H_
