// SPDX-License-Identifier: Apache-2.0
// What shells offer while a command line is typed.
//
// The scripts that `nfmeter completion SHELL` prints know nothing of the
// commands: they run `nfmeter __complete WORD...` with the words up to the
// cursor, the last one perhaps empty, and offer what it prints.
#ifndef NFMETER_CLI_COMPLETION_H_
#define NFMETER_CLI_COMPLETION_H_

#include <string>
#include <vector>

#include "cli/command_tree.h"
#include "cli/console.h"

namespace nfmeter::cli {

// The hidden command's name.
inline constexpr char kCompleteCommand[] = "__complete";

// Prints a line for each word that can stand in the place of the last of
// `words`: the word, and behind a tab what it means where that is known; or the
// one line ":files" for any file. Names of counters and rules are asked of the
// server that the line names, for two seconds at most. Never fails: there is
// just nothing to offer.
void Complete(const CommandTree& tree, const std::vector<std::string>& words,
              Console& console);

}  // namespace nfmeter::cli

#endif  // NFMETER_CLI_COMPLETION_H_
