// SPDX-License-Identifier: Apache-2.0
// nfmeter flow list | top | watch
#include <algorithm>
#include <limits>
#include <memory>

#include "absl/strings/str_cat.h"
#include "cli/command_tree.h"
#include "cli/flow_flags.h"
#include "cli/flow_views.h"
#include "cli/interrupt.h"
#include "cli/quantity.h"
#include "cli/views.h"
#include "client/src/proto_time.h"
#include "client/src/status_macros.h"
#include "client/src/words.h"

namespace nfmeter::cli {
namespace {

struct ListFlags {
  FlowFilterFlags filter;
  std::string sort;
  size_t limit = 0;
};

struct SumFlags {
  FlowFilterFlags filter;
  std::string by = "src/24/48";
  std::string sort = "bytes";
  size_t limit = 20;
  std::string interval = "10s";  // watch only
  size_t count = 0;              // likewise
};

uint64_t BytesOf(const v1::Flow& flow) {
  return flow.original_counts().bytes() + flow.reply_counts().bytes();
}
uint64_t PacketsOf(const v1::Flow& flow) {
  return flow.original_counts().packets() + flow.reply_counts().packets();
}
// Oldest first; those without a start time last.
int64_t StartOf(const v1::Flow& flow) {
  if (!flow.has_start_time()) return INT64_MAX;
  return flow.start_time().seconds() * 1'000'000'000 +
         flow.start_time().nanos();
}

void Sort(const std::string& by, v1::ListFlowsResponse& response) {
  auto& flows = *response.mutable_flows();
  const auto sort = [&flows](auto before) {
    std::stable_sort(flows.pointer_begin(), flows.pointer_end(),
                     [before](const v1::Flow* a, const v1::Flow* b) {
                       return before(*a, *b);
                     });
  };
  using F = const v1::Flow&;
  if (by == "bytes") {
    sort([](F a, F b) { return BytesOf(a) > BytesOf(b); });
  } else if (by == "packets") {
    sort([](F a, F b) { return PacketsOf(a) > PacketsOf(b); });
  } else if (by == "start") {
    sort([](F a, F b) { return StartOf(a) < StartOf(b); });
  }
}

void TellNotices(Session& session, const v1::FlowReading& reading) {
  for (const std::string& notice : reading.notices()) session.Note(notice);
}

absl::Status ListFlows(Session& session, const ListFlags& flags) {
  NFM_ASSIGN_OR_RETURN(const v1::FlowFilter filter,
                       ReadFlowFilter(flags.filter));
  NFM_ASSIGN_OR_RETURN(Client* const client, session.client());
  v1::ListFlowsRequest request;
  *request.mutable_filter() = filter;
  NFM_ASSIGN_OR_RETURN(auto response,
                       client->ListFlows(request, session.call()));
  Sort(flags.sort, response);
  auto& flows = *response.mutable_flows();
  while (flags.limit > 0 && static_cast<size_t>(flows.size()) > flags.limit) {
    flows.RemoveLast();
  }
  std::vector<std::string> ids;
  for (const v1::Flow& flow : response.flows()) {
    ids.push_back(absl::StrCat(flow.id()));
  }
  session.PrintTable(
      response,
      [&](Layout layout) { return FlowTable(response.flows(), layout); }, ids);
  TellNotices(session, response.reading());
  return absl::OkStatus();
}

constexpr char kSums[] = "sums of flows";

// What SummarizeFlows and WatchFlows are asked alike.
template <typename Request>
absl::StatusOr<Request> MakeRequest(const SumFlags& flags) {
  Request request;
  NFM_ASSIGN_OR_RETURN(const v1::FlowFilter filter,
                       ReadFlowFilter(flags.filter));
  *request.mutable_filter() = filter;
  NFM_ASSIGN_OR_RETURN(const v1::FlowGrouping grouping,
                       ParseFlowGrouping(flags.by));
  *request.mutable_grouping() = grouping;
  request.set_order(static_cast<v1::FlowOrder>(
      FindEnumWord(v1::FlowOrder_descriptor(), flags.sort)));
  constexpr uint32_t kMost = std::numeric_limits<uint32_t>::max();
  request.set_limit(flags.limit == 0 ? kMost
                                     : static_cast<uint32_t>(std::min<size_t>(
                                           flags.limit, kMost)));
  return request;
}

void TellUngrouped(Session& session, const v1::FlowRanking& ranking) {
  if (ranking.ungrouped_flows() == 0) return;
  session.Note(absl::StrCat(
      ranking.ungrouped_flows(),
      " flows are in 'other' because there are too many groups, and a large "
      "one may be missing: use --by with less, or a filter"));
}

absl::Status TopFlows(Session& session, const SumFlags& flags) {
  NFM_RETURN_IF_ERROR(session.CheckNotNames(kSums));
  NFM_ASSIGN_OR_RETURN(const auto request,
                       MakeRequest<v1::SummarizeFlowsRequest>(flags));
  NFM_ASSIGN_OR_RETURN(Client* const client, session.client());
  NFM_ASSIGN_OR_RETURN(const auto response,
                       client->SummarizeFlows(request, session.call()));
  session.PrintTable(response, [&](Layout layout) {
    return FlowRankingTable(response.ranking(), response.grouping(),
                            /*with_ended=*/false, layout);
  });
  TellUngrouped(session, response.ranking());
  TellNotices(session, response.reading());
  return absl::OkStatus();
}

void PrintFrame(Session& session, const FlowFrame& next, bool first) {
  const v1::WatchFlowsResponse& frame = next.frame;
  std::ostream& out = session.console().out;
  const Table table = FlowRankingTable(frame.ranking(), frame.grouping(),
                                       /*with_ended=*/true, session.layout());
  if (session.for_people()) {
    out << (first ? "" : "\n") << SecondsText(frame.since()) << " to "
        << SecondsText(frame.reading().read_time())
        << (frame.lower_bound() ? ", at least:" : ":") << "\n"
        << session.Render(table);
  } else {
    session.PrintNext(frame, table, /*name=*/"", first);
  }
  out.flush();
  TellUngrouped(session, frame.ranking());
  // Others are the same each time.
  if (first || frame.lower_bound()) TellNotices(session, frame.reading());
  if (next.gap) {
    session.Note(
        "the connection was broken: what flows carried before this is in no "
        "frame");
  }
}

absl::Status WatchFlows(Session& session, const SumFlags& flags) {
  NFM_RETURN_IF_ERROR(session.CheckOneServer("watched"));
  NFM_RETURN_IF_ERROR(session.CheckNotNames(kSums));
  NFM_ASSIGN_OR_RETURN(auto request, MakeRequest<v1::WatchFlowsRequest>(flags));
  *request.mutable_interval() = ToProto(*ParseDuration(flags.interval));
  NFM_ASSIGN_OR_RETURN(Client* const client, session.client());
  const std::unique_ptr<FlowWatch> watch =
      client->WatchFlows(request, session.stream_options());
  const Interrupt interrupt([&] { watch->Cancel(); });
  for (size_t frames = 0; flags.count == 0 || frames < flags.count; ++frames) {
    const absl::StatusOr<FlowFrame> frame = watch->Next();
    if (!frame.ok()) return interrupt.EndOf(frame.status());
    PrintFrame(session, *frame, frames == 0);
    if (!session.console().out) break;
  }
  return absl::OkStatus();
}

void AddListCommand(CommandTree& tree, CLI::App& noun) {
  auto [command, flags] = tree.AddCommand(
      noun, "list", "List connections, with what each carried",
      R"(Flows are what the kernel's connection tracking knows: who talks to whom. No
role includes them; the server must grant 'flows: full'. They count only while
accounting is on ('nfmeter node' says). With -o csv the columns have the names
and values of IPFIX where it has them. Numbers are those since each flow began.

Examples:
  nfmeter flow list --dst 10.0.0.0/8 --dport 443 --sort bytes
  nfmeter flow list -p udp --sort packets --limit 10 -o wide
  nfmeter flow list -o csv > flows.csv)",
      ListFlows);
  AddFlowFilterFlags(tree, *command, flags->filter);
  AddChoice(tree, *command, "--sort", flags->sort,
            {"bytes", "packets", "start"}, "most first; start: oldest first");
  AddNumber(*command, "--limit,-n", flags->limit,
            "only so many, after sorting; default 0: all");
}

void AddSumFlags(CommandTree& tree, CLI::App& command, SumFlags& flags) {
  AddFlowFilterFlags(tree, command, flags.filter);
  AddText(command, "--by", flags.by, "KEYS",
          "what makes a group: src/24, dst/24/48 (IPv4 and IPv6), "
          "sport, dport, proto, mark, zone, state, with commas; '' for "
          "all together; default src/24/48");
  AddChoice(tree, command, "--sort", flags.sort, {"bytes", "packets", "flows"},
            "largest first; default bytes");
  AddNumber(command, "--limit,-n", flags.limit,
            "groups to show; the others are summed, and left out of csv; "
            "default 20; 0: as many as the server gives");
}

}  // namespace

void AddFlowCommands(CommandTree& tree) {
  CLI::App* noun =
      tree.AddNoun("flow", "See connections, and who they are between");
  AddListCommand(tree, *noun);

  auto [top, top_flags] = tree.AddCommand(
      *noun, "top", "Sum connections by what they have in common",
      R"(Sums of the flows that there are now, each since it began; for what they
carry from now on, see 'nfmeter flow watch'. The server must grant
'flows: summary', which shortens addresses (/24 and /48), or 'flows: full'.

Examples:
  nfmeter flow top --by src/24,dport
  nfmeter flow top --by dst/32 -p tcp --state ESTABLISHED --sort flows
  nfmeter flow top --by '' -o json)",
      TopFlows);
  AddSumFlags(tree, *top, *top_flags);

  auto [command, watch] = tree.AddCommand(
      *noun, "watch", "Show what connections carry, interval by interval",
      R"(Each interval says what flows carried since the one before, those that began
and ended in between included. Where the kernel had no room to tell of an end,
the interval says 'at least' and why. The first comes after one interval.
Ctrl-C ends it.

Examples:
  nfmeter flow watch --by src/24 --interval 5s
  nfmeter flow watch --by dport -p tcp -o json | jq .ranking.total)",
      WatchFlows);
  AddSumFlags(tree, *command, *watch);
  AddDuration(*command, "--interval,-i", watch->interval,
              "time between two; default 10s");
  AddNumber(*command, "--count", watch->count,
            "end after so many; default 0: never");
}

}  // namespace nfmeter::cli
