// SPDX-License-Identifier: GPL-3.0-or-later
// How nfmeterd ends.
#ifndef NFMETER_APP_EXIT_CODE_H_
#define NFMETER_APP_EXIT_CODE_H_

#include <stdio.h>

#include "absl/strings/string_view.h"

namespace nfmeter::app {

// Scripts rely on these; kExitCodesHelp says the same to people.
enum ExitCode {
  kExitOk = 0,      // ended by a signal after a clean shutdown
  kExitConfig = 2,  // flags or file
  kExitKernel = 3,  // it may not speak to the kernel
  kExitListen = 4,
  kExitState = 5,    // state directory or audit file
  kExitSandbox = 6,  // privileges can't be given up, or no sandbox made
};

inline constexpr char kExitCodesHelp[] =
    "Exit status: 0 ended by SIGTERM or SIGINT (a second signal ends at once,\n"
    "with 128 and its number), 2 wrong flags or file, 3 no access to the\n"
    "kernel's counters, 4 cannot listen, 5 state directory or audit file\n"
    "unusable, 6 no sandbox.";

// A line on standard error.
inline void Complain(absl::string_view what) {
  fprintf(stderr, "nfmeterd: %.*s\n", static_cast<int>(what.size()),
          what.data());
}

// The same, as the last thing that the program does: it ends with `code`.
inline ExitCode Refuse(absl::string_view why, ExitCode code) {
  Complain(why);
  return code;
}

}  // namespace nfmeter::app

#endif  // NFMETER_APP_EXIT_CODE_H_
