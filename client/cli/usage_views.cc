// SPDX-License-Identifier: Apache-2.0
#include "cli/usage_views.h"

#include <algorithm>
#include <charconv>
#include <iterator>
#include <map>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "cli/graph.h"
#include "cli/quantity.h"
#include "cli/views.h"
#include "client/src/proto_time.h"
#include "client/src/words.h"

namespace nfmeter::cli {
namespace {

constexpr size_t kBarWidth = 20;

std::string LocalTime(const google::protobuf::Timestamp& time,
                      absl::TimeZone zone) {
  return absl::FormatTime("%Y-%m-%d %H:%M:%S", FromProto(time), zone);
}

std::string BucketText(const v1::UsageRow& row,
                       const UsageTableOptions& options) {
  const char* form = "%Y-%m-%d %H:%M";
  if (options.bucket == v1::USAGE_BUCKET_DAY) form = "%Y-%m-%d";
  if (options.bucket == v1::USAGE_BUCKET_MONTH) form = "%Y-%m";
  return absl::FormatTime(form, FromProto(row.start_time()), options.zone);
}

// In as few digits as read back as the same number.
std::string Number(double value) {
  char text[32];
  return {text, std::to_chars(text, std::end(text), value).ptr};
}

using Row = v1::UsageRow;

void AddTimes(const UsageTableOptions& options,
              std::vector<Column<Row>>& columns) {
  if (options.bucket != v1::USAGE_BUCKET_UNSPECIFIED) {
    columns.push_back(
        {"TIME", "", kText, Align::kLeft, [options](const Row& row, Layout) {
           return BucketText(row, options);
         }});
  }
  columns.push_back(
      {"", "start_time", kCsv, Align::kLeft,
       [](const Row& row, Layout) { return TimeText(row.start_time()); }});
  columns.push_back(
      {"", "end_time", kCsv, Align::kLeft,
       [](const Row& row, Layout) { return TimeText(row.end_time()); }});
}

void AddGroups(const UsageTableOptions& options,
               std::vector<Column<Row>>& columns) {
  for (const std::string& label : options.labels) {
    columns.push_back({absl::AsciiStrToUpper(label),
                       absl::StrCat("label_", label), kAll, Align::kLeft,
                       [label](const Row& row, Layout layout) -> Cell {
                         const auto found = row.labels().find(label);
                         if (found != row.labels().end()) {
                           return {found->second};
                         }
                         return {layout == kCsv ? "" : "-"};
                       }});
  }
  if (!options.by_counter) return;
  columns.push_back(
      PlainColumn<Row>("COUNTER", "counter", kAll, &Row::counter));
}

Column<Row> RateColumn(const char* heading, const char* key, unsigned layouts,
                       bool bytes, bool percentile,
                       double (Row::*rate)() const) {
  return {heading,
          key,
          layouts,
          Align::kRight,
          [=](const Row& row, Layout layout) -> Cell {
            if (percentile && !row.five_minutes_known()) {
              return {layout == kCsv ? "" : "-"};
            }
            const double value = (row.*rate)();
            if (layout == kCsv) return {Number(value)};
            return {bytes ? FormatByteRate(value) : FormatRate(value)};
          },
          percentile ? 2 : 1};
}

void AddRates(std::vector<Column<Row>>& columns) {
  columns.push_back(RateColumn("95TH", "p95_bytes_per_second", kAll, true, true,
                               &Row::p95_bytes_per_second));
  columns.push_back(RateColumn("PEAK", "peak_bytes_per_second", kAll, true,
                               false, &Row::peak_bytes_per_second));
  columns.push_back(RateColumn("95TH PACKETS", "p95_packets_per_second",
                               kDetailed, false, true,
                               &Row::p95_packets_per_second));
  columns.push_back(RateColumn("PEAK PACKETS", "peak_packets_per_second",
                               kDetailed, false, false,
                               &Row::peak_packets_per_second));
}

}  // namespace

std::string GapMark(bool unicode) { return unicode ? "≥" : ">="; }

Table UsageTable(const UsageRows& rows, const UsageTableOptions& options) {
  std::vector<Column<Row>> columns;
  AddTimes(options, columns);
  AddGroups(options, columns);
  const std::string mark = GapMark(options.unicode);
  columns.push_back(AmountColumn<Row>("PACKETS", "packets", kAll, CountText,
                                      &Row::packets, /*leave_out=*/4));
  columns.push_back({"BYTES", "bytes", kAll, Align::kRight,
                     [mark](const Row& row, Layout layout) -> Cell {
                       const std::string bytes = BytesText(row.bytes(), layout);
                       if (layout == kCsv || !row.at_least()) return {bytes};
                       return {absl::StrCat(mark, " ", bytes), Style::kWarning};
                     }});
  AddRates(columns);
  columns.push_back(PlainColumn<Row>("", "at_least", kCsv, &Row::at_least));
  if (options.bars) {
    uint64_t most = 0;
    for (const Row& row : rows) most = std::max(most, row.bytes());
    columns.push_back(
        {"", "", kText, Align::kLeft,
         [most, unicode = options.unicode](const Row& row, Layout) {
           return Bar(most == 0 ? 0
                                : static_cast<double>(row.bytes()) /
                                      static_cast<double>(most),
                      kBarWidth, unicode);
         },
         3});
  }
  return MakeTable<Row>(columns, rows, options.layout);
}

// --- Gaps --------------------------------------------------------------------

namespace {

struct Cause {
  v1::UsageGapCause cause;
  const char* happened;
};

// What may be missing because of it is in docs/usage.md.
constexpr Cause kCauses[] = {
    {v1::USAGE_GAP_CAUSE_REBOOT, "the machine restarted"},
    {v1::USAGE_GAP_CAUSE_NAMESPACE_CHANGED,
     "the server came back in another network namespace"},
    {v1::USAGE_GAP_CAUSE_SERVER_DOWN, "the server was away"},
    {v1::USAGE_GAP_CAUSE_FOREIGN_RESET, "somebody else reset a counter"},
    {v1::USAGE_GAP_CAUSE_FOREIGN_DELETE, "somebody else deleted a counter"},
    {v1::USAGE_GAP_CAUSE_RULES_MISSING, "rules were missing"},
    {v1::USAGE_GAP_CAUSE_INCOMPLETE_READING, "the counters could not be read"},
    {v1::USAGE_GAP_CAUSE_INTERRUPTED_RESET,
     "the server was killed during a reset"},
    {v1::USAGE_GAP_CAUSE_STORE_LOST, "the ledger's file was damaged"},
    {v1::USAGE_GAP_CAUSE_STORE_RESTORED,
     "the ledger was restored from a backup"},
    {v1::USAGE_GAP_CAUSE_RECORDS_DROPPED,
     "records were dropped before they were collected"},
};

const char* Happened(v1::UsageGapCause cause) {
  for (const Cause& each : kCauses) {
    if (each.cause == cause) return each.happened;
  }
  return "something happened that this command does not know";
}

}  // namespace

std::string DescribeGaps(
    const google::protobuf::RepeatedPtrField<v1::UsageGap>& gaps) {
  std::map<v1::UsageGapCause, size_t> times;
  for (const v1::UsageGap& gap : gaps) ++times[gap.cause()];
  std::vector<std::string> parts;
  for (const auto& [cause, count] : times) {
    parts.push_back(
        count == 1 ? Happened(cause)
                   : absl::StrCat(Happened(cause), " (", count, " times)"));
  }
  return absl::StrJoin(parts, "; ");
}

Table GapTable(const google::protobuf::RepeatedPtrField<v1::UsageGap>& gaps,
               absl::TimeZone zone, Layout layout) {
  using Gap = v1::UsageGap;
  const auto time = [zone](const google::protobuf::Timestamp& at, bool known,
                           Layout shown) -> Cell {
    if (!known) return {shown == kCsv ? "" : "unknown"};
    return {shown == kCsv ? TimeText(at) : LocalTime(at, zone)};
  };
  const std::vector<Column<Gap>> columns = {
      {"COUNTER", "counter", kAll, Align::kLeft,
       [](const Gap& gap, Layout shown) -> Cell {
         if (gap.counter_id() != 0 || shown == kCsv) return {gap.counter()};
         return {"(all)", Style::kFaint};
       }},
      {"CAUSE", "cause", kAll, Align::kLeft,
       [](const Gap& gap, Layout) { return EnumWord(gap.cause()); },
       /*leave_out=*/2},
      {"FROM", "start_time", kAll, Align::kLeft,
       [time](const Gap& gap, Layout shown) {
         return time(gap.start_time(), gap.has_start_time(), shown);
       }},
      {"TO", "end_time", kAll, Align::kLeft,
       [time](const Gap& gap, Layout shown) {
         return time(gap.end_time(), gap.has_end_time(), shown);
       }},
      {"AT MOST", "max_bytes", kAll, Align::kRight,
       [](const Gap& gap, Layout shown) -> Cell {
         if (!gap.bounded()) return {shown == kCsv ? "" : "-"};
         return {BytesText(gap.max_bytes(), shown)};
       },
       /*leave_out=*/3},
      {"AT MOST PACKETS", "max_packets", kDetailed, Align::kRight,
       [](const Gap& gap, Layout shown) -> Cell {
         if (!gap.bounded()) return {shown == kCsv ? "" : "-"};
         return {absl::StrCat(gap.max_packets())};
       }},
      {"WHAT HAPPENED", "", kText, Align::kLeft,
       [](const Gap& gap, Layout) { return Happened(gap.cause()); }, 1},
  };
  return MakeTable<Gap>(columns, gaps, layout);
}

// --- Consumers ---------------------------------------------------------------

Table ConsumerTable(const v1::ListConsumersResponse& response,
                    absl::TimeZone zone, Layout layout) {
  using Consumer = v1::UsageConsumer;
  const std::vector<Column<Consumer>> columns = {
      PlainColumn<Consumer>("NAME", "name", kAll, &Consumer::name),
      {"BEHIND", "lag", kAll, Align::kRight,
       [](const Consumer& c, Layout shown) -> Cell {
         if (shown != kTable) return {absl::StrCat(c.lag())};
         return {CountOf(c.lag(), "record"),
                 c.lag() == 0 ? Style::kGood : Style::kPlain};
       }},
      {"LAST ACKNOWLEDGED", "acknowledge_time", kAll, Align::kLeft,
       [zone](const Consumer& c, Layout shown) -> Cell {
         if (!c.has_acknowledge_time()) return {shown == kCsv ? "" : "never"};
         return {shown == kCsv ? TimeText(c.acknowledge_time())
                               : LocalTime(c.acknowledge_time(), zone)};
       },
       /*leave_out=*/3},
      PlainColumn<Consumer>("CONNECTED", "connected", kAll,
                            &Consumer::connected,
                            /*leave_out=*/2),
      PlainColumn<Consumer>("OWNER", "owner", kAll, &Consumer::owner,
                            /*leave_out=*/1),
      {"SEQUENCE", "sequence", kDetailed, Align::kRight,
       [](const Consumer& c, Layout) {
         return absl::StrCat(c.acknowledged().sequence());
       }},
      {"MADE", "create_time", kDetailed, Align::kLeft,
       [zone](const Consumer& c, Layout shown) {
         return shown == kCsv ? TimeText(c.create_time())
                              : LocalTime(c.create_time(), zone);
       }},
  };
  return MakeTable<Consumer>(columns, response.consumers(), layout);
}

// --- Plot --------------------------------------------------------------------

namespace {

struct PlotColumn {
  double bytes = 0;
  bool gap = false;
};

// What each column's time has of the rows, by the share of each that lies in
// it.
std::vector<PlotColumn> Spread(const UsageRows& rows, const TimeRange& range,
                               size_t width) {
  std::vector<PlotColumn> columns(width);
  const absl::Duration step = (range.to - range.from) / width;
  for (const v1::UsageRow& row : rows) {
    const absl::Time from = std::max(FromProto(row.start_time()), range.from);
    const absl::Time to = std::min(FromProto(row.end_time()), range.to);
    if (from >= to) continue;
    const auto first = static_cast<size_t>((from - range.from) / step);
    for (size_t i = first; i < width; ++i) {
      const absl::Time begin = range.from + i * step;
      if (begin >= to) break;
      const absl::Duration shared =
          std::min(to, begin + step) - std::max(from, begin);
      columns[i].bytes += static_cast<double>(row.bytes()) *
                          absl::FDivDuration(shared, to - from);
      columns[i].gap |= row.at_least();
    }
  }
  return columns;
}

// The first and the last time below the axis, and one between if there is room.
std::string TimeAxis(const PlotOptions& options, size_t width) {
  const bool short_range =
      options.range.to - options.range.from <= absl::Hours(48);
  const char* form = short_range ? "%m-%d %H:%M" : "%Y-%m-%d";
  const std::string first =
      absl::FormatTime(form, options.range.from, options.zone);
  const std::string last =
      absl::FormatTime(form, options.range.to, options.zone);
  const std::string middle = absl::FormatTime(
      form, options.range.from + (options.range.to - options.range.from) / 2,
      options.zone);
  if (width < first.size() + last.size() + 1) return first;
  std::string line(width, ' ');
  line.replace(0, first.size(), first);
  line.replace(width - last.size(), last.size(), last);
  const size_t at = (width - middle.size()) / 2;
  if (at > first.size() + 1 && at + middle.size() + 1 < width - last.size()) {
    line.replace(at, middle.size(), middle);
  }
  return line;
}

}  // namespace

std::string UsagePlot(const UsageRows& rows, const PlotOptions& options) {
  constexpr size_t kLabel = 12;  // "1023 MiB/s |"
  const size_t width =
      options.width > kLabel + 10 ? options.width - kLabel : 10;
  const std::vector<PlotColumn> columns = Spread(rows, options.range, width);
  const double seconds =
      absl::ToDoubleSeconds((options.range.to - options.range.from) / width);
  double most = 0;
  bool gaps = false;
  for (const PlotColumn& column : columns) {
    most = std::max(most, column.bytes);
    gaps = gaps || column.gap;
  }
  const std::string bar = options.unicode ? "│" : "|";
  std::string text;
  for (size_t line = options.height; line-- > 0;) {
    std::string label;
    if (line + 1 == options.height) label = FormatByteRate(most / seconds);
    if (line + 1 == (options.height + 1) / 2) {
      label = FormatByteRate(most / seconds * static_cast<double>(line + 1) /
                             static_cast<double>(options.height));
    }
    absl::StrAppendFormat(&text, "%*s ", static_cast<int>(kLabel - 2), label);
    text += bar;
    std::string cells;
    for (const PlotColumn& column : columns) {
      const double height =
          most == 0 ? 0
                    : column.bytes / most * static_cast<double>(options.height);
      cells += PartOfBar(height - static_cast<double>(line), options.unicode);
    }
    absl::StrAppend(&text, absl::StripTrailingAsciiWhitespace(cells), "\n");
  }
  absl::StrAppendFormat(&text, "%*s ", static_cast<int>(kLabel - 2), "0 B/s");
  text += options.unicode ? "└" : "+";
  for (size_t i = 0; i < width; ++i) text += options.unicode ? "─" : "-";
  text += "\n";
  if (gaps) {
    std::string marks;
    for (const PlotColumn& column : columns) {
      marks += column.gap ? (options.unicode ? "≥" : "^") : " ";
    }
    absl::StrAppend(&text, std::string(kLabel, ' '),
                    absl::StripTrailingAsciiWhitespace(marks), "\n");
  }
  absl::StrAppend(&text, std::string(kLabel, ' '), TimeAxis(options, width),
                  "\n");
  return text;
}

}  // namespace nfmeter::cli
