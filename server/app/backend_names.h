// SPDX-License-Identifier: GPL-3.0-or-later
// What backends are called in the configuration and on the command line.
#ifndef NFMETER_APP_BACKEND_NAMES_H_
#define NFMETER_APP_BACKEND_NAMES_H_

#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>

#include "absl/strings/string_view.h"
#include "kernel/kernel.h"

namespace nfmeter::app {

inline constexpr std::pair<const char*, kernel::Backend> kBackendNames[] = {
    {"auto", kernel::Backend::kAuto},
    {"iptables", kernel::Backend::kIptables},
    {"nftables", kernel::Backend::kNftables}};

inline const char* BackendName(kernel::Backend backend) {
  return std::find_if(std::begin(kBackendNames), std::end(kBackendNames),
                      [&](const auto& each) { return each.second == backend; })
      ->first;
}

inline std::optional<kernel::Backend> BackendOf(absl::string_view name) {
  for (const auto& [known, backend] : kBackendNames) {
    if (name == known) return backend;
  }
  return std::nullopt;
}

}  // namespace nfmeter::app

#endif  // NFMETER_APP_BACKEND_NAMES_H_
