// SPDX-License-Identifier: Apache-2.0
#include "cli/frame_view.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "cli/quantity.h"
#include "cli/views.h"
#include "client/src/proto_time.h"
#include "client/src/words.h"

namespace nfmeter::cli {
namespace {

constexpr char kByteRateHeading[] = "BYTES/S";

RateRow MakeRow(const SnapshotFrame& frame, const CounterRow& counter) {
  RateRow row{.frame = &frame, .row = &counter};
  row.reset = counter.packets < counter.previous_packets ||
              counter.bytes < counter.previous_bytes;
  // A reset zeroes both, so both are counted from it.
  row.packets = counter.packets - (row.reset ? 0 : counter.previous_packets);
  row.bytes = counter.bytes - (row.reset ? 0 : counter.previous_bytes);
  const double seconds = absl::ToDoubleSeconds(frame.elapsed);
  if (seconds > 0) {
    row.has_rates = true;
    row.packet_rate = static_cast<double>(row.packets) / seconds;
    row.byte_rate = static_cast<double>(row.bytes) / seconds;
  }
  return row;
}

// "-" in the first frame; faint when nothing moves.
Cell RateCell(const RateRow& row, double rate, Layout layout, bool bytes) {
  if (!row.has_rates) return {layout == kCsv ? "" : "-", Style::kFaint};
  if (layout != kTable) return {absl::StrFormat("%.2f", rate)};
  return {bytes ? FormatByteRate(rate) : FormatRate(rate),
          rate == 0 ? Style::kFaint : Style::kGood};
}

Cell NoteCell(const RateRow& row) {
  if (row.row->exceeded) return {"over quota", Style::kWarning};
  if (row.reset) return {"reset", Style::kFaint};
  return {};
}

const std::vector<Column<RateRow>>& FrameColumns() {
  using R = RateRow;
  static const auto& columns = *new std::vector<Column<R>>{
      {"", "time", kCsv, Align::kLeft,
       [](const R& r, Layout) {
         return absl::FormatTime("%Y-%m-%dT%H:%M:%E*SZ", r.frame->wall_time,
                                 absl::UTCTimeZone());
       }},
      PlainColumn<R>("", "sequence", kCsv,
                     [](const R& r) { return r.frame->sequence; }),
      {"NAME", "name", kAll, Align::kLeft,
       [](const R& r, Layout) { return std::string(r.row->name); }},
      AmountColumn<R>(
          "PACKETS", "packets", kAll, CountText,
          [](const R& r) { return r.row->packets; }, /*leave_out=*/4),
      AmountColumn<R>(
          "BYTES", "bytes", kAll, BytesText,
          [](const R& r) { return r.row->bytes; }, /*leave_out=*/5),
      PlainColumn<R>("TOTAL PACKETS", "", kWide,
                     [](const R& r) { return r.row->total_packets; }),
      PlainColumn<R>("TOTAL BYTES", "", kWide,
                     [](const R& r) { return r.row->total_bytes; }),
      PlainColumn<R>("NEW PACKETS", "new_packets", kDetailed,
                     [](const R& r) { return r.packets; }),
      PlainColumn<R>("NEW BYTES", "new_bytes", kDetailed,
                     [](const R& r) { return r.bytes; }),
      {"PACKETS/S", "packets_per_second", kAll, Align::kRight,
       [](const R& r, Layout l) {
         return RateCell(r, r.packet_rate, l, false);
       },
       /*leave_out=*/6},
      {kByteRateHeading, "bytes_per_second", kAll, Align::kRight,
       [](const R& r, Layout l) { return RateCell(r, r.byte_rate, l, true); }},
      {"", "", kText, Align::kLeft,
       [](const R& r, Layout) { return NoteCell(r); }},
      PlainColumn<R>("", "quota_exceeded", kCsv,
                     [](const R& r) { return r.row->exceeded; }),
      PlainColumn<R>("", "reset", kCsv, [](const R& r) { return r.reset; }),
  };
  return columns;
}

template <typename Message>
void AddCounter(const CounterRow& row, Message& list) {
  v1::Counter& counter = *list.add_counters();
  if (row.counter != nullptr) counter = *row.counter;
  counter.set_name(std::string(row.name));
  counter.set_packets(row.packets);
  counter.set_bytes(row.bytes);
}

}  // namespace

double SortValue(const RateRow& row, SortKey key) {
  switch (key) {
    case SortKey::kPackets:
      return static_cast<double>(row.row->packets);
    case SortKey::kBytes:
      return static_cast<double>(row.row->bytes);
    case SortKey::kPacketRate:
      return row.packet_rate;
    case SortKey::kByteRate:
    case SortKey::kName:
      break;
  }
  return row.byte_rate;
}

std::vector<RateRow> SelectRows(const SnapshotFrame& frame,
                                const FrameOptions& options) {
  std::vector<RateRow> rows;
  const auto add = [&](const CounterRow& counter) {
    if (!absl::StrContains(counter.name, options.contains)) return;
    const RateRow row = MakeRow(frame, counter);
    if (options.hide_idle && row.has_rates && row.packets == 0) return;
    rows.push_back(row);
  };
  if (options.changed_only) {
    for (uint32_t i : frame.changed) add(frame.rows[i]);
  } else {
    for (const CounterRow& row : frame.rows) add(row);
  }
  std::sort(rows.begin(), rows.end(), [&](const RateRow& a, const RateRow& b) {
    const bool by_name = options.sort == SortKey::kName;
    const double x = by_name ? 0 : SortValue(a, options.sort);
    const double y = by_name ? 0 : SortValue(b, options.sort);
    return x != y ? x > y : a.row->name < b.row->name;
  });
  if (options.limit > 0 && rows.size() > options.limit) {
    rows.resize(options.limit);
  }
  return rows;
}

Table FrameTable(const std::vector<RateRow>& rows, Layout layout, bool bits) {
  Table table = MakeTable<RateRow>(FrameColumns(), rows, layout);
  if (!bits || layout == kCsv) return table;
  for (size_t column = 0; column < table.headings.size(); ++column) {
    if (table.headings[column].text != kByteRateHeading) continue;
    table.headings[column].text = "BITS/S";
    for (size_t i = 0; i < rows.size(); ++i) {
      if (!rows[i].has_rates) continue;
      const double rate = rows[i].byte_rate * 8;
      table.rows[i][column].text = layout == kTable
                                       ? FormatBitRate(rate)
                                       : absl::StrFormat("%.2f", rate);
    }
  }
  return table;
}

std::string FrameHeader(const SnapshotFrame& frame, size_t shown,
                        absl::TimeZone zone) {
  const size_t total = frame.rows.size();
  std::string text = absl::StrCat(
      absl::FormatTime("%Y-%m-%d %H:%M:%S", frame.wall_time, zone), "  ");
  if (shown < total) absl::StrAppend(&text, shown, " of ");
  absl::StrAppend(&text, CountOf(total, "counter"), ", sequence ",
                  frame.sequence);
  if (!frame.removed.empty()) {
    absl::StrAppend(&text, ", ", frame.removed.size(), " gone");
  }
  if (!frame.complete) absl::StrAppend(&text, ", INCOMPLETE");
  if (frame.epoch_changed) absl::StrAppend(&text, ", new epoch");
  if (frame.missed_frames > 0) {
    absl::StrAppend(&text, ", ", frame.missed_frames, " frames missed");
  }
  if (frame.reconnects > 0) {
    absl::StrAppend(&text, ", ", CountOf(frame.reconnects, "reconnect"));
  }
  return text;
}

v1::WatchSnapshotsResponse FrameMessage(const SnapshotFrame& frame,
                                        bool changed_only, bool first) {
  v1::WatchSnapshotsResponse message;
  message.set_missed_frames(frame.missed_frames);
  v1::SnapshotFrame& proto = *message.mutable_frame();
  proto.set_epoch(frame.epoch);
  proto.set_sequence(frame.sequence);
  *proto.mutable_wall_time() = ToProto(frame.wall_time);
  *proto.mutable_boottime() = ToProto(frame.boottime);
  proto.set_complete(frame.complete);
  proto.set_expected_count(static_cast<uint32_t>(frame.rows.size()));
  proto.set_full(first || !changed_only);
  proto.set_last_chunk(true);
  if (proto.full()) {
    for (const CounterRow& row : frame.rows) AddCounter(row, proto);
    return message;
  }
  for (uint32_t i : frame.changed) AddCounter(frame.rows[i], proto);
  for (const std::string& name : frame.removed) proto.add_removed_names(name);
  return message;
}

v1::ListCountersResponse CountersOf(const std::vector<RateRow>& rows) {
  v1::ListCountersResponse list;
  for (const RateRow& row : rows) AddCounter(*row.row, list);
  return list;
}

}  // namespace nfmeter::cli
