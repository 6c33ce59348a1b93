// SPDX-License-Identifier: GPL-3.0-or-later
// The flags of nfmeterd.
#ifndef NFMETER_APP_COMMAND_LINE_H_
#define NFMETER_APP_COMMAND_LINE_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "app/config.h"

namespace nfmeter::app {

struct Invocation {
  enum class Action {
    kServe,
    kCheckConfig,
    kCheckPolicy,
    kCheckState,
    kBackUp,
    kRestoreObjects,
    kMigrateBackend,
    kPrint,
  };
  Action action = Action::kServe;
  // kPrint: help or version; kCheckPolicy: the policy's file; kBackUp: the copy
  std::string text;
  kernel::Backend backend = kernel::Backend::kAuto;  // kMigrateBackend: to
  std::string config_file;                           // empty: none was read
  Config config;
};

// Reads the flags, the file that they name (or kDefaultConfigFile, if it is
// there), and puts the flags over the file. `arguments` are without the
// program's name. INVALID_ARGUMENT: lines that say what is wrong.
absl::StatusOr<Invocation> ParseCommandLine(
    const std::vector<std::string>& arguments);

}  // namespace nfmeter::app

#endif  // NFMETER_APP_COMMAND_LINE_H_
