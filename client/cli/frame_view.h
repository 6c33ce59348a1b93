// SPDX-License-Identifier: Apache-2.0
// Frames of a snapshot watch as tables, lines and messages.
#ifndef NFMETER_CLI_FRAME_VIEW_H_
#define NFMETER_CLI_FRAME_VIEW_H_

#include <cstdint>
#include <string>
#include <vector>

#include "cli/columns.h"
#include "cli/table.h"
#include "nfmeter/v1/counter.pb.h"
#include "nfmeter/v1/snapshot.pb.h"
#include "nfmeter/watch.h"

namespace nfmeter::cli {

enum class SortKey { kName, kPackets, kBytes, kPacketRate, kByteRate };

// The orders: each by its word after --sort, and by the key that is typed.
struct SortOrder {
  const char* word;
  char typed;
  SortKey key;
};
inline constexpr SortOrder kSortOrders[] = {
    {"name", 'n', SortKey::kName},
    {"packets", 'p', SortKey::kPackets},
    {"bytes", 'b', SortKey::kBytes},
    {"packets/s", 'P', SortKey::kPacketRate},
    {"bytes/s", 'B', SortKey::kByteRate},
};

struct FrameOptions {
  SortKey sort = SortKey::kName;
  // Most rows to show. 0: all.
  size_t limit = 0;
  // Leave out rows that did not change.
  bool changed_only = false;
  // Leave out rows that counted nothing since the frame before.
  bool hide_idle = false;
  // Only names that have this in them.
  std::string contains;
  // Rates of bytes are shown as bits, in tables.
  bool bits = false;
};

// One row with its rates. Points into the frame.
struct RateRow {
  const SnapshotFrame* frame = nullptr;
  const CounterRow* row = nullptr;
  // Counted since the frame before; after a reset what was counted since that,
  // which is a lower bound.
  uint64_t packets = 0;
  uint64_t bytes = 0;
  // Per second of boottime. Meaningless unless `has_rates`.
  double packet_rate = 0;
  double byte_rate = 0;
  // There was a frame before this one.
  bool has_rates = false;
  // The counter was reset since the frame before.
  bool reset = false;
};

// The value that rows are sorted by; for kName the rate of bytes.
double SortValue(const RateRow& row, SortKey key);

// The rows to show, sorted; the frame must outlive them. Sorting by a value
// puts the largest first, and equal ones by name.
std::vector<RateRow> SelectRows(const SnapshotFrame& frame,
                                const FrameOptions& options);

// `bits`: rates of bytes as bits, in tables.
Table FrameTable(const std::vector<RateRow>& rows, Layout layout,
                 bool bits = false);

// "14:20:01  3 counters, sequence 12": what to know of the frame, warnings
// included; one line without a line feed.
std::string FrameHeader(const SnapshotFrame& frame, size_t shown,
                        absl::TimeZone zone);

// The frame as WatchSnapshotsResponse in view ROWS: full, or with
// `changed_only` from the second frame on the changes.
v1::WatchSnapshotsResponse FrameMessage(const SnapshotFrame& frame,
                                        bool changed_only, bool first);

// The counters of rows, in their order.
v1::ListCountersResponse CountersOf(const std::vector<RateRow>& rows);

}  // namespace nfmeter::cli

#endif  // NFMETER_CLI_FRAME_VIEW_H_
