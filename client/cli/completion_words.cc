// From the commands to words for completion, and the command that prints the
// scripts.
#include <memory>

#include "absl/strings/str_cat.h"
#include "cli/completion.h"

namespace nfmeter::cli {
namespace {

FlagWords Words(const CommandTree& tree, const CLI::Option& option) {
  FlagWords flag;
  for (const std::string& name : option.get_lnames()) {
    flag.names.push_back("--" + name);
  }
  for (const std::string& name : option.get_snames()) {
    flag.names.push_back("-" + name);
  }
  flag.takes_value = option.get_items_expected_max() > 0;
  flag.values = tree.SuggestionsFor(&option);
  flag.help = option.get_description();
  return flag;
}

void Collect(const CommandTree& tree, const CLI::App& command,
             const std::string& path, std::vector<CommandWords>& all) {
  CommandWords words;
  words.path = path;
  words.help = command.get_description();
  const auto verbs = command.get_subcommands({});
  for (const CLI::App* verb : verbs) words.verbs.push_back(verb->get_name());
  for (const CLI::Option* option : command.get_options()) {
    if (option->get_positional()) {
      words.positional = tree.SuggestionsFor(option);
    } else if (path.empty() || option != command.get_help_ptr()) {
      words.flags.push_back(Words(tree, *option));
    }
  }
  all.push_back(std::move(words));
  for (const CLI::App* verb : verbs) {
    Collect(tree, *verb,
            absl::StrCat(path, path.empty() ? "" : " ", verb->get_name()), all);
  }
}

}  // namespace

std::vector<CommandWords> CollectWords(const CommandTree& tree) {
  std::vector<CommandWords> all;
  Collect(tree, tree.root(), "", all);
  return all;
}

void AddCompletionCommand(CommandTree& tree) {
  CLI::App* completion =
      tree.AddNoun("completion", "Print a completion script for a shell");
  const auto add = [&](const std::string& shell, const std::string& example,
                       std::string (*make)(const std::vector<CommandWords>&)) {
    tree.AddCommand(
        *completion, shell, absl::StrCat("Print the script for ", shell),
        absl::StrCat("Names of counters and rules are asked of the server as "
                     "you type.\n\nExamples:\n",
                     example),
        [&tree, make](Session& session) {
          session.console().out << make(CollectWords(tree)) << std::flush;
          return absl::OkStatus();
        });
  };
  add("bash",
      "  source <(nfmeter completion bash)\n"
      "  nfmeter completion bash > /etc/bash_completion.d/nfmeter",
      BashCompletion);
  add("zsh",
      "  source <(nfmeter completion zsh)\n"
      "  nfmeter completion zsh > \"${fpath[1]}/_nfmeter\"",
      ZshCompletion);
  add("fish",
      "  nfmeter completion fish | source\n"
      "  nfmeter completion fish > ~/.config/fish/completions/nfmeter.fish",
      FishCompletion);
}

}  // namespace nfmeter::cli
