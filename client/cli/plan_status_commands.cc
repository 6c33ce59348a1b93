// SPDX-License-Identifier: Apache-2.0
// nfmeter plan status | watch | explain
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "cli/columns.h"
#include "cli/command_tree.h"
#include "cli/errors.h"
#include "cli/interrupt.h"
#include "cli/plan_files.h"
#include "cli/session.h"
#include "cli/table.h"
#include "cli/views.h"
#include "client/src/status_macros.h"
#include "client/src/words.h"
#include "nfmeter/watch.h"

namespace nfmeter::cli {
namespace {

// What the API calls the rules that are kept beside plans.
constexpr char kRules[] = ".rules";

std::string StateText(v1::PlanStatus::State state) {
  return absl::AsciiStrToLower(
      absl::StrReplaceAll(EnumWord(state), {{"_", " "}}));
}

std::string NameText(const v1::PlanStatus& status) {
  return status.name() == kRules ? "(rules outside plans)" : status.name();
}

// Why it is as it is, and what comes next.
std::string WhyText(const v1::PlanStatus& status) {
  std::string text = status.message();
  if (status.has_next_check_time()) {
    absl::StrAppend(&text, text.empty() ? "" : "; ", "next check at ",
                    SecondsText(status.next_check_time()));
  }
  if (status.total() > 0) {
    absl::StrAppend(&text, text.empty() ? "" : "; ", status.step(), " ",
                    status.done(), " of ", status.total());
  }
  return text;
}

std::string MissedText(const v1::PlanStatus& status) {
  if (status.repairs() == 0) return "";
  return absl::StrCat(
      status.has_missed_from() ? SecondsText(status.missed_from()) : "unknown",
      " to ", SecondsText(status.missed_to()));
}

Table StatusTable(const std::vector<v1::PlanStatus>& statuses, Layout layout) {
  using S = v1::PlanStatus;
  static const auto& columns = *new std::vector<Column<S>>{
      {"PLAN", "name", kAll, Align::kLeft,
       [](const S& s, Layout l) { return l == kCsv ? s.name() : NameText(s); }},
      {"STATE", "state", kAll, Align::kLeft,
       [](const S& s, Layout) { return StateText(s.state()); }},
      {"CHECKED", "check_time", kAll, Align::kLeft,
       [](const S& s, Layout) { return SecondsText(s.check_time()); },
       /*leave_out=*/2},
      {"REPAIRS", "repairs", kAll, Align::kLeft,
       [](const S& s, Layout) { return absl::StrCat(s.repairs()); },
       /*leave_out=*/3},
      {"MAY HAVE MISSED", "may_have_missed", kAll, Align::kLeft,
       [](const S& s, Layout) { return MissedText(s); }, /*leave_out=*/1},
      {"WHY", "why", kAll, Align::kLeft,
       [](const S& s, Layout) { return WhyText(s); }},
  };
  return MakeTable<S>(columns, statuses, layout);
}

absl::StatusOr<std::vector<v1::PlanStatus>> AllStatuses(Session& session,
                                                        Client& client) {
  NFM_ASSIGN_OR_RETURN(const auto plans, client.ListPlans(session.call()));
  std::vector<std::string> names = {kRules};
  for (const v1::Plan& plan : plans.plans()) names.push_back(plan.name());
  std::vector<v1::PlanStatus> statuses;
  for (const std::string& name : names) {
    auto status = client.GetPlanStatus(name, session.call());
    // No rules are kept, or the plan was deleted since.
    if (absl::IsNotFound(status.status())) continue;
    if (!status.ok()) return status.status();
    statuses.push_back(*std::move(status));
  }
  return statuses;
}

absl::Status ShowStatus(Session& session, const std::string& name) {
  NFM_ASSIGN_OR_RETURN(Client* const client, session.client());
  if (!name.empty()) {
    NFM_ASSIGN_OR_RETURN(const auto status,
                         client->GetPlanStatus(name, session.call()));
    session.PrintTable(
        status, [&](Layout layout) { return StatusTable({status}, layout); },
        {StateText(status.state())});
    return absl::OkStatus();
  }
  NFM_ASSIGN_OR_RETURN(const auto statuses, AllStatuses(session, *client));
  if (statuses.empty()) {
    session.Note("no plans; 'nfmeter apply -f FILE' makes one");
  }
  switch (session.format()) {
    case Format::kTable:
    case Format::kWide:
    case Format::kCsv:
      // One table of all; the others print one after the other.
      if (statuses.empty() && session.for_people()) break;
      session.console().out
          << session.Render(StatusTable(statuses, session.layout()));
      break;
    default:
      for (const v1::PlanStatus& status : statuses) {
        session.PrintTable(status, nullptr, {status.name()});
      }
  }
  return absl::OkStatus();
}

absl::Status WatchStatus(Session& session, const std::string& name) {
  NFM_RETURN_IF_ERROR(session.CheckOneServer("watched"));
  NFM_ASSIGN_OR_RETURN(Client* const client, session.client());
  const std::unique_ptr<PlanWatch> watch =
      client->WatchPlanStatus(name, session.stream_options());
  const Interrupt interrupt([&] { watch->Cancel(); });
  for (bool first = true; session.console().out; first = false) {
    const absl::StatusOr<v1::PlanStatus> status = watch->Next();
    if (!status.ok()) return interrupt.EndOf(status.status());
    if (!session.for_people()) {
      session.PrintNext(*status, StatusTable({*status}, session.layout()),
                        status->name(), first);
      session.console().out.flush();
      continue;
    }
    const std::string why = WhyText(*status);
    session.console().out << SecondsText(status->check_time()) << "  "
                          << NameText(*status) << "  "
                          << StateText(status->state()) << ", "
                          << CountOf(status->repairs(), "repair")
                          << (why.empty() ? "" : ": ") << Printable(why)
                          << std::endl;
  }
  return absl::OkStatus();
}

struct ExplainFlags {
  std::string name;
  std::string file;
};

// One of several: csv has one heading.
void PrintCost(Session& session, const std::string& name,
               const v1::PlanCost& cost, bool first = true) {
  using C = v1::PlanCost;
  const std::vector<Column<C>> columns = {
      PlainColumn<C>("", "plan", kCsv, [&](const C&) { return name; }),
      PlainColumn<C>("", "counters", kCsv, &C::counters),
      PlainColumn<C>("", "rules", kCsv, &C::rules),
      PlainColumn<C>("", "chains", kCsv, &C::chains),
      PlainColumn<C>(
          "", "mean_rules_met", kCsv,
          [](const C& c) { return absl::StrCat(c.mean_rules_met()); }),
      PlainColumn<C>("", "max_rules_met", kCsv, &C::max_rules_met)};
  session.PrintText(
      cost, MakeTable<C>(columns, ListOf(cost), kCsv),
      [&](Layout) { return absl::StrCat(name, ": ", CostText(cost), "\n"); },
      {name}, first);
}

absl::Status ExplainPlan(Session& session, const ExplainFlags& flags) {
  if (flags.name.empty() == flags.file.empty()) {
    return UsageError("give the name of a plan in force, or -f FILE");
  }
  NFM_ASSIGN_OR_RETURN(Client* const client, session.client());
  if (flags.file.empty()) {
    NFM_ASSIGN_OR_RETURN(const auto response,
                         client->GetPlan(flags.name, session.call()));
    PrintCost(session, flags.name, response.cost());
    return absl::OkStatus();
  }
  NFM_ASSIGN_OR_RETURN(const auto files,
                       ReadPlanFiles(flags.file, session.console().in));
  for (const PlanFile& file : files) {
    v1::ApplyPlanRequest request;
    *request.mutable_plan() = file.plan;
    request.set_validate_only(true);
    request.set_allow_empty(true);
    request.set_take_over(true);
    const auto response = client->ApplyPlan(request, session.call());
    if (!response.ok()) return AtItsPlaces(response.status(), file);
    PrintCost(session, file.plan.name(), response->cost(),
              &file == &files.front());
  }
  return absl::OkStatus();
}

}  // namespace

void AddPlanStatusCommands(CommandTree& tree, CLI::App& plan) {
  auto [status, name] = tree.AddCommand(
      plan, "status", "Show whether plans are in force",
      R"(Without a name: all plans, and the rules that are kept beside them.

Examples:
  nfmeter plan status
  nfmeter plan status customers)",
      ShowStatus);
  const Candidates plans = NamesFrom({"plan", "list"});
  tree.Suggest(status->add_option("NAME", *name, "the plan"), plans);

  auto [watch, watched] = tree.AddCommand(
      plan, "watch", "Print what happens to plans, as it happens",
      R"(A line for each change: applied, drifted, repaired, fought. Until Ctrl-C.

Examples:
  nfmeter plan watch
  nfmeter plan watch customers -o json)",
      WatchStatus);
  tree.Suggest(watch->add_option("NAME", *watched, "the plan; without it, all"),
               plans);

  auto [explain, flags] = tree.AddCommand(
      plan, "explain", "Show what a plan costs packets",
      R"(Counters, rules and chains, and how many rules a packet meets.

Examples:
  nfmeter plan explain customers
  nfmeter plan explain -f customers.yaml)",
      ExplainPlan);
  tree.Suggest(explain->add_option("NAME", flags->name, "a plan in force"),
               plans);
  AddFile(tree, *explain, "-f,--file", flags->file, kPlanFileHelp);
}

}  // namespace nfmeter::cli
