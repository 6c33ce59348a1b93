// SPDX-License-Identifier: Apache-2.0
// Commands of the user's, run on events.
#ifndef NFMETER_CLI_SHELL_H_
#define NFMETER_CLI_SHELL_H_

#include <map>
#include <string>

#include "absl/status/status.h"

namespace nfmeter::cli {

// Runs `line` by /bin/sh with `variables` in its environment and waits for its
// end. UNKNOWN: it could not be started, or its exit status is not 0.
absl::Status RunShell(const std::string& line,
                      const std::map<std::string, std::string>& variables);

}  // namespace nfmeter::cli

#endif  // NFMETER_CLI_SHELL_H_
