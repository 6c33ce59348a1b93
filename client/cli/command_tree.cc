// SPDX-License-Identifier: Apache-2.0
#include "cli/command_tree.h"

#include <cstdlib>

#include "absl/algorithm/container.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "cli/custom_columns.h"
#include "cli/errors.h"
#include "cli/quantity.h"
#include "proto/words/nearest_word.h"
#include "proto/words/quantity_words.h"

namespace nfmeter::cli {
namespace {

constexpr char kRootExamples[] =
    R"(Examples:
  nfmeter counter create http-traffic
  nfmeter rule add --counter http-traffic --chain INPUT -p tcp --sport 80
  nfmeter watch 'http*' --interval 1s
  nfmeter counter reset http-traffic
  nfmeter counter list -o json

Output (-o):
  table  aligned, with units, for people     json  the answer in proto3's JSON
  wide   more columns and plain numbers            mapping; streams: one a line
  csv    stable columns, plain numbers       yaml  the same fields as YAML
  name   names (of rules: ids) alone, one a line
  custom-columns=NAME:.name,LIMIT:.quota.bytes
         fields of your choice, by their names in json

Exit codes, by the code of the gRPC error:
  0  done
  1  another error
  2  wrong usage         INVALID_ARGUMENT, OUT_OF_RANGE
  3  not found           NOT_FOUND
  4  conflict            ALREADY_EXISTS, FAILED_PRECONDITION, ABORTED
  5  not allowed         PERMISSION_DENIED, UNAUTHENTICATED
  6  server not reached  UNAVAILABLE, DEADLINE_EXCEEDED
  7  over a bound        RESOURCE_EXHAUSTED
  8  not supported       UNIMPLEMENTED
Ctrl-C is the normal end of commands that go on, as watch and top do: 0.)";

template <typename Parser>
std::function<std::string(const std::string&)> Checked(Parser parse) {
  return [parse](const std::string& text) -> std::string {
    const auto value = parse(text);
    return value.ok() ? "" : std::string(value.status().message());
  };
}

// Writes `text` as the choice that it is in other letters; else what is wrong.
std::string Pick(const std::vector<std::string>& choices, std::string& text) {
  for (const std::string& choice : choices) {
    if (!absl::EqualsIgnoreCase(choice, text)) continue;
    text = choice;
    return "";
  }
  return absl::StrCat("'", text, "' is none of ", absl::StrJoin(choices, ", "));
}

// The command that the words so far have chosen.
const CLI::App* Innermost(const CLI::App* command) {
  while (!command->get_subcommands().empty()) {
    command = command->get_subcommands().back();
  }
  return command;
}

// Words that could stand where `wrong` stands.
std::string Nearest(const CLI::App* command, const std::string& wrong) {
  std::vector<std::string> words;
  const bool flag = absl::StartsWith(wrong, "-");
  for (const CLI::App* app = command; app != nullptr; app = app->get_parent()) {
    if (flag) {
      for (const CLI::Option* option : app->get_options()) {
        for (const std::string& name : option->get_lnames()) {
          words.push_back("--" + name);
        }
      }
    } else if (app == command) {
      for (const CLI::App* verb : app->get_subcommands({})) {
        words.push_back(verb->get_name());
      }
    }
  }
  // Dashes are alike in all flags.
  const size_t letters =
      wrong.size() - std::min<size_t>(wrong.size(), flag ? 2 : 0);
  return NearestWord(wrong, words, std::max<size_t>(1, letters / 3));
}

// CLI11 counts ("--src: 1 required TEXT missing"); people want to know what to
// write.
std::string ExplainMismatch(const CLI::App& command, absl::string_view what) {
  const std::string flag(what.substr(0, what.find(':')));
  if (absl::StrContains(what, "At Most")) {
    return absl::StrCat(flag, " can be given only once");
  }
  const CLI::Option* option = nullptr;
  for (const CLI::App* app = &command; app != nullptr && option == nullptr;
       app = app->get_parent()) {
    option = app->get_option_no_throw(flag);
  }
  if (option == nullptr) return std::string(what);
  return absl::StrCat(flag, " needs a value: ", flag, " ",
                      option->get_option_text());
}

// From now on the variables of its flags count: CLI11 would look at those of
// all commands, and complain of a value that this one has nothing to do with.
void ReadVariables(CLI::App& command) {
  for (CLI::Option* option : command.get_options()) {
    if (option->nonpositional() && option != command.get_help_ptr()) {
      option->envname(VariableFor(command, *option));
    }
  }
}

std::string Verbs(const CLI::App* command) {
  std::vector<std::string> names;
  for (const CLI::App* verb : command->get_subcommands({})) {
    names.push_back(verb->get_name());
  }
  return absl::StrJoin(names, ", ");
}

}  // namespace

std::string FullName(const CLI::App& command) {
  if (command.get_parent() == nullptr) return command.get_name();
  return absl::StrCat(FullName(*command.get_parent()), " ", command.get_name());
}

std::string VariableFor(const CLI::App& command, const CLI::Option& option) {
  const std::string name = option.get_lnames().empty()
                               ? option.get_name()
                               : option.get_lnames().front();
  return absl::AsciiStrToUpper(absl::StrReplaceAll(
      absl::StrCat(FullName(command), "_", name), {{" ", "_"}, {"-", "_"}}));
}

CommandTree::CommandTree()
    : root_(
          "Counts network traffic: named kernel counters, and the iptables "
          "rules that feed\nthem, on this host or another one.",
          "nfmeter") {
  root_.formatter(std::make_shared<HelpFormatter>());
  root_.set_help_flag("-h,--help", "show help for any command");
  root_.set_version_flag("--version", std::string("nfmeter " NFMETER_VERSION),
                         "print the version of this command");
  root_.require_subcommand(1);
  root_.fallthrough();
  root_.footer(kRootExamples);
  AddGlobalFlags();
}

void CommandTree::AddGlobalFlags() {
  const std::string group = "Global flags";
  AddText(root_, "--server", globals_.server, "ADDR",
          "unix:/path, host:port; default unix:/run/nfmeter/nfmeter.sock")
      ->envname("NFMETER_SERVER")
      ->check([](const std::string& address) {
        return address.empty() ? "the address is empty" : "";
      })
      ->group(group);
  AddText(root_, "--context", globals_.context, "NAME",
          "servers by their names, see 'nfmeter context'; several: a,b")
      ->envname("NFMETER_CONTEXT")
      ->group(group);
  AddOutputFlag()->group(group);
  root_
      .add_flag("--no-headers", globals_.no_headers,
                "tables and csv without their headings")
      ->envname("NFMETER_NO_HEADERS")
      ->group(group);
  AddDuration(root_, "--timeout", globals_.timeout,
              "longest wait for one answer; default 30s, and more for large "
              "batches")
      ->envname("NFMETER_TIMEOUT")
      ->group(group);
  const auto add_file = [&](const std::string& name, std::string& value,
                            const std::string& variable,
                            const std::string& help) {
    AddFile(*this, root_, name, value, help)
        ->envname(variable)
        ->group("Transport security");
  };
  add_file("--ca", globals_.ca_file, "NFMETER_CA",
           "authorities of the server's certificate; turns TLS on");
  add_file("--cert", globals_.certificate_file, "NFMETER_CERT",
           "this client's certificate chain");
  add_file("--key", globals_.key_file, "NFMETER_KEY", "its private key");
  AddText(root_, "--tls-server-name", globals_.server_name, "NAME",
          "name in the server's certificate; default: the host in --server")
      ->envname("NFMETER_TLS_SERVER_NAME")
      ->group("Transport security");
  root_
      .add_flag("--insecure", globals_.insecure,
                "no TLS, to any address: anybody on the way can read and "
                "change everything")
      ->envname("NFMETER_INSECURE")
      ->group("Transport security");
  AddChoice(*this, root_, "--color", globals_.color,
            {"auto", "always", "never"},
            "auto: on terminals, unless NO_COLOR is set")
      ->envname("NFMETER_COLOR")
      ->group(group);
  root_.add_flag("--no-color", globals_.no_color, "the same as --color never")
      ->group(group);
}

CLI::Option* CommandTree::AddOutputFlag() {
  std::vector<std::string> forms = {"table", "wide", "json",
                                    "yaml",  "csv",  "name"};
  CLI::Option* option =
      root_
          .add_option("-o,--output", globals_.format,
                      "how answers are printed, see below")
          ->envname("NFMETER_OUTPUT")
          ->option_text("FORM")
          ->transform(CLI::Validator(
              [forms](std::string& text) -> std::string {
                absl::string_view columns = text;
                if (!absl::ConsumePrefix(&columns, kCustomColumns)) {
                  const std::string wrong = Pick(forms, text);
                  return wrong.empty()
                             ? wrong
                             : absl::StrCat(wrong,
                                            ", custom-columns=NAME:.name,...");
                }
                return std::string(
                    ParseCustomColumns(columns).status().message());
              },
              ""));
  forms.push_back(kCustomColumns);
  Suggest(option, Choices(std::move(forms)));
  return option;
}

CLI::App* CommandTree::AddNoun(const std::string& name,
                               const std::string& summary) {
  CLI::App* noun = root_.add_subcommand(name, summary);
  noun->group("Commands");
  noun->require_subcommand(1);
  // CLI11 would have it inherit what ends the help of them all.
  noun->footer(absl::StrCat("'", FullName(*noun),
                            " COMMAND --help' shows its flags and examples."));
  return noun;
}

CLI::App* CommandTree::AddCommand(CLI::App& parent, const std::string& name,
                                  const std::string& summary,
                                  const std::string& examples, Action action) {
  CLI::App* command = parent.add_subcommand(name, summary);
  command->group("Commands");
  command->footer(examples);
  command->preparse_callback([command](size_t) { ReadVariables(*command); });
  actions_[command] = std::move(action);
  return command;
}

CommandTree::ErrorReport CommandTree::error_report() const {
  const auto it = reports_.find(Innermost(&root_));
  return it == reports_.end() ? nullptr : it->second;
}

void CommandTree::Suggest(const CLI::Option* option, Candidates candidates) {
  suggestions_[option] = std::move(candidates);
}

Candidates CommandTree::SuggestionsFor(const CLI::Option* option) const {
  const auto it = suggestions_.find(option);
  return it == suggestions_.end() ? nullptr : it->second;
}

bool CommandTree::IsGiven(absl::string_view flag) const {
  return absl::c_any_of(arguments_, [flag](absl::string_view word) {
    return word.substr(0, word.find('=')) == flag;
  });
}

absl::StatusOr<Invocation> CommandTree::Parse(
    std::vector<std::string> arguments) {
  arguments_ = arguments;
  // CLI11 wants them last first.
  std::reverse(arguments.begin(), arguments.end());
  try {
    root_.parse(std::move(arguments));
  } catch (const CLI::CallForHelp& asked) {
    const CLI::App* command = Innermost(&root_);
    // "nfmeter typo --help": the help that is shown would not be the typo's.
    const bool is_noun = !command->get_subcommands({}).empty();
    if (is_noun && !root_.remaining(true).empty()) return Explain(asked);
    return Invocation{.text = command->help()};
  } catch (const CLI::CallForVersion&) {
    return Invocation{.text = "nfmeter " NFMETER_VERSION "\n"};
  } catch (const CLI::ParseError& error) {
    return Explain(error);
  }
  const CLI::App* command = Innermost(&root_);
  return Invocation{.action = actions_.at(command),
                    .local = local_.count(command) > 0};
}

// Says which variables have set the flags that `error` names: nobody looks for
// them there.
std::string CommandTree::Blame(const CLI::ParseError& error) const {
  std::string blame;
  for (const CLI::App* app = Innermost(&root_); app != nullptr;
       app = app->get_parent()) {
    for (const CLI::Option* option : app->get_options()) {
      const std::string& variable = option->get_envname();
      if (variable.empty() || option->get_lnames().empty()) continue;
      const char* const value = std::getenv(variable.c_str());
      const std::string flag = "--" + option->get_lnames().front();
      if (value == nullptr || *value == '\0' ||
          !absl::StrContains(error.what(), flag) || IsGiven(flag)) {
        continue;
      }
      absl::StrAppend(&blame, " (", flag, " is from ", variable, "=", value,
                      " in the environment)");
    }
  }
  return blame;
}

absl::Status CommandTree::Explain(const CLI::ParseError& error) const {
  const CLI::App* command = Innermost(&root_);
  const std::string name = FullName(*command);
  const std::string more = absl::StrCat("'", name, " --help' shows its flags");
  const std::string explanations =
      absl::StrCat("'", name, " --help' explains them");
  const bool is_noun = !command->get_subcommands({}).empty();
  const std::vector<std::string> extras = root_.remaining(true);
  if (!extras.empty()) {
    const std::string& wrong = extras.front();
    const std::string nearest = Nearest(command, wrong);
    const std::string hint =
        nearest.empty() ? more : absl::StrCat("did you mean ", nearest, "?");
    if (is_noun && !absl::StartsWith(wrong, "-")) {
      return UsageError(absl::StrCat("'", name, "' has no command '", wrong,
                                     "'; it has ", Verbs(command)),
                        nearest.empty() ? explanations : hint);
    }
    return UsageError(absl::StrCat("'", name, "' does not take '", wrong, "'"),
                      hint);
  }
  if (is_noun && dynamic_cast<const CLI::RequiredError*>(&error) != nullptr) {
    return UsageError(
        absl::StrCat("'", name, "' needs a command: ", Verbs(command)),
        explanations);
  }
  if (dynamic_cast<const CLI::RequiredError*>(&error) != nullptr) {
    return UsageError(absl::StrCat("'", name, "': ", error.what()), more);
  }
  if (dynamic_cast<const CLI::ArgumentMismatch*>(&error) != nullptr) {
    return UsageError(ExplainMismatch(*command, error.what()), more);
  }
  return UsageError(absl::StrCat(error.what(), Blame(error)), more);
}

Candidates Choices(std::vector<std::string> words) {
  return [words = std::move(words)](const auto&) { return words; };
}

Candidates Files() { return Choices({":files"}); }

CLI::Option* AddChoice(CommandTree& tree, CLI::App& command,
                       const std::string& names, std::string& value,
                       const std::vector<std::string>& choices,
                       const std::string& help) {
  CLI::Option* option =
      command.add_option(names, value, help)
          ->option_text(absl::StrJoin(choices, "|"))
          ->transform(CLI::Validator(
              [choices](std::string& text) { return Pick(choices, text); },
              ""));
  tree.Suggest(option, Choices(choices));
  return option;
}

CLI::Option* AddText(CLI::App& command, const std::string& names,
                     std::string& value, const std::string& what,
                     const std::string& help) {
  return command.add_option(names, value, help)->option_text(what);
}

CLI::Option* AddFile(CommandTree& tree, CLI::App& command,
                     const std::string& names, std::string& path,
                     const std::string& help) {
  CLI::Option* option = AddText(command, names, path, "FILE", help);
  tree.Suggest(option, Files());
  return option;
}

CLI::Option* AddDuration(CLI::App& command, const std::string& names,
                         std::string& value, const std::string& help) {
  return AddText(command, names, value, "TIME", help)
      ->check(Checked(ParseDuration));
}

CLI::Option* AddCount(CLI::App& command, const std::string& names,
                      std::string& value, const std::string& help) {
  return AddText(command, names, value, "N", help)->check(Checked(ParseCount));
}

CLI::Option* AddBytes(CLI::App& command, const std::string& names,
                      std::string& value, const std::string& help) {
  return AddText(command, names, value, "SIZE", help)
      ->check(Checked(ParseBytes));
}

CLI::Option* AddNumber(CLI::App& command, const std::string& names,
                       size_t& value, const std::string& help) {
  return command.add_option(names, value, help)
      ->option_text("N")
      ->check([](const std::string& text) -> std::string {
        uint64_t number = 0;
        if (absl::SimpleAtoi(text, &number)) return "";
        return absl::StrCat("'", text,
                            "' is not a whole number from 0 to 2^64 - 1");
      });
}

CLI::Option* Repeatable(CLI::Option* option, const std::string& what) {
  return option->option_text(what)
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->allow_extra_args(false);
}

CLI::Option* AddLabels(CLI::App& command,
                       std::map<std::string, std::string>& labels,
                       const std::string& help) {
  const auto put = [&labels](const std::vector<std::string>& pairs) {
    for (const std::string& pair : pairs) {
      const std::pair<std::string, std::string> parts =
          absl::StrSplit(pair, absl::MaxSplits('=', 1));
      if (!absl::StrContains(pair, '=') || parts.first.empty()) {
        throw CLI::ValidationError(
            "--label", absl::StrCat("'", pair, "' is not KEY=VALUE"));
      }
      if (!labels.insert(parts).second) {
        throw CLI::ValidationError(
            "--label", absl::StrCat("'", parts.first, "' is given twice"));
      }
    }
  };
  return Repeatable(command.add_option_function<std::vector<std::string>>(
                        "--label,-l", put, help),
                    "KEY=VALUE");
}

void AddChangeFlags(CLI::App& command, std::string& request_id,
                    bool& validate_only) {
  command.add_flag("--validate-only", validate_only,
                   "check everything, change nothing");
  AddText(command, "--request-id", request_id, "ID",
          "a repeated command with the same ID changes nothing more "
          "and answers as the first one did");
}

}  // namespace nfmeter::cli
