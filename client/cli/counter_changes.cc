// SPDX-License-Identifier: Apache-2.0
// nfmeter counter create | reset | delete
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "cli/counter_commands.h"
#include "cli/errors.h"
#include "cli/input.h"
#include "cli/progress.h"
#include "client/src/status_macros.h"
#include "client/src/words.h"
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
  QuotaLimit quota;
  std::string description;
  std::string start_packets;
  std::string start_bytes;
  std::string request_id;
  bool validate_only = false;
  Labels labels;
};

// What the flags say about a counter. They win over what a file says.
void ApplyFlags(const CreateFlags& flags, v1::Counter& counter) {
  SetQuota(flags.quota, counter);
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
    NFM_ASSIGN_OR_RETURN(auto text,
                         ReadSource(flags.from, session.console().in));
    NFM_ASSIGN_OR_RETURN(
        auto parsed,
        ParseCounters(text, flags.from == "-" ? "standard input" : flags.from));
    request = std::move(parsed);
  }
  NFM_ASSIGN_OR_RETURN(auto names,
                       ExpandNames(flags.names, session.console().in));
  for (const std::string& name : names) {
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

absl::Status CreateCounters(Session& session, const CreateFlags& flags) {
  if (flags.names.empty() && flags.from.empty()) {
    return UsageError("'nfmeter counter create' needs a NAME or --from FILE",
                      "nfmeter counter create http-traffic");
  }
  NFM_ASSIGN_OR_RETURN(auto request, CreateRequest(session, flags));
  if (request.counters().empty()) {
    session.console().err << "nothing to do: no counters were named\n";
    return absl::OkStatus();
  }
  NFM_ASSIGN_OR_RETURN(Client* const client, session.client());
  if (flags.names.size() == 1 && flags.names[0] != "-") {
    v1::CreateCounterRequest single;
    *single.mutable_counter() = request.counters(0);
    single.set_validate_only(request.validate_only());
    single.set_request_id(request.request_id());
    NFM_ASSIGN_OR_RETURN(const auto response,
                         client->CreateCounter(single, session.call()));
    PrintCreated(session, response, ListOf(response.counter()),
                 flags.validate_only);
    return absl::OkStatus();
  }
  const std::string what =
      absl::StrCat("Creating ", CountOf(request.counters_size(), "counter"));
  NFM_ASSIGN_OR_RETURN(const auto response,
                       client->BatchCreateCounters(
                           request, session.call(),
                           Progress(session.console(), what).Callback()));
  PrintCreated(session, response, response.counters(), flags.validate_only);
  return absl::OkStatus();
}

// --- reset and delete: the last values are what people want to see

void PrintLast(Session& session, const google::protobuf::Message& message,
               const Counters& counters, const NameFlags& flags,
               absl::string_view done) {
  if (session.for_people()) {
    session.console().out << (flags.validate_only
                                  ? "Nothing was changed. Values now:\n"
                                  : absl::StrCat(
                                        done, " ",
                                        CountOf(counters.size(), "counter"),
                                        ". Last values:\n"));
  }
  PrintCounters(session, message, counters);
}

// A hint at --with-rules is none for those who gave it.
absl::Status ExplainInUse(const absl::Status& failure, const NameFlags& flags) {
  if (ErrorReason(failure) != "COUNTER_IN_USE" || !flags.with_rules ||
      ErrorMetadata(failure).contains("plan")) {
    return failure;
  }
  return WithHint(failure, kForeignRulesHint);
}

// A request of either, about one counter or several.
template <typename Request>
Request RequestOf(const NameFlags& flags) {
  Request request;
  request.set_validate_only(flags.validate_only);
  request.set_request_id(flags.request_id);
  if constexpr (requires { request.delete_managed_rules(); }) {
    request.set_delete_managed_rules(flags.with_rules);
  }
  return request;
}

// `done` is "Reset", `doing` "Resetting".
template <typename OneRequest, typename One, typename Request, typename Several>
absl::Status Change(
    Session& session, const NameFlags& flags, absl::string_view doing,
    absl::string_view done,
    absl::StatusOr<One> (Client::*one)(const OneRequest&, const CallOptions&),
    absl::StatusOr<Several> (Client::*several)(const Request&,
                                               const CallOptions&,
                                               const BatchProgress&)) {
  NFM_RETURN_IF_ERROR(EtagNeedsOneName(flags));
  NFM_ASSIGN_OR_RETURN(const auto names, Names(session, flags));
  if (names.empty()) return absl::OkStatus();
  NFM_ASSIGN_OR_RETURN(Client* const client, session.client());
  if (IsSingle(flags)) {
    auto request = RequestOf<OneRequest>(flags);
    request.set_name(names.front());
    request.set_etag(flags.etag);
    const auto response = (client->*one)(request, session.call());
    if (!response.ok()) return ExplainInUse(response.status(), flags);
    PrintLast(session, *response, ListOf(response->counter()), flags, done);
    return absl::OkStatus();
  }
  auto request = RequestOf<Request>(flags);
  request.mutable_names()->Assign(names.begin(), names.end());
  const std::string what =
      absl::StrCat(doing, " ", CountOf(names.size(), "counter"));
  const auto response = (client->*several)(
      request, session.call(), Progress(session.console(), what).Callback());
  if (!response.ok()) return ExplainInUse(response.status(), flags);
  PrintLast(session, *response, response->counters(), flags, done);
  return ReportFailures(session, *response, absl::AsciiStrToLower(done));
}

absl::Status ResetCounters(Session& session, const NameFlags& flags) {
  return Change(session, flags, "Resetting", "Reset", &Client::ResetCounter,
                &Client::BatchResetCounters);
}

absl::Status DeleteCounters(Session& session, const NameFlags& flags) {
  return Change(session, flags, "Deleting", "Deleted", &Client::DeleteCounter,
                &Client::BatchDeleteCounters);
}

}  // namespace

void AddCounterCreate(CommandTree& tree, CLI::App& parent) {
  auto [command, flags] = tree.AddCommand(
      parent, "create", "Create counters",
      R"(Names are 1 to 253 of A-Z a-z 0-9 . _ : / @ + -. All are created, or none; more
than the server's largest batch ('nfmeter node -o wide') go in several, each all
or none. A rule whose counter has a quota matches only while the quota is
exceeded: with --verdict drop it is a cap.

FILE has one name a line, or is what 'counter list' prints with -o json, yaml or
csv: packets and bytes are what to start from.

Examples:
  nfmeter counter create http-traffic
  nfmeter counter create alice bob --label tenant=acme --quota-bytes 10GiB
  seq -f 'host-%g' 1000 | nfmeter counter create --from -)",
      CreateCounters);
  command->add_option("NAME", flags->names,
                      "names of counters; '-': one a line on standard input");
  AddFile(tree, *command, "--from", flags->from,
          "names or counters in this file; '-': standard input");
  AddQuotaLimit(*command, flags->quota);
  AddLabels(*command, flags->labels, "kept by the server; may be repeated");
  AddText(*command, "--description", flags->description, "TEXT",
          "what it is, for people; kept by the server");
  AddCount(*command, "--start-packets", flags->start_packets,
           "value to start from; default 0");
  AddBytes(*command, "--start-bytes", flags->start_bytes,
           "value to start from; default 0");
  AddChangeFlags(*command, flags->request_id, flags->validate_only);
}

void AddCounterReset(CommandTree& tree, CLI::App& parent) {
  auto [command, flags] = tree.AddCommand(
      parent, "reset", "Set counters to zero and print what they had",
      R"(Each counter is read and zeroed in one step of the kernel: no packet falls in
between. Quotas are armed again. More than 2,000 go in parts: names are checked
and --timeout counts part by part, and what failed is listed.

Examples:
  nfmeter counter reset http-traffic
  nfmeter counter reset 'host-*' -o csv)",
      ResetCounters);
  AddNames(tree, *command, *flags);
  AddCounterChangeFlags(*command, *flags);
}

void AddCounterDelete(CommandTree& tree, CLI::App& parent) {
  auto [command, flags] = tree.AddCommand(
      parent, "delete", "Delete counters and print what they had",
      R"(A counter that rules count into is not deleted, unless --with-rules deletes
those of nfmeter first. Rules that others made are never deleted; counters that
others made are, unless --managed leaves them out. More than 2,000 go in parts:
all is checked and --timeout counts part by part, and what failed is listed.

Examples:
  nfmeter counter delete http-traffic --with-rules
  nfmeter counter delete 'tmp-*' --managed
  nfmeter counter list -l tenant=acme -o name | nfmeter counter delete -)",
      DeleteCounters);
  AddNames(tree, *command, *flags);
  command->add_flag("--with-rules", flags->with_rules,
                    "delete nfmeter's rules that count into them, too");
  AddCounterChangeFlags(*command, *flags);
}

}  // namespace nfmeter::cli
