// SPDX-License-Identifier: Apache-2.0
// nfmeter cleanup
#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "cli/command_tree.h"
#include "cli/session.h"
#include "cli/table.h"
#include "nfmeter/v1/counter.pb.h"
#include "nfmeter/v1/plan.pb.h"
#include "nfmeter/v1/rule.pb.h"

namespace nfmeter::cli {
namespace {

// How the names of chains begin that plans have made.
constexpr char kPlanChains[] = "NFM-";
// Lines of one kind that are shown.
constexpr size_t kShown = 20;

struct CleanupFlags {
  bool dry_run = false;
};

// What there is of nfmeter's, and what stays because others use it.
struct Findings {
  std::vector<v1::Rule> rules;  // managed ones
  std::vector<v1::Counter> counters;
  // Counter -> the rule of somebody else's that counts into it.
  std::map<std::string, std::string> held;
};

absl::StatusOr<Findings> Find(Session& session, Client& client) {
  Findings findings;
  v1::ListCountersRequest counters;
  counters.mutable_filter()->set_managed_only(true);
  absl::Status listed = client.ListCounterPages(
      counters,
      [&](const v1::ListCountersResponse& page) {
        for (const v1::Counter& counter : page.counters()) {
          findings.counters.push_back(counter);
        }
        return true;
      },
      session.call());
  if (!listed.ok()) return listed;
  listed = client.ListRulePages(
      v1::ListRulesRequest(),
      [&](const v1::ListRulesResponse& page) {
        for (const v1::Rule& rule : page.rules()) {
          if (rule.managed()) {
            findings.rules.push_back(rule);
          } else if (!absl::StartsWith(rule.chain(), kPlanChains) &&
                     !rule.counter().empty()) {
            findings.held.emplace(rule.counter(), rule.spec());
          }
        }
        return true;
      },
      session.call());
  if (!listed.ok()) return listed;
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

absl::Status DeleteRules(Session& session, Client& client,
                         const std::vector<v1::Rule>& rules) {
  if (rules.empty()) return absl::OkStatus();
  v1::BatchDeleteRulesRequest request;
  for (const v1::Rule& rule : rules) request.add_ids(rule.id());
  return client.BatchDeleteRules(request, session.call()).status();
}

absl::Status DeleteCounters(Session& session, Client& client,
                            const std::vector<std::string>& names) {
  if (names.empty()) return absl::OkStatus();
  v1::BatchDeleteCountersRequest request;
  request.mutable_names()->Add(names.begin(), names.end());
  const auto deleted = client.BatchDeleteCounters(request, session.call());
  if (!deleted.ok()) return deleted.status();
  if (deleted->failures().empty()) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      "counter ", deleted->failures(0).name(),
      " could not be deleted: ", deleted->failures(0).status().message()));
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
                    CountOf(plans.deleted_rules() + rules.size(), "rule"),
                    " and ", CountOf(counters.size(), "counter"), "\n");
  }
  return text;
}

absl::Status Cleanup(Session& session, const CleanupFlags& flags) {
  auto connected = session.client();
  if (!connected.ok()) return connected.status();
  Client& client = **connected;
  const auto findings = Find(session, client);
  if (!findings.ok()) return findings.status();
  std::vector<std::string> counters;
  for (const v1::Counter& counter : findings->counters) {
    if (findings->held.contains(counter.name())) continue;
    counters.push_back(counter.name());
  }
  const auto plans = DeletePlans(session, client, flags.dry_run);
  if (!plans.ok()) return plans.status();
  if (!flags.dry_run) {
    absl::Status deleted = DeleteRules(session, client, findings->rules);
    if (deleted.ok()) deleted = DeleteCounters(session, client, counters);
    if (!deleted.ok()) return deleted;
  }
  session.Print({.message = *plans,
                 .text =
                     [&](Layout) {
                       return Report(*plans, *findings, counters,
                                     flags.dry_run);
                     },
                 .names = counters});
  return absl::OkStatus();
}

}  // namespace

void AddCleanupCommand(CommandTree& tree) {
  auto flags = std::make_shared<CleanupFlags>();
  CLI::App* const command = tree.AddCommand(
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
      [flags](Session& session) { return Cleanup(session, *flags); });
  command->add_flag("--dry-run", flags->dry_run,
                    "say what would be removed, and remove nothing");
}

}  // namespace nfmeter::cli
