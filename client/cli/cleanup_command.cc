// SPDX-License-Identifier: Apache-2.0
// nfmeter cleanup
#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "cli/command_tree.h"
#include "cli/session.h"
#include "cli/table.h"
#include "cli/views.h"
#include "client/src/status_macros.h"
#include "client/src/words.h"
#include "nfmeter/v1/counter.pb.h"
#include "nfmeter/v1/plan.pb.h"
#include "nfmeter/v1/rule.pb.h"

namespace nfmeter::cli {
namespace {

// How the names of chains begin that plans have made.
constexpr char kPlanChains[] = "NFM-";
// Lines of one kind that are shown.
constexpr size_t kShown = 20;

// What there is of nfmeter's, and what stays because others use it.
struct Findings {
  std::vector<v1::Rule> rules;  // managed ones
  Counters counters;
  // Counter -> the rule of somebody else's that counts into it.
  std::map<std::string, std::string> held;
};

absl::StatusOr<Findings> Find(Session& session, Client& client) {
  Findings findings;
  v1::ListCountersRequest request;
  request.mutable_filter()->set_managed_only(true);
  NFM_ASSIGN_OR_RETURN(auto counters,
                       client.ListCounters(request, session.call()));
  findings.counters.Swap(counters.mutable_counters());
  NFM_ASSIGN_OR_RETURN(
      const auto rules,
      client.ListRules(v1::ListRulesRequest(), session.call()));
  for (const v1::Rule& rule : rules.rules()) {
    if (rule.managed()) {
      findings.rules.push_back(rule);
    } else if (!absl::StartsWith(rule.chain(), kPlanChains) &&
               !rule.counter().empty()) {
      findings.held.emplace(rule.counter(), rule.spec());
    }
  }
  return findings;
}

absl::StatusOr<v1::DeletePlanResponse> DeletePlans(Session& session,
                                                   Client& client,
                                                   bool dry_run) {
  v1::DeletePlanRequest request;
  request.set_all(true);
  request.set_validate_only(dry_run);
  // Those that others hold are told; counters go together below.
  request.set_keep_counters(true);
  return client.DeletePlan(request, session.call());
}

absl::Status RemoveRules(Session& session, Client& client,
                         const std::vector<v1::Rule>& rules) {
  if (rules.empty()) return absl::OkStatus();
  v1::BatchDeleteRulesRequest request;
  for (const v1::Rule& rule : rules) request.add_ids(rule.id());
  return client.BatchDeleteRules(request, session.call()).status();
}

absl::Status RemoveCounters(Session& session, Client& client,
                            const std::vector<std::string>& names) {
  if (names.empty()) return absl::OkStatus();
  v1::BatchDeleteCountersRequest request;
  request.mutable_names()->Add(names.begin(), names.end());
  NFM_ASSIGN_OR_RETURN(const auto deleted,
                       client.BatchDeleteCounters(request, session.call()));
  if (deleted.failures().empty()) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      "counter ", deleted.failures(0).name(),
      " could not be deleted: ", deleted.failures(0).status().message()));
}

// A heading with a line each below it, the first few of them.
void AddLines(absl::string_view heading, const std::vector<std::string>& lines,
              std::string& text) {
  if (lines.empty()) return;
  absl::StrAppend(&text, heading, ": ", lines.size(), "\n");
  for (size_t i = 0; i < std::min(lines.size(), kShown); ++i) {
    absl::StrAppend(&text, "  ", Printable(lines[i]), "\n");
  }
  if (lines.size() > kShown) {
    absl::StrAppend(&text, "  ... and ", lines.size() - kShown, " more\n");
  }
}

std::string Report(const v1::DeletePlanResponse& plans,
                   const Findings& findings,
                   const std::vector<std::string>& counters, bool dry_run) {
  std::string text;
  AddLines("plans",
           {plans.deleted_plans().begin(), plans.deleted_plans().end()}, text);
  AddLines("chains of plans that this server does not know",
           {plans.deleted_chains().begin(), plans.deleted_chains().end()},
           text);
  std::vector<std::string> rules;
  for (const v1::Rule& rule : findings.rules) rules.push_back(rule.spec());
  AddLines("rules", rules, text);
  AddLines("counters", counters, text);
  std::vector<std::string> kept;
  for (const v1::Counter& counter : findings.counters) {
    const auto holder = findings.held.find(counter.name());
    if (holder == findings.held.end()) continue;
    kept.push_back(absl::StrCat(counter.name(), ", used by ", holder->second));
  }
  AddLines("counters that stay, as rules that others made count into them",
           kept, text);
  if (plans.deleted_plans().empty() && plans.deleted_chains().empty() &&
      rules.empty() && counters.empty()) {
    absl::StrAppend(&text, "nothing to remove\n");
  } else {
    absl::StrAppend(&text, dry_run ? "would remove " : "removed ",
                    CountOf(plans.deleted_plans_size(), "plan"), ", ",
                    CountOf(plans.deleted_rules(), "rule"), " and ",
                    CountOf(counters.size(), "counter"), "\n");
  }
  return text;
}

Table RemovedTable(const v1::DeletePlanResponse& plans,
                   const Findings& findings,
                   const std::vector<std::string>& counters) {
  Table table = {.headings = {{"kind"}, {"removed"}}};
  const auto add = [&table](const char* kind, const std::string& removed) {
    table.rows.push_back({{kind}, {removed}});
  };
  for (const std::string& plan : plans.deleted_plans()) add("plan", plan);
  for (const std::string& chain : plans.deleted_chains()) add("chain", chain);
  for (const v1::Rule& rule : findings.rules) add("rule", rule.spec());
  for (const std::string& counter : counters) add("counter", counter);
  return table;
}

absl::Status Cleanup(Session& session, const bool& dry_run) {
  NFM_ASSIGN_OR_RETURN(Client* const client, session.client());
  NFM_ASSIGN_OR_RETURN(const auto findings, Find(session, *client));
  std::vector<std::string> counters;
  for (const v1::Counter& counter : findings.counters) {
    if (findings.held.contains(counter.name())) continue;
    counters.push_back(counter.name());
  }
  NFM_ASSIGN_OR_RETURN(auto plans, DeletePlans(session, *client, dry_run));
  if (!dry_run) {
    NFM_RETURN_IF_ERROR(RemoveRules(session, *client, findings.rules));
    NFM_RETURN_IF_ERROR(RemoveCounters(session, *client, counters));
  }
  plans.set_deleted_rules(plans.deleted_rules() + findings.rules.size());
  plans.set_deleted_counters(counters.size());
  session.PrintText(
      plans, RemovedTable(plans, findings, counters),
      [&](Layout) { return Report(plans, findings, counters, dry_run); },
      counters);
  return absl::OkStatus();
}

}  // namespace

void AddCleanupCommand(CommandTree& tree) {
  auto [command, dry_run] = tree.AddCommand(
      tree.root(), "cleanup", "Remove all that nfmeter made from the kernel",
      R"(Plans of every owner, their chains and jumps, rules and counters that were made
through nfmeter, with what they have counted. What others made stays, and so do
counters that rules of others count into. What was recorded as usage stays in
the server's state directory.

Plans of 'nfmeterd --plan' come back at once: take them out of its configuration
before.

Examples:
  nfmeter cleanup --dry-run
  nfmeter cleanup && sudo apt-get purge nfmeter)",
      Cleanup);
  command->add_flag("--dry-run", *dry_run,
                    "say what would be removed, and remove nothing");
}

}  // namespace nfmeter::cli
