// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/command_line.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <deque>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "app/config_file.h"
#include "app/exit_code.h"
#include "app/options.h"
#include "base/status_macros.h"
#include "base/suggestion.h"

namespace nfmeter::app {
namespace {

// Help of 80 columns: names, then what they are for and their default.
class HelpFormatter : public CLI::Formatter {
 public:
  std::string make_option(const CLI::Option* option,
                          bool /*is_positional*/) const override {
    std::vector<std::string> names;
    for (const std::string& name : option->get_snames()) {
      names.push_back(absl::StrCat("-", name));
    }
    for (const std::string& name : option->get_lnames()) {
      names.push_back(absl::StrCat("--", name));
    }
    std::string text = absl::StrCat("  ", absl::StrJoin(names, ", "));
    if (!option->get_type_name().empty()) {
      absl::StrAppend(&text, " ", option->get_type_name());
    }
    text.append("\n");
    std::string about = option->get_description();
    if (!option->get_default_str().empty()) {
      absl::StrAppend(&about, " (default: ", option->get_default_str(), ")");
    }
    constexpr char kIndent[] = "       ";
    std::string line = kIndent;
    for (const absl::string_view word : absl::StrSplit(about, ' ')) {
      if (line.size() + 1 + word.size() > 80) {
        absl::StrAppend(&text, line, "\n");
        line = kIndent;
      }
      absl::StrAppend(&line, " ", word);
    }
    return absl::StrCat(text, line, "\n");
  }
};

// The program's flags and where CLI11 puts what it finds.
struct Flags {
  CLI::App app{
      "nfmeterd: network accounting over gRPC, from the kernel's nfacct "
      "objects and iptables rules",
      "nfmeterd"};
  std::string config_file;
  bool check_config = false;
  std::string check_policy;
  bool check_state = false;
  std::string backup;
  bool restore_objects = false;
  std::string migrate_backend;
  std::vector<std::string> listeners;
  std::string socket_mode;
  std::string socket_group;
  std::string socket_role;
  std::string socket_flows;
  struct Value {
    const Option* option;
    CLI::Option* flag;
    std::string text;
    bool on = false;
  };
  std::deque<Value> values;  // CLI11 keeps pointers into it
};

const char* GroupOf(const Option& option) {
  if (absl::StartsWith(option.key, "tls.") ||
      option.key == "insecure_loopback") {
    return "Listeners";
  }
  return absl::StartsWith(option.key, "limits.") ? "Limits" : "Server";
}

void AddListenerFlags(Flags& flags) {
  flags.app
      .add_option("--listen", flags.listeners,
                  "where to listen: unix:/PATH, or tcp:HOST:PORT with mutual "
                  "TLS; may be given several times, and replaces the file's "
                  "list")
      ->type_name("ADDRESS")
      ->default_str(DefaultListener().address.ToString())
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->group("Listeners");
  const auto add = [&](const char* name, std::string& text, const char* help,
                       const char* type) {
    return flags.app.add_option(name, text, help)
        ->type_name(type)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeLast)
        ->group("Listeners");
  };
  add("--socket-mode", flags.socket_mode, "mode of all unix sockets", "MODE")
      ->default_str("0660");
  add("--socket-group", flags.socket_group,
      "group of all unix sockets, by name or number", "GROUP");
  add("--socket-role", flags.socket_role,
      "the role of callers on unix sockets and insecure loopback",
      "viewer|operator|admin|none")
      ->default_str("admin");
  add("--socket-flows", flags.socket_flows,
      "what these callers may see of flows, which say who talks to whom; no "
      "role includes it",
      "none|summary|full")
      ->default_str("none");
}

void AddFlags(Flags& flags) {
  CLI::App& app = flags.app;
  app.formatter(std::make_shared<HelpFormatter>());
  app.footer(kExitCodesHelp);
  app.set_help_flag("-h,--help", "print this and end");
  app.set_version_flag("--version", "nfmeterd " NFMETER_VERSION,
                       "print the version and end");
  app.add_option("--config", flags.config_file,
                 "YAML file with the same options; flags win over it")
      ->type_name("FILE")
      ->default_str(absl::StrCat(kDefaultConfigFile, ", if it is there"));
  app.add_flag("--check-config", flags.check_config,
               "say whether file and flags are right, and end");
  app.add_option("--check-policy", flags.check_policy,
                 "say whether a policy is right and who gets what by it, and "
                 "end")
      ->type_name("FILE");
  app.add_flag("--check-state", flags.check_state,
               "read the whole ledger in the state directory, say whether it "
               "is sound, and end; a server may use it meanwhile");
  app.add_option("--backup", flags.backup,
                 "copy the ledger in the state directory as it is now, also "
                 "while a server uses it, and end")
      ->type_name("FILE");
  app.add_flag("--restore-objects", flags.restore_objects,
               "make the counters that a saved firewall may name, as after a "
               "boot, and end");
  app.add_option("--migrate-backend", flags.migrate_backend,
                 "move counters and rules from the other backend to this one "
                 "while no nfmeterd runs, and end")
      ->type_name("iptables|nftables");
  AddListenerFlags(flags);
  for (const Option& option : AllOptions()) {
    Flags::Value& value = flags.values.emplace_back();
    value.option = &option;
    if (option.is_switch()) {
      value.flag = app.add_flag(
          absl::StrCat(option.flag, ",!--no-", option.flag.substr(2)), value.on,
          option.help);
    } else {
      value.flag = app.add_option(option.flag, value.text, option.help)
                       ->type_name(option.value);
    }
    value.flag->default_str(option.default_text)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeLast)
        ->group(GroupOf(option));
  }
}

absl::Status Wrong(absl::string_view flag, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(flag, ": ", what));
}

absl::Status ExplainParseError(const CLI::App& app,
                               const CLI::ParseError& error) {
  const std::vector<std::string> extra = app.remaining();
  if (dynamic_cast<const CLI::ConversionError*>(&error) != nullptr) {
    // Of what is left to CLI11 only switches are converted:
    // "Could not convert: --reflection = maybe".
    const std::vector<std::string> parts =
        absl::StrSplit(error.what(), absl::MaxSplits(" = ", 1));
    const std::string flag = parts[0].substr(parts[0].rfind(' ') + 1);
    return Wrong(flag, absl::StrCat("must be true or false, not '",
                                    parts.size() > 1 ? parts[1] : "", "'"));
  }
  if (extra.empty()) return absl::InvalidArgumentError(error.what());
  if (!absl::StartsWith(extra[0], "-")) {
    return absl::InvalidArgumentError(
        absl::StrCat("unexpected argument '", extra[0],
                     "'; all options are flags, see --help"));
  }
  std::vector<std::string> known = {"--help", "--version"};
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) {
      known.push_back(absl::StrCat("--", name));
    }
  }
  const std::string word = extra[0].substr(0, extra[0].find('='));
  std::string suggestion = Suggestion(word, known);
  if (!absl::StrContains(suggestion, "did you mean")) {
    suggestion = "; see --help";
  }
  return absl::InvalidArgumentError(
      absl::StrCat("unknown flag '", word, "'", suggestion));
}

// Sets `value` if the flag was given.
template <typename T>
absl::Status TakeFlag(const Flags& flags, const char* flag,
                      const absl::StatusOr<T>& parsed,
                      std::optional<T>& value) {
  if (flags.app.count(flag) == 0) return absl::OkStatus();
  if (!parsed.ok()) return Wrong(flag, parsed.status().message());
  value = *parsed;
  return absl::OkStatus();
}

absl::Status ApplyListeners(const Flags& flags, Config& config) {
  std::vector<security::ListenerOptions>& listeners = config.listen.listeners;
  if (!flags.listeners.empty()) listeners.clear();
  for (const std::string& text : flags.listeners) {
    auto address = security::ParseListenAddress(text);
    if (!address.ok()) return Wrong("--listen", address.status().message());
    listeners.push_back({.address = *std::move(address)});
  }
  if (listeners.empty()) listeners.push_back(DefaultListener());
  std::optional<mode_t> mode;
  NFM_RETURN_IF_ERROR(
      TakeFlag(flags, "--socket-mode", ParseMode(flags.socket_mode), mode));
  std::optional<security::Role> role;
  NFM_RETURN_IF_ERROR(TakeFlag(flags, "--socket-role",
                               ParseListenerRole(flags.socket_role), role));
  std::optional<security::FlowAccess> flows;
  NFM_RETURN_IF_ERROR(TakeFlag(flags, "--socket-flows",
                               ParseListenerFlows(flags.socket_flows), flows));
  for (security::ListenerOptions& each : listeners) {
    const bool is_unix =
        each.address.kind == security::ListenAddress::Kind::kUnix;
    if (role.has_value() && (is_unix || !config.listen.tls.has_value())) {
      each.role = *role;
    }
    if (flows.has_value() && (is_unix || !config.listen.tls.has_value())) {
      each.flows = *flows;
    }
    if (!is_unix) continue;
    if (mode.has_value()) each.mode = *mode;
    if (flags.app.count("--socket-group") > 0) {
      each.group = flags.socket_group;
    }
  }
  return absl::OkStatus();
}

absl::Status ApplyFlags(const Flags& flags, Config& config) {
  for (const Flags::Value& value : flags.values) {
    if (value.flag->count() == 0) continue;
    const absl::Status status = value.option->set(
        value.option->is_switch() ? (value.on ? "true" : "false") : value.text,
        config);
    if (!status.ok()) return Wrong(value.option->flag, status.message());
  }
  return ApplyListeners(flags, config);
}

absl::Status CheckNamed(const Flags& flags, const char* flag,
                        const std::string& file) {
  if (flags.app.count(flag) == 0 || !file.empty()) return absl::OkStatus();
  return Wrong(flag, "must be the name of a file, not ''");
}

// What to do, once the flags have been read.
absl::StatusOr<Invocation> Interpret(const Flags& flags) {
  NFM_RETURN_IF_ERROR(CheckNamed(flags, "--config", flags.config_file));
  NFM_RETURN_IF_ERROR(CheckNamed(flags, "--check-policy", flags.check_policy));
  NFM_RETURN_IF_ERROR(CheckNamed(flags, "--backup", flags.backup));
  Invocation invocation;
  if (!flags.check_policy.empty()) {
    invocation.action = Invocation::Action::kCheckPolicy;
    invocation.text = flags.check_policy;
    return invocation;
  }
  if (flags.restore_objects) {
    invocation.action = Invocation::Action::kRestoreObjects;
  }
  if (flags.check_config) invocation.action = Invocation::Action::kCheckConfig;
  if (flags.check_state) invocation.action = Invocation::Action::kCheckState;
  if (!flags.backup.empty()) {
    invocation.action = Invocation::Action::kBackUp;
    invocation.text = flags.backup;
  }
  invocation.config_file = flags.config_file;
  if (invocation.config_file.empty() && access(kDefaultConfigFile, F_OK) == 0) {
    invocation.config_file = kDefaultConfigFile;
  }
  if (!invocation.config_file.empty()) {
    NFM_RETURN_IF_ERROR(
        ReadConfigFile(invocation.config_file, invocation.config));
  }
  NFM_RETURN_IF_ERROR(ApplyFlags(flags, invocation.config));
  if (flags.app.count("--migrate-backend") > 0) {
    invocation.action = Invocation::Action::kMigrateBackend;
    const std::optional<kernel::Backend> to = BackendOf(flags.migrate_backend);
    if (!to.has_value() || *to == kernel::Backend::kAuto) {
      return Wrong("--migrate-backend",
                   absl::StrCat("must be iptables or nftables, not '",
                                flags.migrate_backend, "'"));
    }
    invocation.backend = *to;
  }
  return invocation;
}

absl::StatusOr<Invocation> Print(const std::string& text) {
  return Invocation{.action = Invocation::Action::kPrint, .text = text};
}

}  // namespace

absl::StatusOr<Invocation> ParseCommandLine(
    const std::vector<std::string>& arguments) {
  Flags flags;
  AddFlags(flags);
  // CLI11 reports by exceptions, help included; they end here.
  try {
    flags.app.parse(
        std::vector<std::string>(arguments.rbegin(), arguments.rend()));
  } catch (const CLI::CallForHelp&) {
    return Print(flags.app.help());
  } catch (const CLI::CallForVersion& version) {
    return Print(absl::StrCat(version.what(), "\n"));
  } catch (const CLI::ParseError& error) {
    return ExplainParseError(flags.app, error);
  }
  return Interpret(flags);
}

}  // namespace nfmeter::app
