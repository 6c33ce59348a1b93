// SPDX-License-Identifier: Apache-2.0
// nfmeter apply | diff | export | plan
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "cli/apply_progress.h"
#include "cli/command_tree.h"
#include "cli/errors.h"
#include "cli/plan_files.h"
#include "cli/plan_status_commands.h"
#include "cli/quantity.h"
#include "cli/session.h"
#include "cli/table.h"
#include "cli/views.h"
#include "nfmeter/errors.h"
#include "nfmeter/v1/plan.pb.h"
#include "proto/yaml/plan_files.h"
#include "proto/yaml/yaml_message.h"

namespace nfmeter::cli {
namespace {

struct PlanFlags {
  std::string file;
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

absl::Status PrintApplied(Session& session,
                          const v1::ApplyPlanResponse& response,
                          const PlanFlags& flags, bool diff) {
  session.Print(
      {.message = response,
       .text =
           [&](Layout layout) {
             if (layout == Layout::kCsv) {
               return RenderCsv(ChangesTable(response));
             }
             std::string text = ChangesText(response, flags.rules);
             if (diff) return text;
             return absl::StrCat(
                 text, "plan ", response.plan().name(), ": ",
                 response.change_count() == 0
                     ? "nothing to change"
                     : absl::StrCat(
                           CountOf(response.change_count(), "change"),
                           flags.validate_only ? " would be made" : " made"),
                 "; ", CostText(response.cost()), "\n");
           },
       .names = {response.plan().name()}});
  return absl::OkStatus();
}

absl::Status EtagHint(const absl::Status& status) {
  if (ErrorReason(status) != "ETAG_MISMATCH") return status;
  return WithHint(status, "'nfmeter plan list' shows the etag now");
}

// Of a folder, which file it is about: errors that are not about a field of the
// plan do not name it.
absl::Status OfFile(absl::Status status, const PlanFile& file) {
  if (absl::IsInvalidArgument(status) || absl::IsUnavailable(status) ||
      absl::IsDeadlineExceeded(status)) {
    return status;
  }
  absl::Status named(status.code(),
                     absl::StrCat(file.path, ": ", status.message()));
  status.ForEachPayload([&](absl::string_view url, const absl::Cord& payload) {
    named.SetPayload(url, payload);
  });
  return named;
}

absl::Status Apply(Session& session, const PlanFlags& flags, bool diff) {
  if (diff) session.set_one_is_an_answer();
  const auto files = ReadPlanFiles(flags.file, session.console().in);
  if (!files.ok()) return files.status();
  if (!flags.etag.empty() && files->size() > 1) {
    return UsageError("--etag belongs to one plan; give one file");
  }
  auto client = session.client();
  if (!client.ok()) return client.status();
  for (const PlanFile& file : *files) {
    v1::ApplyPlanRequest request;
    *request.mutable_plan() = file.plan;
    request.set_validate_only(diff || flags.validate_only);
    request.set_etag(flags.etag);
    request.set_prune(flags.prune);
    request.set_allow_empty(diff || flags.allow_empty);
    request.set_take_over(diff || flags.take_over);
    // Each plan is a change of its own.
    if (!flags.request_id.empty()) {
      request.set_request_id(
          absl::StrCat(flags.request_id, "/", file.plan.name()));
    }
    const auto response = [&] {
      const ApplyProgress progress(session, **client, file.plan.name());
      return (*client)->ApplyPlan(request, session.call());
    }();
    if (!response.ok()) {
      absl::Status failed = AtItsPlaces(response.status(), file);
      if (files->size() > 1) failed = OfFile(std::move(failed), file);
      return EtagHint(failed);
    }
    const absl::Status printed = PrintApplied(session, *response, flags, diff);
    if (!printed.ok()) return printed;
    if (diff && response->change_count() > 0) session.set_exit_code(1);
  }
  return absl::OkStatus();
}

absl::Status Export(Session& session, const std::string& name) {
  auto client = session.client();
  if (!client.ok()) return client.status();
  const auto response = (*client)->ExportPlan(name, session.call());
  if (!response.ok()) return response.status();
  for (const std::string& each : response->left_out()) {
    session.Note(absl::StrCat("left out: ", each));
  }
  session.Print({.message = response->plan(),
                 .text = [&](Layout) { return WriteYaml(response->plan()); },
                 .names = {response->plan().name()}});
  return absl::OkStatus();
}

absl::Status GetPlan(Session& session, const std::string& name) {
  auto client = session.client();
  if (!client.ok()) return client.status();
  const auto response = (*client)->GetPlan(name, session.call());
  if (!response.ok()) return response.status();
  v1::Plan plan = response->plan();
  session.Print({.message = response->plan(),
                 .text =
                     [&](Layout) {
                       // As a file that could be applied again.
                       plan.clear_etag();
                       plan.clear_owner();
                       plan.clear_apply_time();
                       return WriteYaml(plan);
                     },
                 .names = {plan.name()}});
  return absl::OkStatus();
}

absl::Status ListPlans(Session& session) {
  auto client = session.client();
  if (!client.ok()) return client.status();
  const auto response = (*client)->ListPlans(session.call());
  if (!response.ok()) return response.status();
  Table table;
  table.headings = {{"NAME"},
                    {"OWNER", Align::kLeft, /*leave_out=*/3},
                    {"APPLIED", Align::kLeft, /*leave_out=*/2},
                    {"ETAG", Align::kLeft, /*leave_out=*/1}};
  std::vector<std::string> names;
  for (const v1::Plan& plan : response->plans()) {
    names.push_back(plan.name());
    table.rows.push_back({{plan.name()},
                          {plan.owner()},
                          {SecondsText(plan.apply_time())},
                          {plan.etag()}});
  }
  session.Print(
      {.message = *response,
       .text = [&](Layout layout) { return session.Render(table, layout); },
       .names = names});
  if (names.empty() && session.for_people()) {
    session.Note("no plans; 'nfmeter apply -f FILE' makes one");
  }
  return absl::OkStatus();
}

absl::Status DeletePlan(Session& session, const PlanFlags& flags) {
  auto client = session.client();
  if (!client.ok()) return client.status();
  v1::DeletePlanRequest request;
  request.set_name(flags.name);
  request.set_etag(flags.etag);
  request.set_validate_only(flags.validate_only);
  request.set_request_id(flags.request_id);
  request.set_keep_counters(flags.keep_counters);
  request.set_take_over(flags.take_over);
  const auto response = (*client)->DeletePlan(request, session.call());
  if (!response.ok()) return EtagHint(response.status());
  session.Print({.message = *response,
                 .text =
                     [&](Layout) {
                       return absl::StrCat(
                           flags.validate_only ? "would delete " : "deleted ",
                           CountOf(response->deleted_counters(), "counter"),
                           " and ", CountOf(response->deleted_rules(), "rule"),
                           "\n");
                     },
                 .names = {flags.name}});
  return absl::OkStatus();
}

void AddFile(CommandTree& tree, CLI::App& command, PlanFlags& flags) {
  CLI::Option* const option =
      command
          .add_option("-f,--file", flags.file,
                      "a plan in YAML or JSON, '-' for standard input, or a "
                      "folder of them")
          ->option_text("FILE")
          ->required();
  tree.Suggest(option, {Candidates::kFiles, {}});
}

void AddEtag(CLI::App& command, PlanFlags& flags) {
  command
      .add_option("--etag", flags.etag,
                  "only if the plan in force still has this etag, see 'nfmeter "
                  "plan list'")
      ->option_text("ETAG");
}

void AddApply(CommandTree& tree) {
  auto flags = std::make_shared<PlanFlags>();
  CLI::App* const apply = tree.AddCommand(
      tree.root(), "apply", "Put a plan in force, and keep it so",
      R"(What differs is changed: counters first, then the rules in one commit,
then what is no longer needed. The same plan again changes nothing. See
docs/plans.md for how plans look.

Examples:
  nfmeter apply -f customers.yaml
  nfmeter apply -f plans/ --prune
  nfmeter export | nfmeter apply -f - --validate-only)",
      [flags](Session& session) {
        return Apply(session, *flags, /*diff=*/false);
      });
  AddFile(tree, *apply, *flags);
  apply->add_flag("--prune", flags->prune,
                  "delete counters that leave the plan by this");
  apply->add_flag("--allow-empty", flags->allow_empty,
                  "let an empty plan remove all that it had");
  apply->add_flag("--take-over", flags->take_over,
                  "take the plan over from whoever applied it");
  apply->add_flag("--rules", flags->rules, "show the rules that change");
  AddEtag(*apply, *flags);
  AddChangeFlags(*apply, flags->request_id, flags->validate_only);

  auto diff_flags = std::make_shared<PlanFlags>();
  CLI::App* const diff = tree.AddCommand(
      tree.root(), "diff", "Show what applying a plan would change",
      R"(Exit code 0: nothing. 1: something. Others are errors.

Examples:
  nfmeter diff -f customers.yaml
  nfmeter diff -f plans/ --rules)",
      [diff_flags](Session& session) {
        return Apply(session, *diff_flags, /*diff=*/true);
      });
  AddFile(tree, *diff, *diff_flags);
  diff->add_flag("--rules", diff_flags->rules, "show the rules, too");

  auto name = std::make_shared<std::string>("exported");
  CLI::App* const exported = tree.AddCommand(
      tree.root(), "export", "Write what counts outside plans as a plan",
      R"(What no plan can express is named on standard error, with the reason.

Examples:
  nfmeter export > exported.yaml)",
      [name](Session& session) { return Export(session, *name); });
  exported->add_option("--name", *name, "the plan's name; default: exported")
      ->option_text("NAME");
}

CLI::App* AddPlanVerb(CommandTree& tree, CLI::App& noun,
                      const std::string& verb, const std::string& summary,
                      absl::Status (*action)(Session&, const std::string&)) {
  auto name = std::make_shared<std::string>();
  CLI::App* const command = tree.AddCommand(
      noun, verb, summary,
      absl::StrCat("Examples:\n  nfmeter plan ", verb, " customers"),
      [name, action](Session& session) { return action(session, *name); });
  command->add_option("NAME", *name, "the plan")->required();
  return command;
}

}  // namespace

void AddPlanCommands(CommandTree& tree) {
  AddApply(tree);
  CLI::App* const plan = tree.AddNoun("plan", "Plans that are in force");
  tree.AddCommand(*plan, "list", "List plans",
                  R"(Examples:
  nfmeter plan list -o json)",
                  [](Session& session) { return ListPlans(session); });
  AddPlanVerb(tree, *plan, "get", "Print a plan as it was applied", GetPlan);
  AddPlanStatusCommands(tree, *plan);
  auto flags = std::make_shared<PlanFlags>();
  CLI::App* const remove = tree.AddCommand(
      *plan, "delete", "Remove a plan with its rules and counters",
      R"(Examples:
  nfmeter plan delete customers --keep-counters)",
      [flags](Session& session) { return DeletePlan(session, *flags); });
  remove->add_option("NAME", flags->name, "the plan")->required();
  remove->add_flag("--keep-counters", flags->keep_counters,
                   "keep its counters and what they have counted");
  remove->add_flag("--take-over", flags->take_over,
                   "delete it though somebody else applied it");
  AddEtag(*remove, *flags);
  AddChangeFlags(*remove, flags->request_id, flags->validate_only);
}

}  // namespace nfmeter::cli
