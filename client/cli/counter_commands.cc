// SPDX-License-Identifier: Apache-2.0
// nfmeter counter get | list, and what all of its commands share
#include "cli/counter_commands.h"

#include <algorithm>
#include <memory>

#include "absl/algorithm/container.h"
#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "cli/escapes.h"
#include "cli/filter_flags.h"
#include "cli/input.h"
#include "cli/quantity.h"
#include "client/src/proto_time.h"
#include "client/src/status_macros.h"
#include "proto/words/name_glob.h"
#include "proto/words/quantity_words.h"

namespace nfmeter::cli {
namespace {

void AddMaxStaleness(CLI::App& command, std::string& value) {
  AddDuration(command, "--max-staleness", value,
              "take values up to this old, which cost the server less");
}

template <typename Request>
void SetMaxStaleness(const std::string& value, Request& request) {
  const auto staleness = ParseDuration(value);
  if (staleness.ok()) *request.mutable_max_staleness() = ToProto(*staleness);
}

// --- get

absl::Status GetCounters(Session& session, const NameFlags& flags) {
  auto names = Names(session, flags);
  if (!names.ok() || names->empty()) return names.status();
  NFM_ASSIGN_OR_RETURN(Client* const client, session.client());
  if (IsSingle(flags)) {
    v1::GetCounterRequest request;
    request.set_name(names->front());
    SetMaxStaleness(flags.max_staleness, request);
    NFM_ASSIGN_OR_RETURN(auto response,
                         client->GetCounter(request, session.call()));
    PrintCounters(session, response, ListOf(response.counter()));
    return absl::OkStatus();
  }
  v1::BatchGetCountersRequest request;
  request.mutable_names()->Assign(names->begin(), names->end());
  SetMaxStaleness(flags.max_staleness, request);
  NFM_ASSIGN_OR_RETURN(auto response,
                       client->BatchGetCounters(request, session.call()));
  PrintCounters(session, response, response.counters());
  return absl::OkStatus();
}

void AddGet(CommandTree& tree, CLI::App& parent) {
  auto [command, flags] = tree.AddCommand(
      parent, "get", "Show counters by name",
      R"(With -o json one name gives {"counter": ...}; several names, or '-', give
{"counters": [...]}.

Examples:
  nfmeter counter get http-traffic
  nfmeter counter get alice bob -o json
  nfmeter counter get 'host-*' --max-staleness 10s
  nfmeter counter list 'host-*' -o name | nfmeter counter get -)",
      GetCounters);
  AddNames(tree, *command, *flags);
  AddMaxStaleness(*command, flags->max_staleness);
}

// --- list

struct ListFlags {
  v1::CounterFilter filter;
  std::string max_staleness;
};

absl::Status ListCounters(Session& session, const ListFlags& flags) {
  NFM_ASSIGN_OR_RETURN(Client* const client, session.client());
  v1::ListCountersRequest request;
  *request.mutable_filter() = flags.filter;
  SetMaxStaleness(flags.max_staleness, request);
  NFM_ASSIGN_OR_RETURN(auto response,
                       client->ListCounters(request, session.call()));
  if (session.for_people() && response.counters().empty()) {
    const bool filtered = flags.filter.ByteSizeLong() > 0;
    session.Note(filtered ? "no counter matches"
                          : "there are no counters; 'nfmeter counter create "
                            "NAME' makes one");
    return absl::OkStatus();
  }
  PrintCounters(session, response, response.counters());
  return absl::OkStatus();
}

void AddList(CommandTree& tree, CLI::App& parent) {
  auto [command, flags] = tree.AddCommand(parent, "list", "List counters",
                                          R"(Examples:
  nfmeter counter list
  nfmeter counter list 'http*' -o wide
  nfmeter counter list --managed --label tenant=acme -o csv
  nfmeter counter list -l 'tenant!=acme')",
                                          ListCounters);
  AddFilterFlags(tree, *command, flags->filter);
  AddMaxStaleness(*command, flags->max_staleness);
}

// Of the counters that `glob` matches; empty: all.
absl::StatusOr<std::vector<std::string>> MatchingNames(Session& session,
                                                       const std::string& glob,
                                                       bool managed) {
  NFM_ASSIGN_OR_RETURN(Client* const client, session.client());
  v1::ListCountersRequest request;
  request.mutable_filter()->set_name_glob(NameBytes(glob));
  request.mutable_filter()->set_managed_only(managed);
  NFM_ASSIGN_OR_RETURN(auto response,
                       client->ListCounters(request, session.call()));
  return NamesOf(response.counters());
}

// `names` without those of counters that others made, of which it tells.
absl::StatusOr<std::vector<std::string>> KeepManaged(
    Session& session, std::vector<std::string> names) {
  NFM_ASSIGN_OR_RETURN(auto managed, MatchingNames(session, "", true));
  const absl::flat_hash_set<std::string> ours(managed.begin(), managed.end());
  const auto others = std::stable_partition(
      names.begin(), names.end(),
      [&ours](const std::string& name) { return ours.contains(name); });
  for (auto name = others; name != names.end(); ++name) {
    session.console().err << "left out '" << Printable(*name)
                          << "', which was not made through nfmeter\n";
  }
  names.erase(others, names.end());
  return names;
}

}  // namespace

void AddQuotaLimit(CLI::App& command, QuotaLimit& limit) {
  CLI::Option* packets = AddCount(command, "--quota-packets", limit.packets,
                                  "quota in packets: 10000, 10M (10^7)");
  AddBytes(command, "--quota-bytes", limit.bytes,
           "quota in bytes: 10MB (10^7), 10GiB (10 * 2^30)")
      ->excludes(packets);
}

void SetQuota(const QuotaLimit& limit, v1::Counter& counter) {
  if (!limit.packets.empty()) {
    counter.mutable_quota()->set_packets(ParseCount(limit.packets).value_or(0));
  }
  if (!limit.bytes.empty()) {
    counter.mutable_quota()->set_bytes(ParseBytes(limit.bytes).value_or(0));
  }
}

void PrintCounters(Session& session, const google::protobuf::Message& message,
                   const Counters& counters) {
  session.PrintTable(
      message, [&](Layout layout) { return CounterTable(counters, layout); },
      NamesOf(counters));
}

void AddNames(CommandTree& tree, CLI::App& command, NameFlags& flags) {
  AddArgument(tree, command, "NAME", flags.names,
              "names of counters, or globs in quotes: 'host-*' ([*] for a star "
              "itself); '-': one a line on standard input",
              NamesFrom({"counter", "list"}));
  command.add_flag("--managed,-m", flags.managed,
                   "leave out those that others made");
}

void AddCounterChangeFlags(CLI::App& command, NameFlags& flags) {
  AddText(command, "--etag", flags.etag, "ETAG",
          "only if it still has this etag");
  AddChangeFlags(command, flags.request_id, flags.validate_only);
}

absl::StatusOr<std::vector<std::string>> Names(Session& session,
                                               const NameFlags& flags) {
  std::vector<std::string> plain;
  std::vector<std::string> matched;
  for (const std::string& name : flags.names) {
    if (IsGlob(name)) {
      NFM_ASSIGN_OR_RETURN(auto names,
                           MatchingNames(session, name, flags.managed));
      if (names.empty()) {
        return absl::NotFoundError(
            absl::StrCat("no counter matches '", name, "'"));
      }
      matched.insert(matched.end(), names.begin(), names.end());
    } else {
      plain.push_back(name);
    }
  }
  auto names = ExpandNames(plain, session.console().in);
  if (names.ok() && flags.managed && !names->empty()) {
    names = KeepManaged(session, *std::move(names));
  }
  if (!names.ok()) return names.status();
  const absl::flat_hash_set<std::string> known(names->begin(), names->end());
  absl::c_sort(matched);
  matched.erase(std::unique(matched.begin(), matched.end()), matched.end());
  for (std::string& name : matched) {
    if (!known.contains(name)) names->push_back(std::move(name));
  }
  if (names->empty()) {
    session.console().err << (flags.managed
                                  ? "nothing to do\n"
                                  : "nothing to do: no names on standard "
                                    "input\n");
  }
  return names;
}

bool IsSingle(const NameFlags& flags) {
  return flags.names.size() == 1 && flags.names[0] != "-" &&
         !IsGlob(flags.names[0]);
}

void AddCounterCommands(CommandTree& tree) {
  CLI::App* counter = tree.AddNoun(
      "counter", "Create, read, change, reset and delete counters");
  AddCounterCreate(tree, *counter);
  AddGet(tree, *counter);
  AddList(tree, *counter);
  AddCounterUpdate(tree, *counter);
  AddCounterReset(tree, *counter);
  AddCounterDelete(tree, *counter);
}

}  // namespace nfmeter::cli
