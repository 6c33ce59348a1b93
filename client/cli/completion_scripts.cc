// The scripts. Each finds the command that the line has so far, then offers
// values of the flag before the cursor, flags, verbs or names.
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "cli/completion.h"

namespace nfmeter::cli {
namespace {

std::vector<std::string> FlagNames(const CommandWords& command) {
  std::vector<std::string> names;
  for (const FlagWords& flag : command.flags) {
    names.insert(names.end(), flag.names.begin(), flag.names.end());
  }
  return names;
}

// All flags of all commands that take a value: the word behind one is no
// command.
std::string ValueFlags(const std::vector<CommandWords>& commands) {
  std::vector<std::string> names;
  for (const CommandWords& command : commands) {
    for (const FlagWords& flag : command.flags) {
      if (!flag.takes_value) continue;
      names.insert(names.end(), flag.names.begin(), flag.names.end());
    }
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return absl::StrJoin(names, " ");
}

// A case pattern for each command: "counter create"|"counter get"|...
std::string PathPattern(const std::vector<CommandWords>& commands) {
  std::vector<std::string> paths;
  for (const CommandWords& command : commands) {
    if (!command.path.empty()) {
      paths.push_back(absl::StrCat("\"", command.path, "\""));
    }
  }
  return absl::StrJoin(paths, "|");
}

// What a script calls for values of this kind; bash and zsh have functions of
// the same names.
std::string OfferValues(const Candidates& values) {
  switch (values.kind) {
    case Candidates::kChoices:
      return absl::StrCat("_nfmeter_offer ",
                          absl::StrJoin(values.choices, " "));
    case Candidates::kFiles:
      return "_nfmeter_offer_files";
    case Candidates::kCounters:
      return "_nfmeter_offer $(_nfmeter_ask counter list)";
    case Candidates::kRules:
      return "_nfmeter_offer $(_nfmeter_ask rule list --managed)";
    case Candidates::kNone:
      break;
  }
  return ":";
}

// The case that offers values, by "command flag"; "* flag" for global ones.
std::string ValueCases(const std::vector<CommandWords>& commands) {
  std::string text;
  for (auto it = commands.rbegin(); it != commands.rend(); ++it) {
    for (const FlagWords& flag : it->flags) {
      if (!flag.takes_value) continue;
      const std::string path =
          it->path.empty() ? "*" : absl::StrCat("\"", it->path, "\"");
      absl::StrAppend(
          &text, "    ",
          absl::StrJoin(flag.names, "|",
                        [&](std::string* out, const std::string& name) {
                          absl::StrAppend(out, path, "\" ", name, "\"");
                        }),
          ") ", OfferValues(flag.values), "; return ;;\n");
    }
  }
  return text;
}

// The case that offers flags, by command.
std::string FlagCases(const std::vector<CommandWords>& commands) {
  std::string text;
  for (const CommandWords& command : commands) {
    if (command.path.empty() || command.flags.empty()) continue;
    absl::StrAppend(&text, "      \"", command.path, "\") flags+=(",
                    absl::StrJoin(FlagNames(command), " "), ") ;;\n");
  }
  return text;
}

// The case that offers verbs and names, by command.
std::string WordCases(const std::vector<CommandWords>& commands) {
  std::string text;
  for (const CommandWords& command : commands) {
    const std::string offer =
        command.verbs.empty() ? OfferValues(command.positional)
                              : absl::StrCat("_nfmeter_offer ",
                                             absl::StrJoin(command.verbs, " "));
    if (offer == ":") continue;
    absl::StrAppend(&text, "    \"", command.path, "\") ", offer, " ;;\n");
  }
  return text;
}

// Lines that bash and zsh share: the walk to the command, and the offers.
// They differ in how they count words and hand over what they found.
std::string SharedBody(const std::vector<CommandWords>& commands) {
  return absl::StrReplaceAll(
      R"(  for word in "${before[@]}"; do
    if [[ -n $skip ]]; then skip=""; continue; fi
    case "$word" in
      -*) [[ " $value_flags " == *" $word "* ]] && skip=1; continue ;;
    esac
    case "${command:+$command }$word" in
      PATHS) command="${command:+$command }$word" ;;
    esac
  done
  if [[ $cur == --*=* ]]; then previous=${cur%%=*}; cur=${cur#*=}; fi
  case "$command $previous" in
VALUES  esac
  if [[ $cur == -* ]]; then
    flags=(GLOBALS)
    case "$command" in
FLAGS    esac
    _nfmeter_offer "${flags[@]}"
    return
  fi
  case "$command" in
WORDS  esac
)",
      {{"PATHS", PathPattern(commands)},
       {"VALUES", ValueCases(commands)},
       {"GLOBALS", absl::StrJoin(FlagNames(commands.front()), " ")},
       {"FLAGS", FlagCases(commands)},
       {"WORDS", WordCases(commands)}});
}

// Asks the server that the line names, quickly or not at all.
constexpr char kAsk[] =
    R"(_nfmeter_ask() {
  local word take=""
  local -a at
  for word in "${before[@]}"; do
    if [[ -n $take ]]; then at+=("$word"); take=""; continue; fi
    case "$word" in
      --server|--ca|--cert|--key|--tls-server-name) at+=("$word"); take=1 ;;
      --server=*|--ca=*|--cert=*|--key=*|--insecure) at+=("$word") ;;
    esac
  done
  "$program" "$@" -o name --timeout 2s "${at[@]}" 2>/dev/null
}
)";

std::string QuoteFish(absl::string_view text) {
  return absl::StrCat(
      "'", absl::StrReplaceAll(text, {{"\\", "\\\\"}, {"'", "\\'"}}), "'");
}

std::string FishValues(const Candidates& values) {
  switch (values.kind) {
    case Candidates::kChoices:
      return absl::StrCat(" -x -a ",
                          QuoteFish(absl::StrJoin(values.choices, " ")));
    case Candidates::kFiles:
      return " -r -F";
    case Candidates::kCounters:
      return " -x -a '(__nfmeter_ask counter list)'";
    case Candidates::kRules:
      return " -x -a '(__nfmeter_ask rule list --managed)'";
    case Candidates::kNone:
      break;
  }
  return " -x";
}

std::string FishFlag(const CommandWords& command, const FlagWords& flag) {
  std::string line = "complete -c nfmeter";
  if (!command.path.empty()) {
    absl::StrAppend(&line, " -n '__nfmeter_at ", command.path, "'");
  }
  for (const std::string& name : flag.names) {
    const bool is_long = name.size() > 2;
    absl::StrAppend(&line, is_long ? " -l " : " -s ",
                    name.substr(is_long ? 2 : 1));
  }
  if (flag.takes_value) absl::StrAppend(&line, FishValues(flag.values));
  return absl::StrCat(line, " -d ", QuoteFish(flag.help), "\n");
}

}  // namespace

std::string BashCompletion(const std::vector<CommandWords>& commands) {
  return absl::StrCat(
      R"(# bash completion for nfmeter: source <(nfmeter completion bash)

# Offers its arguments that begin with the word at the cursor. Bash replaces
# that word only from the last ':' on.
_nfmeter_offer() {
  local IFS=$'\n' head=""
  if [[ $cur == *:* && $COMP_WORDBREAKS == *:* ]]; then head=${cur%"${cur##*:}"}; fi
  COMPREPLY=($(compgen -W "$*" -- "$cur"))
  COMPREPLY=("${COMPREPLY[@]#"$head"}")
}

_nfmeter_offer_files() {
  local IFS=$'\n'
  compopt -o filenames 2>/dev/null
  COMPREPLY=($(compgen -f -- "$cur"))
}

)",
      kAsk,
      R"(
_nfmeter() {
  local line=${COMP_LINE:0:COMP_POINT} cur previous="" command="" word skip=""
  local program=${COMP_WORDS[0]} value_flags=")",
      ValueFlags(commands), R"("
  local -a words before flags
  COMPREPLY=()
  read -ra words <<<"$line"
  [[ $line == *[[:space:]] ]] && words+=("")
  cur=${words[${#words[@]} - 1]}
  before=("${words[@]:1:${#words[@]} - 2}")
  if ((${#before[@]})); then previous=${before[${#before[@]} - 1]}; fi
)",
      SharedBody(commands), R"(}

complete -F _nfmeter nfmeter
)");
}

std::string ZshCompletion(const std::vector<CommandWords>& commands) {
  return absl::StrCat(
      R"(#compdef nfmeter
# zsh completion for nfmeter: source <(nfmeter completion zsh)

_nfmeter_offer() { [[ $# -gt 0 ]] && compadd -- "$@" }

_nfmeter_offer_files() { _files }

)",
      kAsk,
      R"(
_nfmeter() {
  local cur=${words[CURRENT]} previous="" command="" word skip=""
  local program=${words[1]} value_flags=")",
      ValueFlags(commands), R"("
  local -a before flags
  before=("${(@)words[2,CURRENT-1]}")
  previous=${words[CURRENT-1]}
  [[ $cur == --*=* ]] && compset -P '*='
)",
      SharedBody(commands), R"(}

if [[ ${funcstack[1]} == _nfmeter ]]; then
  _nfmeter "$@"
else
  compdef _nfmeter nfmeter
fi
)");
}

std::string FishCompletion(const std::vector<CommandWords>& commands) {
  std::string text = absl::StrReplaceAll(
      R"(# fish completion for nfmeter: nfmeter completion fish | source

# The command that the line has so far.
function __nfmeter_command
    set -l command
    set -l skip 0
    for word in (commandline -opc)[2..-1]
        if test $skip = 1
            set skip 0
        else if string match -q -- '-*' $word
            if contains -- $word VALUE_FLAGS
                set skip 1
            end
        else if contains -- (string join ' ' $command $word) PATHS
            set -a command $word
        end
    end
    string join ' ' $command
end

function __nfmeter_at
    set -l command (__nfmeter_command)
    test "$command" = "$argv"
end

# Asks the server that the line names, quickly or not at all.
function __nfmeter_ask
    set -l at
    set -l take 0
    for word in (commandline -opc)[2..-1]
        if test $take = 1
            set -a at $word
            set take 0
        else if contains -- $word --server --ca --cert --key --tls-server-name
            set -a at $word
            set take 1
        else if string match -qr -- '^--(server|ca|cert|key)=|^--insecure$' $word
            set -a at $word
        end
    end
    set -l program (commandline -opc)[1]
    $program $argv -o name --timeout 2s $at 2>/dev/null
end

complete -c nfmeter -f
)",
      {{"VALUE_FLAGS", ValueFlags(commands)},
       {"PATHS", absl::StrReplaceAll(PathPattern(commands), {{"|", " "}})}});
  for (const CommandWords& command : commands) {
    for (const FlagWords& flag : command.flags) {
      absl::StrAppend(&text, FishFlag(command, flag));
    }
    const std::string at = absl::StrCat("complete -c nfmeter -n '__nfmeter_at ",
                                        command.path, "'");
    for (const std::string& verb : command.verbs) {
      const std::string path =
          absl::StrCat(command.path, command.path.empty() ? "" : " ", verb);
      for (const CommandWords& child : commands) {
        if (child.path != path) continue;
        absl::StrAppend(&text, at, " -a ", verb, " -d ", QuoteFish(child.help),
                        "\n");
      }
    }
    if (command.positional.kind != Candidates::kNone) {
      // Positional values are arguments of no flag: -a without -x.
      std::string values = FishValues(command.positional);
      absl::StrAppend(&text, at, values.substr(3), "\n");
    }
  }
  return text;
}

}  // namespace nfmeter::cli
