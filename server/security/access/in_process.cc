// SPDX-License-Identifier: GPL-3.0-or-later
#include "security/access/in_process.h"

#include <random>

#include "absl/strings/str_format.h"

namespace nfmeter::security {

const std::string& InProcessToken() {
  static const auto* const token = [] {
    std::random_device random;
    return new std::string(absl::StrFormat(
        "%08x%08x%08x%08x", random(), random(), random(), random()));
  }();
  return *token;
}

}  // namespace nfmeter::security
