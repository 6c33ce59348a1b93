// SPDX-License-Identifier: Apache-2.0
#include "cli/cli.h"

#include <algorithm>
#include <memory>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "cli/command_tree.h"
#include "cli/contexts.h"
#include "cli/errors.h"
#include "cli/session.h"
#include "cli/table.h"
#include "client/src/status_macros.h"
#include "nfmeter/fleet.h"

namespace nfmeter::cli {
namespace {

int Fail(Console& console, const absl::Status& status, bool color) {
  // What was printed before the error comes before it on a terminal, too.
  console.out.flush();
  console.err << ErrorText(status, color) << std::flush;
  return ExitCodeOf(status);
}

// The end of a command: its exit code.
int Finish(Session& session, absl::Status status) {
  Console& console = session.console();
  if (status.ok()) status = CheckPrinted(console.out);
  if (status.ok()) return session.exit_code();
  Fail(console, status, session.error_color());
  return session.ExitCodeOfError(status);
}

struct NamedServer {
  std::string context;
  GlobalFlags flags;
};

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
  NFM_ASSIGN_OR_RETURN(const auto contexts, LoadContexts(ContextsPath()));
  NFM_ASSIGN_OR_RETURN(
      const auto names,
      ExpandContexts(contexts,
                     flags.context.empty() ? contexts.current : flags.context));
  std::vector<NamedServer> servers;
  for (const std::string& name : names) {
    servers.push_back({name, WithContext(flags, contexts.contexts.at(name))});
    // Several answers become one in one form: the first context's.
    servers.back().flags.format = servers.front().flags.format;
  }
  return servers.empty() ? as_told : servers;
}

// What the action says on one server.
struct Run {
  explicit Run(const NamedServer& server, const std::string& input)
      : in(input),
        console{.in = in, .out = out, .err = err},
        session(console, server.flags) {
    session.CollectTables(server.context, &tables);
  }

  std::istringstream in;
  std::ostringstream out;
  std::ostringstream err;
  std::vector<Table> tables;
  Console console;
  Session session;
  absl::Status status;
};

void PrintLines(absl::string_view head, const std::string& text,
                std::ostream& out) {
  for (absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    out << head << line << "\n";
  }
}

void PrintText(const std::string& context, Format format,
               const std::string& text, std::ostream& out) {
  if (text.empty()) return;
  switch (format) {
    case Format::kJson:
    case Format::kYaml:  // the session has said it
      out << text;
      break;
    case Format::kName:
      PrintLines(absl::StrCat(context, "/"), text, out);
      break;
    default:
      PrintLines(absl::StrCat(context, ": "), text, out);
  }
}

// Runs `action` on all servers at once; the exit code of the first one that
// failed. Tables and CSV become one, with a column for the context; JSON is an
// object {"context": ..., "answer": ...} for each, YAML a document for each,
// names are CONTEXT/NAME, and sentences have the context in front.
int RunOnSeveral(const std::vector<NamedServer>& servers, const Action& action,
                 Console& console) {
  // Names on standard input are for all of them. A terminal is nobody's.
  std::string input;
  if (!console.in_is_terminal) {
    std::ostringstream all;
    all << console.in.rdbuf();
    input = all.str();
  }
  std::vector<std::unique_ptr<Run>> runs;
  for (const NamedServer& server : servers) {
    runs.push_back(std::make_unique<Run>(server, input));
  }
  // Commands that go on (watch) need all of them at once.
  Fleet::InParallel(runs.size(), static_cast<int>(runs.size()), [&](size_t i) {
    runs[i]->status = action(runs[i]->session);
  });

  int failed = kExitOk;  // the first that did
  int answer = kExitOk;  // the worst
  Table table;
  for (size_t i = 0; i < runs.size(); ++i) {
    for (Table& part : runs[i]->tables) {
      table.headings = part.headings;
      for (auto& row : part.rows) table.rows.push_back(std::move(row));
    }
  }
  const Session& first = runs.front()->session;
  if (!table.headings.empty()) {
    console.out << first.RenderNow(table);
  }
  for (size_t i = 0; i < runs.size(); ++i) {
    const std::string& context = servers[i].context;
    Run& run = *runs[i];
    PrintText(context, first.format(), run.out.str(), console.out);
    console.out.flush();
    PrintLines(absl::StrCat(context, ": "), run.err.str(), console.err);
    if (run.status.ok()) {
      answer = std::max(answer, run.session.exit_code());
      continue;
    }
    PrintLines(absl::StrCat(context, ": "),
               ErrorText(run.status, first.error_color()), console.err);
    if (failed == kExitOk) failed = run.session.ExitCodeOfError(run.status);
  }
  return failed == kExitOk ? answer : failed;
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
  const auto fail = [&](const absl::Status& error) {
    if (const auto report = tree.error_report()) return report(console, error);
    return Fail(console, error, plain.error_color());
  };
  if (!invocation.ok()) return fail(invocation.status());
  if (!invocation->action) {
    console.out << invocation->text;
    return Finish(plain, absl::OkStatus());
  }
  if (invocation->local) return Finish(plain, invocation->action(plain));
  const auto servers = ChooseServers(tree.globals());
  if (!servers.ok()) return fail(servers.status());
  if (servers->size() > 1) {
    const int exit_code = RunOnSeveral(*servers, invocation->action, console);
    const absl::Status printed = CheckPrinted(console.out);
    return exit_code != kExitOk || printed.ok() ? exit_code : fail(printed);
  }
  Session session(console, servers->front().flags);
  return Finish(session, invocation->action(session));
}

}  // namespace nfmeter::cli
