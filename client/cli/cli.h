// SPDX-License-Identifier: Apache-2.0
// The nfmeter command as a function.
#ifndef NFMETER_CLI_CLI_H_
#define NFMETER_CLI_CLI_H_

#include <string>
#include <vector>

#include "cli/console.h"

namespace nfmeter::cli {

// Runs one command line, `arguments` without the program's name; the exit code
// (see errors.h). Reads the environment.
int Main(const std::vector<std::string>& arguments, Console console);

}  // namespace nfmeter::cli

#endif  // NFMETER_CLI_CLI_H_
