// SPDX-License-Identifier: Apache-2.0
// Streams that go on over broken connections and restarts of the server.
#ifndef NFMETER_WATCH_H_
#define NFMETER_WATCH_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "nfmeter/v1/counter.pb.h"
#include "nfmeter/v1/flow.pb.h"
#include "nfmeter/v1/plan.pb.h"

namespace nfmeter {

// A stream that goes on: Client::WatchSnapshots and its like. It connects at
// the first Next(), and again, with backoff, whenever the connection breaks or
// the server ends the stream.
//
// Next() is for one thread at a time; Cancel() may be called by any. It may
// outlive its client.
template <typename Item>
class Watch {
 public:
  Watch() = default;
  virtual ~Watch() = default;
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

  // Waits for the next item. An error is final (all further calls return it):
  // CANCELLED after Cancel(), UNAVAILABLE when the first connection fails or
  // WatchOptions.give_up_after is over, DATA_LOSS for frames that contradict
  // themselves, else what the server said, INVALID_ARGUMENT for instance.
  virtual absl::StatusOr<Item> Next() = 0;

  // Makes Next(), also one under way, return CANCELLED.
  virtual void Cancel() = 0;
};

// A counter in the table that a SnapshotWatch keeps.
struct CounterRow {
  // As in Counter.name.
  absl::string_view name;
  uint64_t packets = 0;
  uint64_t bytes = 0;
  // In the frame before this one; packets or bytes below these mean
  // a reset. Equal to the values now for a counter that is new in this frame.
  uint64_t previous_packets = 0;
  uint64_t previous_bytes = 0;
  // See Counter.total_packets. 0 in view COLUMNS without the request's
  // `totals`.
  uint64_t total_packets = 0;
  uint64_t total_bytes = 0;
  // Over its quota.
  bool exceeded = false;
  // View ROWS: everything that the server says about it. Null in COLUMNS.
  const v1::Counter* counter = nullptr;
};

// What is known after a frame. Spans, names and pointers are valid until the
// next call of Next() and while the watch lives.
struct SnapshotFrame {
  // See SnapshotFrame in snapshot.proto.
  uint64_t epoch = 0;
  uint64_t sequence = 0;
  absl::Time wall_time;
  absl::Duration boottime;
  bool complete = false;
  // Time by boottime since the frame before. 0: there was none, or the host
  // was booted in between. Rates are (packets - previous_packets) / elapsed.
  absl::Duration elapsed;

  // All counters that are known to exist, with their newest values. The order
  // is the kernel's, but counters that appear later come last.
  absl::Span<const CounterRow> rows;
  // Positions in `rows` of those that are new or whose values differ from the
  // frame before. In the first frame: all.
  absl::Span<const uint32_t> changed;
  // Names of those that have gone since the frame before.
  absl::Span<const std::string> removed;

  // Frames that were due since the one before and did not come, because they
  // were replaced by newer ones or the connection was broken. 0: none. Lost
  // frames lose no counts: values are totals.
  uint64_t missed_frames = 0;
  // Connections that this watch has made after the first one.
  uint64_t reconnects = 0;
  // The server has restarted since the frame before, or has given its ids anew
  // (missed_frames then can't be known and is 0).
  bool epoch_changed = false;

  // The row of that name, or null; walks through all of them.
  const CounterRow* Find(absl::string_view name) const;
};

// Snapshots. It connects again also when nothing comes for too long, and goes
// on after the last frame. Chunks, names and ids are its own business.
using SnapshotWatch = Watch<SnapshotFrame>;

// One event of a QuotaWatch.
struct QuotaEvent {
  // See WatchQuotaEventsResponse in counter.proto.
  v1::WatchQuotaEventsResponse event;
  // Connections that this watch has made after the first one.
  uint64_t reconnects = 0;
  // A STANDING event after a reconnection for a counter that this watch has
  // already told of. It is the same crossing, unless the counter was reset and
  // crossed its quota again while the connection was broken.
  bool repeated = false;
};

// Quota crossings. After a reconnection the server tells again of all counters
// that are over their quota (STANDING, then SYNCED), so that no crossing stays
// unknown.
using QuotaWatch = Watch<QuotaEvent>;

// One frame of a FlowWatch.
struct FlowFrame {
  // See WatchFlowsResponse in flow.proto.
  v1::WatchFlowsResponse frame;
  // Connections that this watch has made after the first one.
  uint64_t reconnects = 0;
  // The first frame of a new connection: what flows carried between the last
  // frame before and `frame.since` is in none.
  bool gap = false;
};

// What flows carry. What they carry while the connection is broken is not made
// up for.
using FlowWatch = Watch<FlowFrame>;

// Plans' statuses. Each connection begins with the status of every plan.
using PlanWatch = Watch<v1::PlanStatus>;

}  // namespace nfmeter

#endif  // NFMETER_WATCH_H_
