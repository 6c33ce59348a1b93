// SPDX-License-Identifier: Apache-2.0
// nfmeter apply | diff | export | plan
#include <memory>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "cli/columns.h"
#include "cli/command_tree.h"
#include "cli/errors.h"
#include "cli/plan_files.h"
#include "cli/progress.h"
#include "cli/quantity.h"
#include "cli/session.h"
#include "cli/table.h"
#include "cli/views.h"
#include "client/src/status.h"
#include "client/src/status_macros.h"
#include "client/src/words.h"
#include "nfmeter/errors.h"
#include "nfmeter/v1/plan.pb.h"
#include "nfmeter/watch.h"
#include "proto/yaml/plan_files.h"
#include "proto/yaml/yaml_message.h"

namespace nfmeter::cli {
namespace {

struct PlanFlags {
  std::string file;
  bool diff = false;  // of diff: tell, change nothing
  bool prune = false;
  bool allow_empty = false;
  bool take_over = false;
  bool rules = false;
  bool keep_counters = false;
  std::string name;
  std::string etag;
  std::string request_id;
  bool validate_only = false;
};

absl::string_view Sign(const v1::PlanChange& change) {
  switch (change.kind()) {
    case v1::PlanChange::KIND_ADD:
      return "+";
    case v1::PlanChange::KIND_REMOVE:
      return "-";
    default:
      return "~";
  }
}

// A line a counter; chains only behind --rules, and then with their rules.
std::string ChangesText(const v1::ApplyPlanResponse& response, bool rules) {
  std::string text;
  size_t chains = 0;
  for (const v1::PlanChange& change : response.changes()) {
    if (change.counter().empty()) {
      ++chains;
      if (!rules) continue;
      absl::StrAppend(
          &text, Sign(change), " chain ", change.chain(), " (", change.table(),
          change.family() == v1::FAMILY_IPV4 ? ", IPv4)\n" : ", IPv6)\n");
      for (const std::string& rule : change.removed_rules()) {
        absl::StrAppend(&text, "    - ", Printable(rule), "\n");
      }
      for (const std::string& rule : change.added_rules()) {
        absl::StrAppend(&text, "    + ", Printable(rule), "\n");
      }
      continue;
    }
    absl::StrAppend(&text, Sign(change), " ", Printable(change.counter()));
    for (const std::string& field : change.fields()) {
      absl::StrAppend(&text, " ", field);
    }
    text.append("\n");
  }
  if (chains > 0 && !rules) {
    absl::StrAppend(&text, "~ ", CountOf(chains, "chain"),
                    " of rules (--rules shows them)\n");
  }
  if (response.change_count() >
      static_cast<uint64_t>(response.changes_size())) {
    absl::StrAppend(&text, "... and ",
                    response.change_count() - response.changes_size(),
                    " more\n");
  }
  return text;
}

Table ChangesTable(const v1::ApplyPlanResponse& response) {
  Table table;
  table.headings = {{"plan"}, {"change"}, {"counter"}, {"chain"}};
  for (const v1::PlanChange& change : response.changes()) {
    table.rows.push_back({{response.plan().name()},
                          {std::string(Sign(change))},
                          {change.counter()},
                          {change.chain()}});
  }
  return table;
}

// "plan web: 2 changes made; 3 counters, ..."
std::string SummaryText(const v1::ApplyPlanResponse& response,
                        bool validate_only) {
  const std::string changes =
      response.change_count() == 0
          ? "nothing to change"
          : absl::StrCat(CountOf(response.change_count(), "change"),
                         validate_only ? " would be made" : " made");
  return absl::StrCat("plan ", response.plan().name(), ": ", changes, "; ",
                      CostText(response.cost()), "\n");
}

// One of several: csv has one heading.
void PrintApplied(Session& session, const v1::ApplyPlanResponse& response,
                  const PlanFlags& flags, bool first) {
  session.PrintText(
      response, ChangesTable(response),
      [&](Layout) {
        return absl::StrCat(
            ChangesText(response, flags.rules),
            flags.diff ? "" : SummaryText(response, flags.validate_only));
      },
      {response.plan().name()}, first);
}

// "Applying plan customers: rules, 0 of 23117, 2 s" on a terminal, as the
// server tells it on a stream of its own; elsewhere nothing, and no stream.
class ApplyProgress {
 public:
  // `client` and the session's console must outlive it.
  ApplyProgress(Session& session, Client& client, const std::string& plan)
      : progress_(session.console(), absl::StrCat("Applying plan ", plan)) {
    if (!session.console().err_is_terminal) return;
    // All plans: this one may not be there yet.
    watch_ = client.WatchPlanStatus("", WatchOptions());
    thread_ = std::thread([this, plan] { Follow(plan); });
  }
  ~ApplyProgress() {
    if (watch_ == nullptr) return;
    watch_->Cancel();
    thread_.join();
  }
  ApplyProgress(const ApplyProgress&) = delete;
  ApplyProgress& operator=(const ApplyProgress&) = delete;

 private:
  // Without a stream (it is not permitted, or there are too many) the line
  // tells the time alone.
  void Follow(const std::string& plan) {
    while (true) {
      const absl::StatusOr<v1::PlanStatus> status = watch_->Next();
      if (!status.ok()) return;
      if (status->name() != plan ||
          status->state() != v1::PlanStatus::STATE_APPLYING) {
        continue;
      }
      progress_.Say(status->total() == 0
                        ? status->step()
                        : absl::StrCat(status->step(), ", ",
                                       FormatCount(status->done()), " of ",
                                       FormatCount(status->total())));
    }
  }

  Progress progress_;
  std::unique_ptr<PlanWatch> watch_;  // null: no terminal
  std::thread thread_;
};

absl::Status WithPlanHint(const absl::Status& status) {
  const std::string reason = ErrorReason(status);
  if (reason == "ETAG_MISMATCH") {
    return WithHint(status, "'nfmeter plan list' shows the etag now");
  }
  if (reason == "COUNTER_IN_USE") {
    return WithHint(status,
                    "'nfmeter rule list' shows rules, those of others too "
                    "(their IDs begin with ~); 'nfmeter rule delete ID' "
                    "deletes one of nfmeter's");
  }
  return status;
}

// Of a folder, which file it is about: errors that are not about a field of the
// plan do not name it.
absl::Status OfFile(absl::Status status, const PlanFile& file) {
  if (absl::IsInvalidArgument(status) || absl::IsUnavailable(status) ||
      absl::IsDeadlineExceeded(status)) {
    return status;
  }
  return client_internal::WithMessage(
      status, absl::StrCat(file.path, ": ", status.message()));
}

absl::Status Apply(Session& session, const PlanFlags& flags) {
  if (flags.diff) session.set_one_is_an_answer();
  NFM_ASSIGN_OR_RETURN(const auto files,
                       ReadPlanFiles(flags.file, session.console().in));
  if (!flags.etag.empty() && files.size() > 1) {
    return UsageError("--etag belongs to one plan; give one file");
  }
  NFM_ASSIGN_OR_RETURN(Client* const client, session.client());
  for (const PlanFile& file : files) {
    v1::ApplyPlanRequest request;
    *request.mutable_plan() = file.plan;
    request.set_validate_only(flags.diff || flags.validate_only);
    request.set_etag(flags.etag);
    request.set_prune(flags.prune);
    request.set_allow_empty(flags.diff || flags.allow_empty);
    request.set_take_over(flags.diff || flags.take_over);
    // Each plan is a change of its own.
    if (!flags.request_id.empty()) {
      request.set_request_id(
          absl::StrCat(flags.request_id, "/", file.plan.name()));
    }
    const auto response = [&] {
      const ApplyProgress progress(session, *client, file.plan.name());
      return client->ApplyPlan(request, session.call());
    }();
    if (!response.ok()) {
      absl::Status failed = AtItsPlaces(response.status(), file);
      if (files.size() > 1) failed = OfFile(std::move(failed), file);
      return WithPlanHint(failed);
    }
    PrintApplied(session, *response, flags, &file == &files.front());
    if (flags.diff && response->change_count() > 0) session.set_exit_code(1);
  }
  return absl::OkStatus();
}

absl::Status Export(Session& session, const std::string& name) {
  NFM_RETURN_IF_ERROR(session.CheckNotCsv("a plan"));
  NFM_ASSIGN_OR_RETURN(Client* const client, session.client());
  NFM_ASSIGN_OR_RETURN(const auto response,
                       client->ExportPlan(name, session.call()));
  for (const std::string& each : response.left_out()) {
    session.Note(absl::StrCat("left out: ", each));
  }
  session.PrintText(response.plan(), /*csv=*/{},
                    [&](Layout) { return WriteYaml(response.plan()); },
                    {response.plan().name()});
  return absl::OkStatus();
}

absl::Status GetPlan(Session& session, const std::string& name) {
  NFM_RETURN_IF_ERROR(session.CheckNotCsv("a plan"));
  NFM_ASSIGN_OR_RETURN(Client* const client, session.client());
  NFM_ASSIGN_OR_RETURN(const auto response,
                       client->GetPlan(name, session.call()));
  v1::Plan plan = response.plan();
  // As a file that could be applied again.
  plan.clear_etag();
  plan.clear_owner();
  plan.clear_apply_time();
  session.PrintText(response.plan(), /*csv=*/{},
                    [&](Layout) { return WriteYaml(plan); }, {plan.name()});
  return absl::OkStatus();
}

absl::Status ListPlans(Session& session) {
  NFM_ASSIGN_OR_RETURN(Client* const client, session.client());
  NFM_ASSIGN_OR_RETURN(const auto response, client->ListPlans(session.call()));
  using P = v1::Plan;
  static const auto& columns = *new std::vector<Column<P>>{
      PlainColumn<P>("NAME", "name", kAll, &P::name),
      PlainColumn<P>("OWNER", "owner", kAll, &P::owner, /*leave_out=*/3),
      {"APPLIED", "apply_time", kAll, Align::kLeft,
       [](const P& p, Layout) { return SecondsText(p.apply_time()); },
       /*leave_out=*/2},
      PlainColumn<P>("ETAG", "etag", kAll, &P::etag, /*leave_out=*/1)};
  session.PrintTable(
      response,
      [&](Layout layout) {
        return MakeTable<P>(columns, response.plans(), layout);
      },
      NamesOf(response.plans()));
  if (response.plans().empty()) {
    session.Note("no plans; 'nfmeter apply -f FILE' makes one");
  }
  return absl::OkStatus();
}

absl::Status DeletePlan(Session& session, const PlanFlags& flags) {
  NFM_ASSIGN_OR_RETURN(Client* const client, session.client());
  v1::DeletePlanRequest request;
  request.set_name(flags.name);
  request.set_etag(flags.etag);
  request.set_validate_only(flags.validate_only);
  request.set_request_id(flags.request_id);
  request.set_keep_counters(flags.keep_counters);
  request.set_take_over(flags.take_over);
  const auto response = client->DeletePlan(request, session.call());
  if (!response.ok()) return WithPlanHint(response.status());
  const uint64_t counters = response->deleted_counters();
  const uint64_t rules = response->deleted_rules();
  session.PrintText(
      *response,
      {{{"plan"}, {"deleted_counters"}, {"deleted_rules"}},
       {{{flags.name}, {absl::StrCat(counters)}, {absl::StrCat(rules)}}}},
      [&](Layout) {
        return absl::StrCat(flags.validate_only ? "would delete " : "deleted ",
                            CountOf(counters, "counter"), " and ",
                            CountOf(rules, "rule"), "\n");
      },
      {flags.name});
  return absl::OkStatus();
}

void AddEtag(CLI::App& command, PlanFlags& flags) {
  AddText(command, "--etag", flags.etag, "ETAG",
          "only if the plan in force still has this etag, see 'nfmeter "
          "plan list'");
}

void AddApply(CommandTree& tree) {
  auto [apply, flags] = tree.AddCommand(
      tree.root(), "apply", "Put a plan in force, and keep it so",
      R"(What differs is changed: counters first, then the rules in one commit,
then what is no longer needed. The same plan again changes nothing. See
docs/plans.md for how plans look.

Examples:
  nfmeter apply -f customers.yaml
  nfmeter apply -f plans/ --prune
  nfmeter export | nfmeter apply -f - --validate-only)",
      Apply);
  AddFile(tree, *apply, "-f,--file", flags->file, kPlanFileHelp)->required();
  apply->add_flag("--prune", flags->prune,
                  "delete counters that leave the plan by this");
  apply->add_flag("--allow-empty", flags->allow_empty,
                  "let an empty plan remove all that it had");
  apply->add_flag("--take-over", flags->take_over,
                  "take the plan over from whoever applied it");
  apply->add_flag("--rules", flags->rules, "show the rules that change");
  AddEtag(*apply, *flags);
  AddChangeFlags(*apply, flags->request_id, flags->validate_only);

  auto [diff, diff_flags] = tree.AddCommand(
      tree.root(), "diff", "Show what applying a plan would change",
      R"(Exit code 0: nothing. 1: something. Others are errors.

Examples:
  nfmeter diff -f customers.yaml
  nfmeter diff -f plans/ --rules)",
      Apply);
  diff_flags->diff = true;
  AddFile(tree, *diff, "-f,--file", diff_flags->file, kPlanFileHelp)
      ->required();
  diff->add_flag("--rules", diff_flags->rules, "show the rules, too");

  auto [exported, name] = tree.AddCommand(
      tree.root(), "export", "Write what counts outside plans as a plan",
      R"(What no plan can express is named on standard error, with the reason.

Examples:
  nfmeter export > exported.yaml)",
      Export);
  *name = "exported";
  AddText(*exported, "--name", *name, "NAME",
          "the plan's name; default: exported");
}

}  // namespace

void AddPlanCommands(CommandTree& tree) {
  AddApply(tree);
  CLI::App* const plan = tree.AddNoun("plan", "Plans that are in force");
  tree.AddCommand(*plan, "list", "List plans",
                  R"(Examples:
  nfmeter plan list -o json)",
                  [](Session& session) { return ListPlans(session); });
  auto [get, name] =
      tree.AddCommand(*plan, "get", "Print a plan as it was applied",
                      "Examples:\n  nfmeter plan get customers", GetPlan);
  const Candidates plans = NamesFrom({"plan", "list"});
  AddArgument(tree, *get, "NAME", *name, "the plan", plans);
  AddPlanStatusCommands(tree, *plan);
  auto [remove, flags] = tree.AddCommand(
      *plan, "delete", "Remove a plan with its rules and counters",
      R"(Examples:
  nfmeter plan delete customers --keep-counters)",
      DeletePlan);
  AddArgument(tree, *remove, "NAME", flags->name, "the plan", plans);
  remove->add_flag("--keep-counters", flags->keep_counters,
                   "keep its counters and what they have counted");
  remove->add_flag("--take-over", flags->take_over,
                   "delete it though somebody else applied it");
  AddEtag(*remove, *flags);
  AddChangeFlags(*remove, flags->request_id, flags->validate_only);
}

}  // namespace nfmeter::cli
