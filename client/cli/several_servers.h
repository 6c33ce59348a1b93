// SPDX-License-Identifier: Apache-2.0
// One command on several servers.
#ifndef NFMETER_CLI_SEVERAL_SERVERS_H_
#define NFMETER_CLI_SEVERAL_SERVERS_H_

#include <string>
#include <utility>
#include <vector>

#include "cli/command_tree.h"

namespace nfmeter::cli {

struct NamedServer {
  std::string context;
  GlobalFlags flags;
};

// Runs `action` on all servers at once; the exit code of the first one that
// failed. Tables and CSV become one, with a column for the context; JSON is an
// object {"context": ..., "answer": ...} for each, YAML a document for each,
// names are CONTEXT/NAME, and sentences have the context in front.
int RunOnSeveral(const std::vector<NamedServer>& servers, const Action& action,
                 Console& console);

}  // namespace nfmeter::cli

#endif  // NFMETER_CLI_SEVERAL_SERVERS_H_
