// SPDX-License-Identifier: GPL-3.0-or-later
// What nfmeterd does with a state directory instead of serving.
#ifndef NFMETER_APP_STATE_TOOLS_H_
#define NFMETER_APP_STATE_TOOLS_H_

#include <string>

#include "app/exit_code.h"

namespace nfmeter::app {

// --check-state: prints what the ledger has and what is wrong with it.
// kExitState: it is not sound, or can't be read.
ExitCode CheckState(const std::string& state_dir);

// --backup: copies the ledger. kExitState: it could not.
ExitCode BackUpState(const std::string& state_dir, const std::string& copy);

}  // namespace nfmeter::app

#endif  // NFMETER_APP_STATE_TOOLS_H_
