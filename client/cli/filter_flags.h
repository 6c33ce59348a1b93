// SPDX-License-Identifier: Apache-2.0
// Which counters: the flags of all commands that look at several.
#ifndef NFMETER_CLI_FILTER_FLAGS_H_
#define NFMETER_CLI_FILTER_FLAGS_H_

#include "cli/command_tree.h"
#include "nfmeter/v1/counter.pb.h"

namespace nfmeter::cli {

// Adds the argument GLOB and the flags --label and --managed, which fill
// `filter`. It must outlive the parsing.
void AddFilterFlags(CommandTree& tree, CLI::App& command,
                    v1::CounterFilter& filter);

}  // namespace nfmeter::cli

#endif  // NFMETER_CLI_FILTER_FLAGS_H_
