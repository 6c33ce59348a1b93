// SPDX-License-Identifier: Apache-2.0
// nfmeter node | health | version
#include <memory>

#include "absl/strings/str_cat.h"
#include "cli/command_tree.h"
#include "cli/message_text.h"
#include "cli/views.h"
#include "client/src/status_macros.h"

namespace nfmeter::cli {
namespace {

absl::Status ShowNode(Session& session) {
  NFM_ASSIGN_OR_RETURN(Client* const client, session.client());
  NFM_ASSIGN_OR_RETURN(auto node, client->GetNode(session.call()));
  v1::GetNodeResponse response;
  *response.mutable_node() = std::move(node);
  const Console& console = session.console();
  const size_t width = console.out_is_terminal ? console.size().columns : 0;
  session.PrintText(response, NodeTable(response.node()),
                    [&](Layout layout) {
                      return NodeText(response.node(), layout, session.color(),
                                      width);
                    },
                    {response.node().hostname()});
  return absl::OkStatus();
}

// One word or number under one name, in every format.
void PrintFact(Session& session, absl::string_view key,
               absl::string_view value) {
  const std::string text(value);
  session.PrintText(Fact(key, value), {{{std::string(key)}}, {{{text}}}},
                    [&](Layout) { return absl::StrCat(text, "\n"); }, {text});
}

absl::Status ShowHealth(Session& session, const std::string& service) {
  NFM_ASSIGN_OR_RETURN(Client* const client, session.client());
  NFM_ASSIGN_OR_RETURN(auto health,
                       client->CheckHealth(service, session.call()));
  const std::string subject =
      service.empty() ? "the server" : absl::StrCat("'", service, "'");
  switch (health) {
    case Health::kServing:
      PrintFact(session, "status", "SERVING");
      return absl::OkStatus();
    case Health::kNotServing:
      PrintFact(session, "status", "NOT_SERVING");
      return absl::UnavailableError(absl::StrCat(
          subject, " is up, but can't serve; 'nfmeter node' may say why"));
    case Health::kUnknownService:
      PrintFact(session, "status", "SERVICE_UNKNOWN");
      break;
  }
  return absl::NotFoundError(
      absl::StrCat("the server has no service ", subject));
}

}  // namespace

void AddNodeCommands(CommandTree& tree) {
  tree.AddCommand(
      tree.root(), "node", "Show what the server is and can do",
      R"(-o wide adds the methods that need each capability, and the limits.

Examples:
  nfmeter node
  nfmeter node -o json | jq '.node.capabilities[] | select(.available | not)')",
      [](Session& session) { return ShowNode(session); });

  auto [health, service] = tree.AddCommand(
      tree.root(), "health", "Ask whether the server serves",
      R"(Exit code 0: it serves. 6: it does not, or can't be reached. 3: no such
service. --timeout bounds the wait.

Examples:
  nfmeter health --timeout 2s
  nfmeter health nfmeter.v1.RuleService)",
      ShowHealth);
  CLI::Option* option = health->add_option(
      "SERVICE", *service, "one service; default: the whole server");
  tree.Suggest(option,
               Choices({"nfmeter.v1.CounterService", "nfmeter.v1.RuleService",
                        "nfmeter.v1.SnapshotService", "nfmeter.v1.PlanService",
                        "nfmeter.v1.UsageService", "nfmeter.v1.FlowService",
                        "nfmeter.v1.NodeService"}));

  tree.MarkLocal(tree.AddCommand(
      tree.root(), "version", "Print the version of this command",
      R"(That of the server is in 'nfmeter node'.

Examples:
  nfmeter version
  nfmeter version -o json)",
      [](Session& session) {
        PrintFact(session, "version", NFMETER_VERSION);
        return absl::OkStatus();
      }));
}

}  // namespace nfmeter::cli
