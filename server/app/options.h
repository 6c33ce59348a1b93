// SPDX-License-Identifier: GPL-3.0-or-later
// All options of nfmeterd, once for file, flags and help.
#ifndef NFMETER_APP_OPTIONS_H_
#define NFMETER_APP_OPTIONS_H_

#include <algorithm>
#include <functional>
#include <iterator>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "app/config.h"
#include "kernel/kernel.h"
#include "security/access/access.h"

namespace nfmeter::app {

// An option with one value. Listeners, which are a list, are read by
// config_file.h and command_line.h.
struct Option {
  std::string key;    // its path in the file: "limits.max_batch_size"
  std::string flag;   // "--max-batch-size"
  std::string value;  // what is written behind it: "N"; empty for switches
  std::string help;   // ends without a full stop
  std::string default_text;
  // Sets it from text. INVALID_ARGUMENT: "must be ..., not 'text'".
  std::function<absl::Status(absl::string_view text, Config& config)> set;

  bool is_switch() const { return value.empty(); }
};

const std::vector<Option>& AllOptions();

// The octal mode of a socket: "0660", "660". INVALID_ARGUMENT as Option::set.
absl::StatusOr<mode_t> ParseMode(absl::string_view text);

// The role of a listener. INVALID_ARGUMENT as Option::set.
absl::StatusOr<security::Role> ParseListenerRole(absl::string_view text);

// What callers on a listener may see of flows. INVALID_ARGUMENT as Option::set.
absl::StatusOr<security::FlowAccess> ParseListenerFlows(absl::string_view text);

// What backends are called in the configuration and on the command line.
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

#endif  // NFMETER_APP_OPTIONS_H_
