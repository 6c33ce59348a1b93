// SPDX-License-Identifier: Apache-2.0
// What shells offer while a command line is typed.
#include <sstream>

#include "absl/algorithm/container.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "cli/cli.h"
#include "cli/command_tree.h"
#include "proto/words/name_glob.h"

namespace nfmeter::cli {
namespace {

constexpr char kBash[] = R"(# bash completion: source <(nfmeter completion bash)
_nfmeter() {
  local line=${COMP_LINE:0:COMP_POINT} cur head=""
  local -a words reply
  read -ra words <<<"$line"
  [[ $line == *[[:space:]] ]] && words+=("")
  cur=${words[${#words[@]} - 1]}
  local IFS=$'\n'
  reply=($("${COMP_WORDS[0]}" __complete "${words[@]:1}" 2>/dev/null | cut -f1))
  if [[ ${reply[0]} == :files ]]; then
    compopt -o filenames 2>/dev/null
    reply=($(compgen -f -- "${cur#--*=}"))
  fi
  # Bash replaces only what follows the last of these.
  if [[ $cur == *[:=]* ]]; then head=${cur%"${cur##*[:=]}"}; fi
  COMPREPLY=("${reply[@]#"$head"}")
}
complete -F _nfmeter nfmeter
)";

constexpr char kZsh[] = R"(#compdef nfmeter
# zsh completion: source <(nfmeter completion zsh)
_nfmeter() {
  local -a lines reply
  lines=("${(@f)$("${words[1]}" __complete "${(@)words[2,CURRENT]}" 2>/dev/null)}")
  if [[ ${lines[1]} == :files ]]; then
    [[ ${words[CURRENT]} == --*=* ]] && compset -P '*='
    _files
    return
  fi
  reply=("${(@)lines%%$'\t'*}")
  lines=("${(@)lines/$'\t'/  }")
  [[ -n ${reply[1]} ]] && compadd -l -d lines -a reply
}
if [[ ${funcstack[1]} == _nfmeter ]]; then
  _nfmeter "$@"
else
  compdef _nfmeter nfmeter
fi
)";

constexpr char kFish[] = R"(# fish completion: nfmeter completion fish | source
function __nfmeter_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l lines ($words[1] __complete $words[2..-1] "$current" 2>/dev/null)
    if test "$lines[1]" = :files
        __fish_complete_path "$current"
    else
        string join -- \n $lines
    end
end
complete -c nfmeter -f -a '(__nfmeter_complete)'
)";

// Where the cursor stands.
struct Place {
  const CLI::App* command = nullptr;
  // The flag whose value is being typed, or null.
  const CLI::Option* flag = nullptr;
  // Arguments of the command before it.
  size_t arguments = 0;
  // Global flags before it, which say how the server is reached.
  std::vector<std::string> connection;
};

// A flag by one of its names, of the command or of all commands.
const CLI::Option* FindFlag(const CLI::App* command, const std::string& name) {
  for (; command != nullptr; command = command->get_parent()) {
    const CLI::Option* option = command->get_option_no_throw(name);
    if (option != nullptr && option->nonpositional()) return option;
  }
  return nullptr;
}

Place FindPlace(const CLI::App& root, const std::vector<std::string>& words) {
  Place place{.command = &root};
  int values_left = 0;
  bool connects = false;  // the last flag is one of `connection`
  for (const std::string& word : words) {
    if (values_left > 0) {
      --values_left;
    } else if (absl::StartsWith(word, "-")) {
      const std::string name = word.substr(0, word.find('='));
      place.flag = FindFlag(place.command, name);
      connects = absl::c_linear_search(root.get_options(), place.flag) &&
                 name != "-o" && name != "--output" && name != "--timeout";
      if (place.flag != nullptr && name == word) {
        values_left = place.flag->get_items_expected_max();
      }
    } else {
      connects = false;
      const auto verbs = place.command->get_subcommands(
          [&word](const CLI::App* verb) { return verb->get_name() == word; });
      if (verbs.empty()) {
        ++place.arguments;
      } else {
        place.command = verbs.front();
      }
    }
    if (connects) place.connection.push_back(word);
  }
  if (values_left == 0) {
    place.flag = nullptr;
  } else if (connects) {
    place.connection.pop_back();  // the flag that has no value yet
  }
  return place;
}

struct Offer {
  std::string word;
  std::string meaning;
};

std::vector<Offer> ValueOffers(const CommandTree& tree,
                               const CLI::Option* option, const Place& place) {
  const Candidates candidates =
      option == nullptr ? nullptr : tree.SuggestionsFor(option);
  std::vector<Offer> offers;
  if (candidates == nullptr) return offers;
  for (const std::string& word : candidates(place.connection)) {
    offers.push_back({word, ""});
  }
  return offers;
}

std::vector<Offer> FlagOffers(const CLI::App& command) {
  std::vector<Offer> offers;
  for (const CLI::App* app = &command; app != nullptr;
       app = app->get_parent()) {
    for (const CLI::Option* option : app->get_options()) {
      // Each command has a --help of its own.
      if (app != &command && option == app->get_help_ptr()) continue;
      for (const std::string& name : option->get_lnames()) {
        offers.push_back({"--" + name, option->get_description()});
      }
      for (const std::string& name : option->get_snames()) {
        offers.push_back({"-" + name, option->get_description()});
      }
    }
  }
  return offers;
}

// Verbs, or values of the argument whose turn it is.
std::vector<Offer> WordOffers(const CommandTree& tree, const Place& place) {
  std::vector<Offer> offers;
  for (const CLI::App* verb : place.command->get_subcommands({})) {
    offers.push_back({verb->get_name(), verb->get_description()});
  }
  if (!offers.empty()) return offers;
  const CLI::Option* argument = nullptr;
  size_t position = 0;
  for (const CLI::Option* option : place.command->get_options()) {
    // The last one may take all that follow.
    if (!option->get_positional() || position++ > place.arguments) continue;
    argument = option;
  }
  return ValueOffers(tree, argument, place);
}

}  // namespace

Candidates NamesFrom(std::vector<std::string> command) {
  command.insert(command.end(), {"-o", "name", "--timeout", "2s"});
  return [command](std::vector<std::string> connection) {
    connection.insert(connection.begin(), command.begin(), command.end());
    std::istringstream in;
    std::ostringstream out;
    std::ostringstream err;
    Main(connection, {.in = in, .out = out, .err = err});
    std::vector<std::string> names =
        absl::StrSplit(out.str(), '\n', absl::SkipEmpty());
    std::erase_if(names, IsGlob);
    return names;
  };
}

void Complete(const CommandTree& tree, const std::vector<std::string>& words,
              Console& console) {
  if (words.empty()) return;
  const Place place = FindPlace(tree.root(), {words.begin(), words.end() - 1});
  const std::string& current = words.back();
  const size_t equals = current.find('=');
  std::string head;  // of each word that is offered
  std::vector<Offer> offers;
  if (place.flag != nullptr) {
    offers = ValueOffers(tree, place.flag, place);
  } else if (absl::StartsWith(current, "--") && equals != std::string::npos) {
    head = current.substr(0, equals + 1);
    offers = ValueOffers(
        tree, FindFlag(place.command, current.substr(0, equals)), place);
  } else if (absl::StartsWith(current, "-")) {
    offers = FlagOffers(*place.command);
  } else {
    offers = WordOffers(tree, place);
  }
  for (const Offer& offer : offers) {
    const bool files = offer.word == ":files";
    const std::string word = files ? offer.word : head + offer.word;
    if (!files && !absl::StartsWith(word, current)) continue;
    console.out << word;
    if (!offer.meaning.empty()) console.out << "\t" << offer.meaning;
    console.out << "\n";
  }
  console.out.flush();
}

void AddCompletionCommand(CommandTree& tree) {
  CLI::App* completion =
      tree.AddNoun("completion", "Print a completion script for a shell");
  const auto add = [&](const std::string& shell, const std::string& example,
                       const char* script) {
    tree.MarkLocal(tree.AddCommand(
        *completion, shell, absl::StrCat("Print the script for ", shell),
        absl::StrCat("Names of counters, rules and plans are asked of the "
                     "server as you type.\n\nExamples:\n",
                     example),
        [script](Session& session) {
          session.console().out << script << std::flush;
          return absl::OkStatus();
        }));
  };
  add("bash",
      "  source <(nfmeter completion bash)\n"
      "  nfmeter completion bash > /etc/bash_completion.d/nfmeter",
      kBash);
  add("zsh",
      "  source <(nfmeter completion zsh)\n"
      "  nfmeter completion zsh > \"${fpath[1]}/_nfmeter\"",
      kZsh);
  add("fish",
      "  nfmeter completion fish | source\n"
      "  nfmeter completion fish > ~/.config/fish/completions/nfmeter.fish",
      kFish);
}

}  // namespace nfmeter::cli
