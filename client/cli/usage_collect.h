// SPDX-License-Identifier: Apache-2.0
// nfmeter usage collect
#ifndef NFMETER_CLI_USAGE_COLLECT_H_
#define NFMETER_CLI_USAGE_COLLECT_H_

#include "cli/command_tree.h"

namespace nfmeter::cli {

// Below `noun`, "usage".
void AddCollectCommand(CommandTree& tree, CLI::App& noun);

}  // namespace nfmeter::cli

#endif  // NFMETER_CLI_USAGE_COLLECT_H_
