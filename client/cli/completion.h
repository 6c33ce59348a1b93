// Completion scripts for shells, made from the commands themselves.
#ifndef NFMETER_CLI_COMPLETION_H_
#define NFMETER_CLI_COMPLETION_H_

#include <string>
#include <vector>

#include "cli/command_tree.h"

namespace nfmeter::cli {

// What completion needs to know of a flag.
struct FlagWords {
  std::vector<std::string> names;  // "--output", "-o"
  bool takes_value = false;
  Candidates values;
  std::string help;
};

// What completion needs to know of a command.
struct CommandWords {
  std::string path;  // "counter create"; empty: the root
  std::string help;
  std::vector<std::string> verbs;  // names of the commands below
  std::vector<FlagWords> flags;
  Candidates positional;
};

// All commands, the root first. The root's flags belong to every command.
std::vector<CommandWords> CollectWords(const CommandTree& tree);

std::string BashCompletion(const std::vector<CommandWords>& commands);
std::string ZshCompletion(const std::vector<CommandWords>& commands);
std::string FishCompletion(const std::vector<CommandWords>& commands);

}  // namespace nfmeter::cli

#endif  // NFMETER_CLI_COMPLETION_H_
