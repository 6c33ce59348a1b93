// SPDX-License-Identifier: Apache-2.0
#include "cli/cli.h"

#include "cli/command_tree.h"
#include "cli/completion.h"
#include "cli/contexts.h"
#include "cli/errors.h"
#include "cli/session.h"
#include "cli/several_servers.h"

namespace nfmeter::cli {
namespace {

int Fail(Console& console, const absl::Status& status, bool color) {
  // What was printed before the error comes before it on a terminal, too.
  console.out.flush();
  console.err << ErrorText(status, color) << std::flush;
  return ExitCodeOf(status);
}

absl::Status CheckPrinted(Console& console) {
  console.out.flush();
  if (console.out) return absl::OkStatus();
  return absl::UnknownError(
      "can't write to standard output; is the disk full, or is it closed?");
}

// The end of a command: its exit code.
int Finish(Session& session, absl::Status status) {
  Console& console = session.console();
  if (status.ok()) status = CheckPrinted(console);
  if (status.ok()) return session.exit_code();
  Fail(console, status, session.error_color());
  return session.ExitCodeOfError(status);
}

// Those of --context, or the current context's unless --server says where;
// without contexts the one that `flags` mean.
absl::StatusOr<std::vector<NamedServer>> ChooseServers(
    const GlobalFlags& flags) {
  const std::vector<NamedServer> as_told = {{"", flags}};
  if (!flags.server.empty() && flags.context.empty()) return as_told;
  if (!flags.server.empty()) {
    return UsageError("--server and --context both say where",
                      "leave out either, also NFMETER_SERVER and "
                      "NFMETER_CONTEXT in the environment");
  }
  const auto contexts = LoadContexts(ContextsPath());
  if (!contexts.ok()) return contexts.status();
  const auto names = ExpandContexts(
      *contexts, flags.context.empty() ? contexts->current : flags.context);
  if (!names.ok()) return names.status();
  std::vector<NamedServer> servers;
  for (const std::string& name : *names) {
    servers.push_back({name, WithContext(flags, contexts->contexts.at(name))});
    // Several answers become one in one form: the first context's.
    servers.back().flags.format = servers.front().flags.format;
  }
  return servers.empty() ? as_told : servers;
}

}  // namespace

int Main(const std::vector<std::string>& arguments, Console console) {
  CommandTree tree;
  AddCounterCommands(tree);
  AddRuleCommands(tree);
  AddPlanCommands(tree);
  AddCleanupCommand(tree);
  AddWatchCommands(tree);
  AddQuotaCommands(tree);
  AddFlowCommands(tree);
  AddUsageCommands(tree);
  AddWaitCommands(tree);
  AddCheckCommand(tree);
  AddNodeCommands(tree);
  AddContextCommands(tree);
  AddExplainCommand(tree);
  AddHelpCommand(tree);
  AddCompletionCommand(tree);

  if (!arguments.empty() && arguments.front() == kCompleteCommand) {
    Complete(tree, {arguments.begin() + 1, arguments.end()}, console);
    return kExitOk;
  }
  const absl::StatusOr<Invocation> invocation = tree.Parse(arguments);
  Session plain(console, tree.globals());
  if (!invocation.ok()) {
    return Fail(console, invocation.status(), plain.error_color());
  }
  if (!invocation->action) {
    console.out << invocation->text;
    return Finish(plain, absl::OkStatus());
  }
  if (invocation->local) return Finish(plain, invocation->action(plain));
  const auto servers = ChooseServers(tree.globals());
  if (!servers.ok()) {
    return Fail(console, servers.status(), plain.error_color());
  }
  if (servers->size() > 1) {
    const int exit_code = RunOnSeveral(*servers, invocation->action, console);
    const absl::Status printed = CheckPrinted(console);
    return exit_code != kExitOk || printed.ok()
               ? exit_code
               : Fail(console, printed, plain.error_color());
  }
  Session session(console, servers->front().flags);
  return Finish(session, invocation->action(session));
}

}  // namespace nfmeter::cli
