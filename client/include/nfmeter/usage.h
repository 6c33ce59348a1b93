// SPDX-License-Identifier: Apache-2.0
// Collecting usage: every record of a server's ledger, exactly once.
//
//   nfmeter::v1::CollectUsageStart start;
//   start.set_consumer("billing");
//   if (known) *start.mutable_resume_after() = stored_position;
//   auto collector = client->CollectUsage(start);
//   absl::Status end = collector->Run([&](const CollectedRecord& collected) {
//     // One transaction: the totals of collected.record, and its position.
//     return database.Store(collected.record);
//   });
//
// docs/usage.md has the protocol; examples/invoice.cc is a whole collector.
#ifndef NFMETER_USAGE_H_
#define NFMETER_USAGE_H_

#include <cstdint>
#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "nfmeter/options.h"
#include "nfmeter/v1/usage.pb.h"

namespace nfmeter {

struct CollectOptions {
  // What becomes of a position that the server refuses, because its ledger
  // began anew, was restored from a backup, or is an older copy. False: the
  // collector ends with POSITION_OF_ANOTHER_EPOCH or POSITION_AHEAD. True: it
  // goes on with one full record, which is marked `anew`.
  bool start_anew = false;
  // How broken connections are dealt with; `stall_timeout` is not used, since
  // records may be rare.
  WatchOptions connection;
};

// A record of the ledger, whole however many messages it came in.
struct CollectedRecord {
  // See usage.proto. `counters` describes those that this connection has not
  // described yet, or that have changed: what an id is called has to be kept.
  // `counter_ids`, `total_packets` and `total_bytes` are equally long; totals
  // are cumulative, and (node_id, id) never means another counter.
  v1::UsageRecord record;
  // The position that the collector had was refused, and this full record
  // begins it anew (CollectOptions::start_anew). Totals may be lower than those
  // that were collected before, where the ledger is an older copy: what was
  // counted from there on is in `record`'s totals, what was lost in a gap.
  bool anew = false;
  // Connections that this collector has made after the first one.
  uint64_t reconnects = 0;
};

// A stream of records: Client::CollectUsage. Connects at the first Next(), and
// again, with backoff, when the connection breaks or the server restarts. It
// then goes on after what was acknowledged, and leaves out what it has already
// returned: each record is returned once. At most max_unacknowledged_bytes of
// records come ahead of their acknowledgement, beyond that the server waits.
//
// Next() and Run() are for one thread at a time; Acknowledge() and Cancel() may
// be called by any. It may outlive its client.
class UsageCollector {
 public:
  UsageCollector() = default;
  // Sees that the server hears of the last acknowledgement, for a second at
  // most.
  virtual ~UsageCollector() = default;
  UsageCollector(const UsageCollector&) = delete;
  UsageCollector& operator=(const UsageCollector&) = delete;

  // Waits for the next record. An error is final (all further calls return it):
  // CANCELLED after Cancel(); ABORTED where another collector took this name
  // (CONSUMER_REPLACED) or the consumer was deleted; FAILED_PRECONDITION and
  // OUT_OF_RANGE for a position that the server refuses (see CollectOptions)
  // and for a server that keeps no usage; UNAVAILABLE when the first connection
  // fails or WatchOptions.give_up_after is over; DATA_LOSS for records that
  // contradict themselves; else what the server said. Nothing is lost by it:
  // whoever begins again from the last position that it stored gets the rest.
  virtual absl::StatusOr<CollectedRecord> Next() = 0;

  // Everything up to this record, which Next() has returned, is durable where
  // it went. The server need not keep it, and a broken stream goes on after it.
  // Never blocks on the network. May come late and in steps; one of an epoch
  // that is over is ignored.
  virtual void Acknowledge(const v1::UsagePosition& position) = 0;

  // Next(), `store`, Acknowledge(), until Next() fails or `store` does, with
  // that status. `store` makes the record and its position durable together;
  // what it refuses is not acknowledged, and comes again to the next collector.
  using Store = std::function<absl::Status(const CollectedRecord&)>;
  absl::Status Run(const Store& store);

  // Makes Next(), also one under way, return CANCELLED.
  virtual void Cancel() = 0;
};

}  // namespace nfmeter

#endif  // NFMETER_USAGE_H_
