// SPDX-License-Identifier: Apache-2.0
// nfmeter counter create | reset | delete
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "cli/counter_commands.h"
#include "cli/errors.h"
#include "cli/filter_flags.h"
#include "cli/input.h"
#include "cli/progress.h"
#include "cli/quantity.h"
#include "google/rpc/error_details.pb.h"
#include "nfmeter/errors.h"
#include "proto/words/quantity_words.h"

namespace nfmeter::cli {
namespace {

bool IsNotTried(const v1::BatchFailure& failure) {
  google::rpc::ErrorInfo info;
  for (const google::protobuf::Any& detail : failure.status().details()) {
    if (detail.UnpackTo(&info)) return info.reason() == reason::kNotTried;
  }
  return false;
}

// Prints the failures of a batch; the status that the command ends with.
template <typename Response>
absl::Status ReportFailures(Session& session, const Response& response,
                            absl::string_view undone) {
  if (response.failures().empty()) return absl::OkStatus();
  std::vector<const v1::BatchFailure*> refused;
  std::vector<const v1::BatchFailure*> not_tried;
  for (const v1::BatchFailure& failure : response.failures()) {
    (IsNotTried(failure) ? not_tried : refused).push_back(&failure);
  }
  for (const v1::BatchFailure* failure : refused) {
    session.console().err << "  " << Printable(failure->name()) << ": "
                          << Printable(failure->status().message()) << "\n";
  }
  std::string message = absl::StrCat(
      response.failures_size(), " of ",
      CountOf(response.failures_size() + response.counters_size(), "counter"),
      " could not be ", undone, ", as listed above");
  if (!not_tried.empty()) {
    absl::StrAppend(&message, "; ", not_tried.size(), " of them, from '",
                    Printable(not_tried.front()->name()),
                    "' on, were not tried: repeat it without the others");
  }
  const v1::BatchFailure& first =
      refused.empty() ? response.failures(0) : *refused.front();
  return absl::Status(static_cast<absl::StatusCode>(first.status().code()),
                      message);
}

absl::Status EtagNeedsOneName(const NameFlags& flags) {
  if (flags.etag.empty() || IsSingle(flags)) return absl::OkStatus();
  return UsageError("--etag belongs to one counter; give one name");
}

// --- create

struct CreateFlags {
  std::vector<std::string> names;
  std::string from;
  std::string quota_packets;
  std::string quota_bytes;
  std::string description;
  std::string start_packets;
  std::string start_bytes;
  std::string request_id;
  bool validate_only = false;
  Labels labels;
};

// What the flags say about a counter. They win over what a file says.
void ApplyFlags(const CreateFlags& flags, v1::Counter& counter) {
  SetQuota(flags.quota_packets, flags.quota_bytes, counter);
  if (!flags.start_packets.empty()) {
    counter.set_packets(ParseCount(flags.start_packets).value_or(0));
  }
  if (!flags.start_bytes.empty()) {
    counter.set_bytes(ParseBytes(flags.start_bytes).value_or(0));
  }
  for (const auto& [key, value] : flags.labels) {
    (*counter.mutable_labels())[key] = value;
  }
  if (!flags.description.empty()) counter.set_description(flags.description);
}

absl::StatusOr<v1::BatchCreateCountersRequest> CreateRequest(
    Session& session, const CreateFlags& flags) {
  v1::BatchCreateCountersRequest request;
  if (!flags.from.empty()) {
    if (!flags.names.empty()) {
      return UsageError("names and --from can't be given together");
    }
    auto text = ReadSource(flags.from, session.console().in);
    if (!text.ok()) return text.status();
    auto parsed =
        ParseCounters(*text, flags.from == "-" ? "standard input" : flags.from);
    if (!parsed.ok()) return parsed.status();
    request = *std::move(parsed);
  }
  auto names = ExpandNames(flags.names, session.console().in);
  if (!names.ok()) return names.status();
  for (const std::string& name : *names) {
    request.add_counters()->set_name(name);
  }
  for (v1::Counter& counter : *request.mutable_counters()) {
    ApplyFlags(flags, counter);
  }
  request.set_validate_only(flags.validate_only);
  if (!flags.request_id.empty()) request.set_request_id(flags.request_id);
  return request;
}

void PrintCreated(Session& session, const google::protobuf::Message& message,
                  const Counters& counters, bool validate_only) {
  if (session.format() != Format::kTable) {
    return PrintCounters(session, message, counters);
  }
  std::ostream& out = session.console().out;
  if (validate_only) {
    out << CountOf(counters.size(), "counter")
        << " could be created; nothing was changed." << std::endl;
  } else if (counters.size() == 1) {
    out << "Created counter " << Printable(counters[0].name()) << "."
        << std::endl;
  } else {
    out << "Created " << CountOf(counters.size(), "counter") << "."
        << std::endl;
  }
}

absl::Status Create(Session& session, const CreateFlags& flags) {
  if (flags.names.empty() && flags.from.empty()) {
    return UsageError("'nfmeter counter create' needs a NAME or --from FILE",
                      "nfmeter counter create http-traffic");
  }
  auto request = CreateRequest(session, flags);
  if (!request.ok()) return request.status();
  if (request->counters().empty()) {
    session.console().err << "nothing to do: no counters were named\n";
    return absl::OkStatus();
  }
  auto client = session.client();
  if (!client.ok()) return client.status();
  if (flags.names.size() == 1 && flags.names[0] != "-") {
    v1::CreateCounterRequest single;
    *single.mutable_counter() = request->counters(0);
    single.set_validate_only(request->validate_only());
    single.set_request_id(request->request_id());
    auto response = (*client)->CreateCounter(single, session.call());
    if (!response.ok()) return response.status();
    Counters counters;
    *counters.Add() = response->counter();
    PrintCreated(session, *response, counters, flags.validate_only);
    return absl::OkStatus();
  }
  absl::StatusOr<v1::BatchCreateCountersResponse> response;
  {
    Progress progress(
        session.console(),
        absl::StrCat("Creating ",
                     CountOf(request->counters_size(), "counter")));
    response = (*client)->BatchCreateCounters(*request, session.call(),
                                              progress.Callback());
  }
  if (!response.ok()) return response.status();
  PrintCreated(session, *response, response->counters(), flags.validate_only);
  return absl::OkStatus();
}

// --- reset and delete: the last values are what people want to see

void PrintLast(Session& session, const google::protobuf::Message& message,
               const Counters& counters, const NameFlags& flags,
               absl::string_view done) {
  if (session.for_people()) {
    session.console().out
        << (flags.validate_only
                ? absl::StrCat("Nothing was changed. Values now:\n")
                : absl::StrCat(done, " ", CountOf(counters.size(), "counter"),
                               ". Last values:\n"));
  }
  PrintCounters(session, message, counters);
}

absl::Status Reset(Session& session, const NameFlags& flags) {
  if (auto status = EtagNeedsOneName(flags); !status.ok()) return status;
  auto names = Names(session, flags);
  if (!names.ok() || names->empty()) return names.status();
  auto client = session.client();
  if (!client.ok()) return client.status();
  if (IsSingle(flags)) {
    v1::ResetCounterRequest request;
    request.set_name(names->front());
    request.set_etag(flags.etag);
    request.set_validate_only(flags.validate_only);
    request.set_request_id(flags.request_id);
    auto response = (*client)->ResetCounter(request, session.call());
    if (!response.ok()) return response.status();
    Counters counters;
    *counters.Add() = response->counter();
    PrintLast(session, *response, counters, flags, "Reset");
    return absl::OkStatus();
  }
  v1::BatchResetCountersRequest request;
  request.mutable_names()->Assign(names->begin(), names->end());
  request.set_validate_only(flags.validate_only);
  request.set_request_id(flags.request_id);
  absl::StatusOr<v1::BatchResetCountersResponse> response;
  {
    Progress progress(
        session.console(),
        absl::StrCat("Resetting ", CountOf(names->size(), "counter")));
    response = (*client)->BatchResetCounters(request, session.call(),
                                             progress.Callback());
  }
  if (!response.ok()) return response.status();
  PrintLast(session, *response, response->counters(), flags, "Reset");
  return ReportFailures(session, *response, "reset");
}

// A hint at --with-rules is none for those who gave it.
absl::Status ExplainInUse(const absl::Status& failure, const NameFlags& flags) {
  if (ErrorReason(failure) != "COUNTER_IN_USE" || !flags.with_rules) {
    return failure;
  }
  return WithHint(failure, kForeignRulesHint);
}

absl::Status Delete(Session& session, const NameFlags& flags) {
  if (auto status = EtagNeedsOneName(flags); !status.ok()) return status;
  auto names = Names(session, flags);
  if (!names.ok() || names->empty()) return names.status();
  auto client = session.client();
  if (!client.ok()) return client.status();
  if (IsSingle(flags)) {
    v1::DeleteCounterRequest request;
    request.set_name(names->front());
    request.set_etag(flags.etag);
    request.set_validate_only(flags.validate_only);
    request.set_request_id(flags.request_id);
    request.set_delete_managed_rules(flags.with_rules);
    auto response = (*client)->DeleteCounter(request, session.call());
    if (!response.ok()) return ExplainInUse(response.status(), flags);
    Counters counters;
    *counters.Add() = response->counter();
    PrintLast(session, *response, counters, flags, "Deleted");
    return absl::OkStatus();
  }
  v1::BatchDeleteCountersRequest request;
  request.mutable_names()->Assign(names->begin(), names->end());
  request.set_validate_only(flags.validate_only);
  request.set_request_id(flags.request_id);
  request.set_delete_managed_rules(flags.with_rules);
  absl::StatusOr<v1::BatchDeleteCountersResponse> response;
  {
    Progress progress(
        session.console(),
        absl::StrCat("Deleting ", CountOf(names->size(), "counter")));
    response = (*client)->BatchDeleteCounters(request, session.call(),
                                              progress.Callback());
  }
  if (!response.ok()) return ExplainInUse(response.status(), flags);
  PrintLast(session, *response, response->counters(), flags, "Deleted");
  return ReportFailures(session, *response, "deleted");
}

}  // namespace

void AddCounterCreate(CommandTree& tree, CLI::App& parent) {
  auto flags = std::make_shared<CreateFlags>();
  CLI::App* command = tree.AddCommand(
      parent, "create", "Create counters",
      R"(Names are 1 to 253 of A-Z a-z 0-9 . _ : / @ + -. All are created, or none; more
than the server's largest batch ('nfmeter node -o wide') go in several, each all
or none.
A rule whose counter has a quota matches only
while the quota is exceeded: with --verdict drop it is a cap.

FILE has one name a line, or is what 'counter list' prints with -o json, yaml or
csv: packets and bytes are what to start from.

Examples:
  nfmeter counter create http-traffic
  nfmeter counter create alice bob --label tenant=acme --quota-bytes 10GiB
  seq -f 'host-%g' 1000 | nfmeter counter create --from -)",
      [flags](Session& session) { return Create(session, *flags); });
  AddNames(tree, *command, flags->names, false);
  CLI::Option* from = command->add_option(
      "--from", flags->from,
      "names or counters in this file; '-': standard input");
  from->option_text("FILE");
  tree.Suggest(from, {Candidates::kFiles});
  CLI::Option* packets =
      AddCount(*command, "--quota-packets", flags->quota_packets,
               "quota in packets: 10000, 10M (10^7)");
  AddBytes(*command, "--quota-bytes", flags->quota_bytes,
           "quota in bytes: 10MB (10^7), 10GiB (10 * 2^30)")
      ->excludes(packets);
  AddLabels(*command, flags->labels, "kept by the server; may be repeated");
  command
      ->add_option("--description", flags->description,
                   "what it is, for people; kept by the server")
      ->option_text("TEXT");
  AddCount(*command, "--start-packets", flags->start_packets,
           "value to start from; default 0");
  AddBytes(*command, "--start-bytes", flags->start_bytes,
           "value to start from; default 0");
  AddChangeFlags(*command, flags->request_id, flags->validate_only);
}

void AddCounterReset(CommandTree& tree, CLI::App& parent) {
  auto flags = std::make_shared<NameFlags>();
  CLI::App* command = tree.AddCommand(
      parent, "reset", "Set counters to zero and print what they had",
      R"(Each counter is read and zeroed in one step of the kernel: no packet falls in
between. Quotas are armed again. More than 2,000 go in parts: names are checked
and --timeout counts part by part, and what failed is listed.

Examples:
  nfmeter counter reset http-traffic
  nfmeter counter reset 'host-*' -o csv)",
      [flags](Session& session) { return Reset(session, *flags); });
  AddNames(tree, *command, flags->names, true)->required();
  AddManagedFlag(*command, flags->managed);
  command->add_option("--etag", flags->etag, "only if it still has this etag")
      ->option_text("ETAG");
  AddChangeFlags(*command, flags->request_id, flags->validate_only);
}

void AddCounterDelete(CommandTree& tree, CLI::App& parent) {
  auto flags = std::make_shared<NameFlags>();
  CLI::App* command = tree.AddCommand(
      parent, "delete", "Delete counters and print what they had",
      R"(A counter that rules count into is not deleted, unless --with-rules deletes
those of nfmeter first. Rules that others made are never deleted; counters that
others made are, unless --managed leaves them out. More than 2,000 go in parts:
all is checked and --timeout counts part by part, and what failed is listed.

Examples:
  nfmeter counter delete http-traffic --with-rules
  nfmeter counter delete 'tmp-*' --managed
  nfmeter counter list -l tenant=acme -o name | nfmeter counter delete -)",
      [flags](Session& session) { return Delete(session, *flags); });
  AddNames(tree, *command, flags->names, true)->required();
  AddManagedFlag(*command, flags->managed);
  command->add_flag("--with-rules", flags->with_rules,
                    "delete nfmeter's rules that count into them, too");
  command->add_option("--etag", flags->etag, "only if it still has this etag")
      ->option_text("ETAG");
  AddChangeFlags(*command, flags->request_id, flags->validate_only);
}

}  // namespace nfmeter::cli
