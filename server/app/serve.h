// SPDX-License-Identifier: GPL-3.0-or-later
// The life of the process, from configuration to the last signal.
#ifndef NFMETER_APP_SERVE_H_
#define NFMETER_APP_SERVE_H_

#include <string>
#include <vector>

#include "app/config.h"
#include "app/exit_code.h"

namespace nfmeter::app {

// Serves until SIGTERM or SIGINT. `config` has passed CheckConfig(), which
// returned `warnings`. Call it in a process with one thread: it decides how the
// process takes signals.
ExitCode Serve(const Config& config, const std::vector<std::string>& warnings);

}  // namespace nfmeter::app

#endif  // NFMETER_APP_SERVE_H_
