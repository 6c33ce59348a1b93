// SPDX-License-Identifier: Apache-2.0
// The commands with their flags, and how a command line becomes one of them.
#ifndef NFMETER_CLI_COMMAND_TREE_H_
#define NFMETER_CLI_COMMAND_TREE_H_

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "cli/console.h"
#include "cli/session.h"

namespace nfmeter::cli {

// What a command does once its flags are read.
using Action = std::function<absl::Status(Session&)>;

// What a shell may offer for a value, or the one word ":files". `connection`
// are the global flags of the line, which say how the server is reached.
using Candidates = std::function<std::vector<std::string>(
    const std::vector<std::string>& connection)>;

// What a command line asks for.
struct Invocation {
  Action action;
  bool local = false;  // see CommandTree::MarkLocal
  // Instead of an action: text to print, for --help and --version.
  std::string text;
};

// Owns the CLI11 tree. Not thread-safe. Parses once.
class CommandTree {
 public:
  // With the global flags and no commands.
  CommandTree();
  CommandTree(const CommandTree&) = delete;
  CommandTree& operator=(const CommandTree&) = delete;

  const GlobalFlags& globals() const { return globals_; }
  CLI::App& root() { return root_; }
  const CLI::App& root() const { return root_; }

  // A noun: a command that is followed by a verb. Owned by the tree.
  CLI::App* AddNoun(const std::string& name, const std::string& summary);
  // A verb below `parent` (root() for commands of one word). `examples` are
  // lines for the end of its help.
  CLI::App* AddCommand(CLI::App& parent, const std::string& name,
                       const std::string& summary, const std::string& examples,
                       Action action);
  // The same for an action with flags, which the tree keeps; with them.
  template <typename Flags>
  std::pair<CLI::App*, Flags*> AddCommand(
      CLI::App& parent, const std::string& name, const std::string& summary,
      const std::string& examples,
      absl::Status (*action)(Session&, const Flags&)) {
    auto flags = std::make_shared<Flags>();
    CLI::App* const command = AddCommand(
        parent, name, summary, examples,
        [flags, action](Session& session) { return action(session, *flags); });
    return {command, flags.get()};
  }
  // It asks no server, so --context says nothing to it.
  void MarkLocal(const CLI::App* command) { local_.insert(command); }
  // Its errors, those of its command line too, are told by `report`, which
  // returns the exit code.
  using ErrorReport = int (*)(Console& console, const absl::Status& error);
  void ReportErrorsBy(const CLI::App* command, ErrorReport report) {
    reports_[command] = report;
  }
  // That of the command that was parsed, also if it was wrong; null: the usual.
  ErrorReport error_report() const;
  // What shells offer for values of this option or positional.
  void Suggest(const CLI::Option* option, Candidates candidates);
  // Null: nothing.
  Candidates SuggestionsFor(const CLI::Option* option) const;

  // Whether the command line that was parsed has this flag, "--server"; what
  // stands in the environment is not in it.
  bool IsGiven(absl::string_view flag) const;

  // `arguments` without the program's name. INVALID_ARGUMENT says what is
  // wrong, with a hint where to read more.
  absl::StatusOr<Invocation> Parse(std::vector<std::string> arguments);

 private:
  void AddGlobalFlags();
  CLI::Option* AddOutputFlag();
  absl::Status Explain(const CLI::ParseError& error) const;
  std::string Blame(const CLI::ParseError& error) const;

  CLI::App root_;
  GlobalFlags globals_;
  std::map<const CLI::App*, Action> actions_;
  std::set<const CLI::App*> local_;
  std::map<const CLI::App*, ErrorReport> reports_;
  std::map<const CLI::Option*, Candidates> suggestions_;
  std::vector<std::string> arguments_;  // being parsed
};

// "nfmeter rule add"
std::string FullName(const CLI::App& command);
// Where a flag of this command may stand in the environment:
// "NFMETER_RULE_ADD_DRY_RUN". Global flags have shorter ones of their own.
std::string VariableFor(const CLI::App& command, const CLI::Option& option);

// For CommandTree::Suggest: these words; any file; the names that `command`,
// {"counter", "list"}, prints, without those that look like globs, which would
// stand for others, too.
Candidates Choices(std::vector<std::string> words);
Candidates Files();
Candidates NamesFrom(std::vector<std::string> command);

// An argument that must be given.
template <typename Value>
void AddArgument(CommandTree& tree, CLI::App& command, const std::string& name,
                 Value& value, const std::string& help, Candidates candidates) {
  tree.Suggest(command.add_option(name, value, help)->required(),
               std::move(candidates));
}

// An option for one of `choices`: checked, shown in help, completed.
CLI::Option* AddChoice(CommandTree& tree, CLI::App& command,
                       const std::string& names, std::string& value,
                       const std::vector<std::string>& choices,
                       const std::string& help);
// An option that help shows with `what` for its value: --id ID.
CLI::Option* AddText(CLI::App& command, const std::string& names,
                     std::string& value, const std::string& what,
                     const std::string& help);
// One for a file, whose name is completed.
CLI::Option* AddFile(CommandTree& tree, CLI::App& command,
                     const std::string& names, std::string& path,
                     const std::string& help);
// Options for a time, a number, a number of bytes: checked when parsed.
CLI::Option* AddDuration(CLI::App& command, const std::string& names,
                         std::string& value, const std::string& help);
CLI::Option* AddCount(CLI::App& command, const std::string& names,
                      std::string& value, const std::string& help);
CLI::Option* AddBytes(CLI::App& command, const std::string& names,
                      std::string& value, const std::string& help);
// A plain whole number, for -n 3 and the like.
CLI::Option* AddNumber(CLI::App& command, const std::string& names,
                       size_t& value, const std::string& help);
// Makes it one that may be given again and again, with one value each time.
CLI::Option* Repeatable(CLI::Option* option, const std::string& what);
// --label KEY=VALUE, as often as wanted.
CLI::Option* AddLabels(CLI::App& command,
                       std::map<std::string, std::string>& labels,
                       const std::string& help);
// --validate-only and --request-id, of commands that change something.
void AddChangeFlags(CLI::App& command, std::string& request_id,
                    bool& validate_only);

// --- Help

// Flags that work but that help does not list one by one. (CLI11 forgets the
// names of those without a group.)
inline constexpr char kUnlistedGroup[] = "Unlisted";

// What it does, how it is written, its flags, examples; 80 columns wide. Flags
// that have a --not- form show it beside them.
class HelpFormatter : public CLI::FormatterBase {
 public:
  std::string make_help(const CLI::App* command, std::string name,
                        CLI::AppFormatMode mode) const override;
};

// --- Completion
//
// What shells offer while a command line is typed.
//
// The scripts that `nfmeter completion SHELL` prints know nothing of the
// commands: they run `nfmeter __complete WORD...` with the words up to the
// cursor, the last one perhaps empty, and offer what it prints.

// The hidden command's name.
inline constexpr char kCompleteCommand[] = "__complete";

// Prints a line for each word that can stand in the place of the last of
// `words`: the word, and behind a tab what it means where that is known; or the
// one line ":files" for any file. Names of counters and rules are asked of the
// server that the line names, for two seconds at most. Never fails: there is
// just nothing to offer.
void Complete(const CommandTree& tree, const std::vector<std::string>& words,
              Console& console);

// --- The commands, one file each.

void AddCounterCommands(CommandTree& tree);
void AddRuleCommands(CommandTree& tree);
void AddPlanCommands(CommandTree& tree);
void AddPlanStatusCommands(CommandTree& tree, CLI::App& plan);
void AddCleanupCommand(CommandTree& tree);
void AddWatchCommands(CommandTree& tree);
void AddQuotaCommands(CommandTree& tree);
void AddFlowCommands(CommandTree& tree);
void AddUsageCommands(CommandTree& tree);
void AddCollectCommand(CommandTree& tree, CLI::App& usage);
void AddWaitCommands(CommandTree& tree);
void AddCheckCommand(CommandTree& tree);
void AddNodeCommands(CommandTree& tree);
void AddContextCommands(CommandTree& tree);
void AddExplainCommand(CommandTree& tree);
void AddHelpCommand(CommandTree& tree);
void AddCompletionCommand(CommandTree& tree);

}  // namespace nfmeter::cli

#endif  // NFMETER_CLI_COMMAND_TREE_H_
