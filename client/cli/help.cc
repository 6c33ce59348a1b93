// SPDX-License-Identifier: Apache-2.0
// How help looks.
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "cli/command_tree.h"
#include "cli/errors.h"
#include "cli/table.h"

namespace nfmeter::cli {
namespace {

constexpr size_t kWidth = 80;
constexpr size_t kHelpColumn = 28;

// "  -o, --output FORMAT" and its explanation beside or below it.
std::string Entry(absl::string_view left, absl::string_view help) {
  std::string text = absl::StrCat("  ", left);
  if (text.size() + 2 > kHelpColumn) {
    absl::StrAppend(&text, "\n", std::string(kHelpColumn, ' '));
  } else {
    text.resize(kHelpColumn, ' ');
  }
  return absl::StrCat(text, Wrap(help, kHelpColumn, kWidth - kHelpColumn),
                      "\n");
}

// "-p, --protocol NAME": one short and one long name; the others are for
// those who know them.
std::string FlagNames(const CLI::Option& option) {
  std::vector<std::string> names;
  if (!option.get_snames().empty()) {
    names.push_back("-" + option.get_snames().front());
  }
  if (!option.get_lnames().empty()) {
    names.push_back("--" + option.get_lnames().front());
  }
  std::string text = absl::StrJoin(names, ", ");
  if (!option.get_option_text().empty()) {
    absl::StrAppend(&text, " ", option.get_option_text());
  }
  return text;
}

// Of global flags, its variable too; those of a command are said once.
std::string FlagHelp(const CLI::App& command, const CLI::Option& option) {
  std::string help = option.get_description();
  if (command.get_parent() == nullptr && !option.get_envname().empty()) {
    absl::StrAppend(&help, " (environment: ", option.get_envname(), ")");
  }
  if (option.get_required()) absl::StrAppend(&help, " (required)");
  return help;
}

std::string PositionalName(const CLI::Option& option) {
  std::string name = option.get_name(true, false);
  if (option.get_items_expected_max() > 1) absl::StrAppend(&name, "...");
  return option.get_required() ? name : absl::StrCat("[", name, "]");
}

std::string Usage(const CLI::App& command) {
  std::string text = absl::StrCat("Usage: ", FullName(command));
  if (!command.get_subcommands({}).empty()) {
    return absl::StrCat(text, " COMMAND [flags]\n");
  }
  for (const CLI::Option* option : command.get_options()) {
    if (option->nonpositional() && option->get_required()) {
      absl::StrAppend(&text, " --", option->get_lnames().front(),
                      option->get_option_text().empty() ? "" : " ",
                      option->get_option_text());
    }
  }
  absl::StrAppend(&text, " [flags]");
  for (const CLI::Option* option : command.get_options()) {
    if (option->get_positional()) {
      absl::StrAppend(&text, " ", PositionalName(*option));
    }
  }
  return absl::StrCat(text, "\n");
}

std::string Title(const std::string& group, bool first) {
  if (group != "Options") return group;
  return first ? "Flags" : "Other flags";
}

// Flags by group; those of no group come last.
std::string Flags(const CLI::App& command) {
  std::string text;
  std::vector<std::string> groups = command.get_groups();
  std::stable_partition(
      groups.begin(), groups.end(),
      [](const std::string& group) { return group != "Options"; });
  for (const std::string& group : groups) {
    if (group == kUnlistedGroup) continue;
    std::string entries;
    for (const CLI::Option* option : command.get_options()) {
      if (option->get_group() != group || !option->nonpositional()) continue;
      if (command.get_parent() != nullptr && option == command.get_help_ptr()) {
        continue;
      }
      absl::StrAppend(&entries,
                      Entry(FlagNames(*option), FlagHelp(command, *option)));
    }
    if (entries.empty()) continue;
    absl::StrAppend(&text, "\n", Title(group, text.empty()), ":\n", entries);
  }
  return text;
}

// How a flag stands in the environment, by the first of them.
std::string Variables(const CLI::App& command) {
  for (const CLI::Option* option : command.get_options()) {
    if (!option->nonpositional() || option == command.get_help_ptr() ||
        option->get_lnames().empty() || option->get_group() == kUnlistedGroup) {
      continue;
    }
    return absl::StrCat("In the environment: --", option->get_lnames().front(),
                        " as ", VariableFor(command, *option), ".\n");
  }
  return "";
}

}  // namespace

std::string HelpFormatter::make_help(const CLI::App* command, std::string,
                                     CLI::AppFormatMode) const {
  std::string text =
      absl::StrCat(command->get_description(), "\n\n", Usage(*command));
  std::string arguments;
  for (const CLI::Option* option : command->get_options()) {
    if (!option->get_positional()) continue;
    absl::StrAppend(&arguments, Entry(option->get_name(true, false),
                                      FlagHelp(*command, *option)));
  }
  if (!arguments.empty()) absl::StrAppend(&text, "\nArguments:\n", arguments);
  const auto verbs = command->get_subcommands({});
  if (!verbs.empty()) {
    absl::StrAppend(&text, "\nCommands:\n");
    for (const CLI::App* verb : verbs) {
      if (verb->get_group().empty()) continue;
      absl::StrAppend(&text, Entry(verb->get_name(), verb->get_description()));
    }
  }
  absl::StrAppend(&text, Flags(*command));
  if (!command->get_footer().empty()) {
    absl::StrAppend(&text, "\n", command->get_footer(), "\n");
  }
  if (command->get_parent() != nullptr) {
    absl::StrAppend(&text, "\n", Variables(*command),
                    "'nfmeter --help' shows the flags of all commands: -o, "
                    "--server, --timeout, ...\n");
  }
  return text;
}

void AddHelpCommand(CommandTree& tree) {
  auto words = std::make_shared<std::vector<std::string>>();
  CLI::App* help = tree.AddCommand(
      tree.root(), "help", "Show help for a command",
      R"(The same as --help behind the command.

Examples:
  nfmeter help
  nfmeter help rule add)",
      [&tree, words](Session& session) -> absl::Status {
        const CLI::App* command = &tree.root();
        for (const std::string& word : *words) {
          const auto verbs =
              command->get_subcommands([&word](const CLI::App* verb) {
                return verb->get_name() == word;
              });
          if (verbs.empty()) {
            return UsageError(
                absl::StrCat("'", FullName(*command), "' has no command '",
                             word, "'"),
                absl::StrCat("'", FullName(*command), " --help' lists them"));
          }
          command = verbs.front();
        }
        // help() of the root would be that of this command, which was chosen.
        session.console().out << command->get_formatter()->make_help(
            command, "", CLI::AppFormatMode::Normal);
        return absl::OkStatus();
      });
  tree.MarkLocal(help);
  help->add_option("COMMAND", *words, "a command, in one word or two");
}

}  // namespace nfmeter::cli
