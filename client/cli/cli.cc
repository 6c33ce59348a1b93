#include "cli/cli.h"

#include "cli/command_tree.h"
#include "cli/completion.h"
#include "cli/errors.h"
#include "cli/session.h"

namespace nfmeter::cli {
namespace {

int Fail(Console& console, const absl::Status& status, bool color) {
  // What was printed before the error comes before it on a terminal, too.
  console.out.flush();
  console.err << ErrorText(status, color) << std::flush;
  return ExitCodeOf(status);
}

}  // namespace

int Main(const std::vector<std::string>& arguments, Console console) {
  CommandTree tree;
  AddCounterCommands(tree);
  AddRuleCommands(tree);
  AddWatchCommands(tree);
  AddQuotaCommands(tree);
  AddFlowCommands(tree);
  AddNodeCommands(tree);
  AddCompletionCommand(tree);

  if (!arguments.empty() && arguments.front() == kCompleteCommand) {
    Complete(tree, {arguments.begin() + 1, arguments.end()}, console);
    return kExitOk;
  }
  const absl::StatusOr<Invocation> invocation = tree.Parse(arguments);
  Session session(console, tree.globals());
  if (!invocation.ok()) {
    return Fail(console, invocation.status(), session.error_color());
  }
  absl::Status status;
  if (invocation->action) {
    status = invocation->action(session);
  } else {
    console.out << invocation->text;
  }
  console.out.flush();
  if (status.ok() && !console.out) {
    status = absl::UnknownError(
        "can't write to standard output; is the disk full, or is it closed?");
  }
  if (!status.ok()) return Fail(console, status, session.error_color());
  return kExitOk;
}

}  // namespace nfmeter::cli
