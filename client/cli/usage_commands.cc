// SPDX-License-Identifier: Apache-2.0
// nfmeter usage report | plot | gaps | consumers | delete-consumer
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "cli/command_tree.h"
#include "cli/errors.h"
#include "cli/filter_flags.h"
#include "cli/time_range.h"
#include "cli/usage_views.h"
#include "cli/views.h"
#include "client/src/proto_time.h"
#include "client/src/status_macros.h"

namespace nfmeter::cli {
namespace {

constexpr char kTimes[] =
    R"(Times: 24h or 7d (so long ago), today, yesterday, this-month, last-month, 2026,
2026-11, 2026-11-05, 2026-11-05T10:00. Days and months are those of --time-zone.)";

struct TimeFlags {
  std::string since;
  std::string until;
  std::string time_zone;
};

// A time with its zone, which the server is told by name.
struct ZonedRange {
  TimeRange range;
  absl::TimeZone zone;
};

absl::StatusOr<ZonedRange> ReadTimes(const TimeFlags& flags) {
  NFM_ASSIGN_OR_RETURN(const auto zone, FindZone(flags.time_zone));
  NFM_ASSIGN_OR_RETURN(
      const auto range,
      ParseTimeRange(flags.since, flags.until, zone, absl::Now()));
  return ZonedRange{range, zone};
}

template <typename Request>
void SetTimes(const TimeRange& range, Request& request) {
  *request.mutable_start_time() = ToProto(range.from);
  *request.mutable_end_time() = ToProto(range.to);
}

void AddTimeFlags(CLI::App& command, TimeFlags& flags,
                  const std::string& since) {
  flags.since = since;
  AddText(command, "--since", flags.since, "TIME",
          absl::StrCat("from when, see below; default ", since));
  AddText(command, "--until", flags.until, "TIME",
          "to when; a day, month or year is included to its end; "
          "default: the end of the day, month or year that "
          "--since says, else now");
  AddText(command, "--time-zone", flags.time_zone, "ZONE",
          "where days and months begin, as Europe/Berlin; default: "
          "this machine's");
}

// --- report

struct ReportFlags {
  v1::CounterFilter filter;
  TimeFlags times;
  std::string every;
  std::string group_by = "counter";
};

v1::UsageBucket ReadBucket(const std::string& every) {
  if (every == "5m") return v1::USAGE_BUCKET_FIVE_MINUTES;
  if (every == "1h") return v1::USAGE_BUCKET_HOUR;
  if (every == "1d") return v1::USAGE_BUCKET_DAY;
  if (every == "1mo") return v1::USAGE_BUCKET_MONTH;
  return v1::USAGE_BUCKET_UNSPECIFIED;
}

// The footnote of a table or plot with marks: what they mean, and why.
void ExplainGaps(Session& session, Client& client,
                 const v1::CounterFilter& filter, const TimeRange& range,
                 const std::string& mark) {
  v1::ListGapsRequest request;
  *request.mutable_filter() = filter;
  SetTimes(range, request);
  const auto gaps = client.ListGaps(request, session.call());
  session.Note(
      absl::StrCat(mark, " at least so much: something may be missing",
                   gaps.ok() && gaps->gaps_size() > 0
                       ? absl::StrCat(", as ", DescribeGaps(gaps->gaps()))
                       : "",
                   "; 'nfmeter usage gaps' says when"));
}

// `asked`: when the server was.
void TellNothing(Session& session, const TimeRange& range, absl::Time asked) {
  session.Note(absl::StrCat(
      "nothing was counted in this time",
      range.to < asked
          ? ""
          : "; what the last seconds have counted comes with the server's next "
            "record"));
}

bool AnyGap(const v1::ListUsageResponse& usage) {
  return std::any_of(usage.rows().begin(), usage.rows().end(),
                     [](const auto& row) { return row.at_least(); });
}

absl::Status ReportUsage(Session& session, const ReportFlags& flags) {
  NFM_RETURN_IF_ERROR(session.CheckNotNames("the rows of a report"));
  const absl::Time asked = absl::Now();
  NFM_ASSIGN_OR_RETURN(const auto times, ReadTimes(flags.times));
  NFM_ASSIGN_OR_RETURN(Client* const client, session.client());
  v1::ListUsageRequest request;
  *request.mutable_filter() = flags.filter;
  SetTimes(times.range, request);
  request.set_bucket(ReadBucket(flags.every));
  request.set_time_zone(times.zone.name());
  for (absl::string_view key :
       absl::StrSplit(flags.group_by, ',', absl::SkipWhitespace())) {
    if (key == "counter") {
      request.set_group_by_counter(true);
    } else {
      request.add_group_by_labels(std::string(key));
    }
  }
  NFM_ASSIGN_OR_RETURN(const auto usage,
                       client->ListUsage(request, session.call()));
  UsageTableOptions options = {.bucket = request.bucket(),
                               .labels = {request.group_by_labels().begin(),
                                          request.group_by_labels().end()},
                               .by_counter = request.group_by_counter(),
                               .zone = times.zone,
                               .bars = session.console().out_is_terminal,
                               .unicode = session.console().unicode};
  if (session.for_people()) {
    session.Note(DescribeRange(times.range, times.zone, absl::Now()));
  }
  session.PrintTable(usage, [&](Layout layout) {
    options.layout = layout;
    return UsageTable(usage.rows(), options);
  });
  if (!session.for_people()) return absl::OkStatus();
  if (usage.rows().empty()) TellNothing(session, times.range, asked);
  if (AnyGap(usage)) {
    ExplainGaps(session, *client, flags.filter, times.range,
                GapMark(options.unicode));
  }
  return absl::OkStatus();
}

// --- plot

struct PlotFlags {
  v1::CounterFilter filter;
  TimeFlags times;
  size_t height = 10;
};

absl::Status PlotUsage(Session& session, const PlotFlags& flags) {
  NFM_RETURN_IF_ERROR(session.CheckNotNames("the points of a plot"));
  if (flags.height < 2 || flags.height > 100) {
    return UsageError(
        absl::StrCat("--height: '", flags.height, "' is not from 2 to 100"));
  }
  NFM_ASSIGN_OR_RETURN(const auto times, ReadTimes(flags.times));
  NFM_ASSIGN_OR_RETURN(Client* const client, session.client());
  const absl::Time asked = absl::Now();
  TimeRange range = times.range;
  range.to = std::min(range.to, asked);
  v1::ListUsageRequest request;
  *request.mutable_filter() = flags.filter;
  SetTimes(range, request);
  request.set_time_zone(times.zone.name());
  const absl::Duration length = range.to - range.from;
  request.set_bucket(length <= absl::Hours(24 * 14)
                         ? v1::USAGE_BUCKET_FIVE_MINUTES
                     : length <= absl::Hours(24 * 365) ? v1::USAGE_BUCKET_HOUR
                                                       : v1::USAGE_BUCKET_DAY);
  NFM_ASSIGN_OR_RETURN(const auto usage,
                       client->ListUsage(request, session.call()));
  const bool unicode = session.console().unicode;
  PlotOptions options = {.range = range,
                         .zone = times.zone,
                         .height = flags.height,
                         .unicode = unicode};
  if (session.console().out_is_terminal) {
    options.width = session.console().size().columns;
  }
  session.PrintText(usage,
                    UsageTable(usage.rows(), {.layout = Layout::kCsv,
                                              .bucket = request.bucket(),
                                              .zone = times.zone}),
                    [&](Layout) { return UsagePlot(usage.rows(), options); });
  if (usage.rows().empty()) TellNothing(session, times.range, asked);
  if (session.for_people() && AnyGap(usage)) {
    ExplainGaps(session, *client, flags.filter, range, unicode ? "≥" : "^");
  }
  return absl::OkStatus();
}

// --- gaps

struct GapFlags {
  v1::CounterFilter filter;
  TimeFlags times;
};

absl::Status Gaps(Session& session, const GapFlags& flags) {
  NFM_RETURN_IF_ERROR(session.CheckNotNames("gaps"));
  NFM_ASSIGN_OR_RETURN(const auto times, ReadTimes(flags.times));
  NFM_ASSIGN_OR_RETURN(Client* const client, session.client());
  v1::ListGapsRequest request;
  *request.mutable_filter() = flags.filter;
  SetTimes(times.range, request);
  NFM_ASSIGN_OR_RETURN(const auto gaps,
                       client->ListGaps(request, session.call()));
  if (session.for_people() && gaps.gaps().empty()) {
    session.Note(absl::StrCat(
        "no gaps ", DescribeRange(times.range, times.zone, absl::Now())));
    return absl::OkStatus();
  }
  session.PrintTable(gaps, [&](Layout layout) {
    return GapTable(gaps.gaps(), times.zone, layout);
  });
  return absl::OkStatus();
}

// --- consumers

absl::Status Consumers(Session& session) {
  NFM_ASSIGN_OR_RETURN(Client* const client, session.client());
  NFM_ASSIGN_OR_RETURN(const auto response,
                       client->ListConsumers(session.call()));
  if (session.for_people() && response.consumers().empty()) {
    session.Note("nobody collects usage from this server");
    return absl::OkStatus();
  }
  session.PrintTable(
      response,
      [&](Layout layout) {
        return ConsumerTable(response, absl::LocalTimeZone(), layout);
      },
      NamesOf(response.consumers()));
  return absl::OkStatus();
}

absl::Status DeleteConsumers(Session& session,
                             const std::vector<std::string>& names) {
  NFM_ASSIGN_OR_RETURN(Client* const client, session.client());
  for (const std::string& name : names) {
    NFM_RETURN_IF_ERROR(client->DeleteConsumer(name, session.call()));
    session.PrintText(
        v1::DeleteConsumerResponse(), {{{"name"}}, {{{name}}}},
        [&](Layout) { return absl::StrCat("Deleted consumer ", name, ".\n"); },
        {name}, &name == &names.front());
  }
  return absl::OkStatus();
}

// --- the commands

void AddReportCommand(CommandTree& tree, CLI::App& noun) {
  auto [command, flags] = tree.AddCommand(
      noun, "report", "Sum what was counted between two times",
      absl::StrCat(
          R"(Sums come from the server's ledger: resets, restarts and deletions of counters
change nothing. 95TH and PEAK are bytes a second of five minutes: 95 of 100 had
at most so much. A mark before a number, and the footnote, say that something
may be missing.

)",
          kTimes, R"(

Examples:
  nfmeter usage report --since 24h --every 1h
  nfmeter usage report --since 2026-11 --group-by tenant --time-zone Asia/Tokyo
  nfmeter usage report 'web-*' --since yesterday --every 1d -o csv > usage.csv
  nfmeter usage report --since last-month --group-by tenant,counter -o json)"),
      ReportUsage);
  AddFilterFlags(tree, *command, flags->filter);
  AddTimeFlags(*command, flags->times, "24h");
  AddChoice(tree, *command, "--every,-e", flags->every,
            {"5m", "1h", "1d", "1mo"},
            "a row for each so long; default: one for the whole time");
  AddText(*command, "--group-by,-g", flags->group_by, "KEYS",
          "a row for each: counter, or labels, with commas; '' for "
          "one of all; default counter");
}

void AddPlotCommand(CommandTree& tree, CLI::App& noun) {
  auto [command, flags] = tree.AddCommand(
      noun, "plot", "Draw what was counted over time",
      absl::StrCat(
          R"(All counters that GLOB and the labels choose, together, in bytes a second.
Marks below say where something may be missing. In a locale without UTF-8
(LANG=C) it is drawn with plain characters.

)",
          kTimes, R"(

Examples:
  nfmeter usage plot 'web-*' --since 7d
  nfmeter usage plot --label tenant=acme --since yesterday)"),
      PlotUsage);
  AddFilterFlags(tree, *command, flags->filter);
  AddTimeFlags(*command, flags->times, "24h");
  AddNumber(*command, "--height", flags->height,
            "lines, from 2 to 100; default 10");
}

void AddGapsCommand(CommandTree& tree, CLI::App& noun) {
  auto [command, flags] = tree.AddCommand(
      noun, "gaps", "Show when something may be missing, and why",
      absl::StrCat(
          R"(Each gap is the widest window in which it can have happened: a restart of the
machine, or somebody else who reset or deleted a counter. Outside of the gaps
nothing is missing.

)",
          kTimes, R"(

Examples:
  nfmeter usage gaps
  nfmeter usage gaps 'web-*' --since 2026-11 -o csv)"),
      Gaps);
  AddFilterFlags(tree, *command, flags->filter);
  AddTimeFlags(*command, flags->times, "30d");
}

void AddConsumerCommands(CommandTree& tree, CLI::App& noun) {
  tree.AddCommand(
      noun, "consumers", "Show who collects usage, and how far each has got",
      R"(What a consumer has not acknowledged is kept for it, up to a bound.

Examples:
  nfmeter usage consumers
  nfmeter usage consumers -o custom-columns=NAME:.name,BEHIND:.lag)",
      [](Session& session) { return Consumers(session); });

  auto [command, names] = tree.AddCommand(
      noun, "delete-consumer", "Forget consumers that do not collect any more",
      R"(Nothing is kept for them any more; a stream of theirs ends.

Examples:
  nfmeter usage delete-consumer old-billing)",
      DeleteConsumers);
  AddArgument(tree, *command, "NAME", *names, "as 'usage consumers' shows them",
              NamesFrom({"usage", "consumers"}));
}

}  // namespace

void AddUsageCommands(CommandTree& tree) {
  CLI::App* noun =
      tree.AddNoun("usage", "See and collect what was counted in all");
  AddReportCommand(tree, *noun);
  AddPlotCommand(tree, *noun);
  AddGapsCommand(tree, *noun);
  AddCollectCommand(tree, *noun);
  AddConsumerCommands(tree, *noun);
}

}  // namespace nfmeter::cli
