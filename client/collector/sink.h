// SPDX-License-Identifier: Apache-2.0
// Where a collector keeps what the nodes of a fleet have counted.
#ifndef NFMETER_COLLECTOR_SINK_H_
#define NFMETER_COLLECTOR_SINK_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "nfmeter/v1/usage.pb.h"

namespace nfmeter::collector {

// Nodes are divided among collectors by shards: a hash of the node's name.
// Part of the schema; another number would divide a running fleet anew.
inline constexpr int kShards = 256;

// The right of one collector to store what the nodes of a shard say, for a
// time. The token grows each time that the shard changes hands, so that a
// former holder is known as such ("fencing token").
struct Lease {
  int shard = 0;
  int64_t token = 0;
};

// Up to where the records of a node are in the sink.
struct Cursor {
  std::string node_id;
  uint64_t epoch = 0;
  uint64_t sequence = 0;
  // Of that record, in microseconds; 0: not known. The node compares it with
  // that of the record which it has there now.
  int64_t time = 0;

  friend bool operator==(const Cursor& a, const Cursor& b) {
    return a.node_id == b.node_id && a.epoch == b.epoch &&
           a.sequence == b.sequence;
  }
};

// Where the sink is after that record.
Cursor CursorAfter(const v1::UsageRecord& record);

// A node that the sink knows.
struct KnownNode {
  std::string name;
  Cursor cursor;
};

// Records of one node, to be stored together. Plain data; the records are not
// owned.
struct Batch {
  std::string node;  // the target's name
  Lease lease;
  // Where the sink must be; absent: it must not know the node's id.
  std::optional<Cursor> expected;
  // Whole, in order, of one node id and epoch; not empty.
  absl::Span<const v1::UsageRecord> records;
  // The first record, which is alone then, does not go on after `expected`: the
  // node's ledger began anew or is an older copy. The sink keeps a gap
  // (LEDGER_SET_BACK) of all counters.
  bool set_back = false;
};

// The state of one target, as the collector that holds it sees it.
struct TargetReport {
  std::string name;
  std::string address;  // empty: it is no target any more
  std::string error;    // empty: its records come
  absl::Time since;     // of that
};

// A row of `nfmeter-collector status`.
struct NodeStatus {
  std::string name;
  std::string address;
  std::string node_id;  // empty: nothing was stored yet
  std::string collector;
  std::string error;
  uint64_t sequence = 0;
  absl::Time record_time = absl::InfinitePast();  // by the node's clock
  absl::Time stored_time = absl::InfinitePast();
};

struct FleetStatus {
  std::vector<std::string> collectors;  // alive
  std::vector<NodeStatus> nodes;        // by name
  int shards_held = 0;
};

// What happened in the fleet, for other programs.
struct Event {
  std::string id;       // the same whenever it is sent
  std::string type;     // "nfmeter.usage.gap"
  std::string subject;  // the node's name
  std::string time;     // RFC 3339
  std::string data;     // JSON
};

// A database or stream engine. All functions block, for a bounded time.
// Thread-safe.
//
// UNAVAILABLE from any of them: it can't be reached or is too busy. Of Store()
// it is then not known whether it was done; FindNode() tells.
class Sink {
 public:
  virtual ~Sink() = default;

  // --- Collectors and leases. Time is the sink's. ---

  // Collector `name` lives, for `ttl` from now on. Returns all that live.
  virtual absl::StatusOr<std::vector<std::string>> Join(const std::string& name,
                                                        absl::Duration ttl) = 0;
  // It goes; what it holds is free.
  virtual absl::Status Leave(const std::string& name) = 0;
  // Gives up what the collector holds beside `shards`, prolongs what it holds
  // of them, and takes those that nobody holds or whose time is over. Returns
  // all that it holds then, for `ttl`, by shard.
  virtual absl::StatusOr<std::vector<Lease>> KeepLeases(
      const std::string& name, absl::Span<const int> shards,
      absl::Duration ttl) = 0;

  // --- Nodes ---

  // The node that was stored last under this name; absent: none was.
  virtual absl::StatusOr<std::optional<KnownNode>> FindNode(
      const std::string& name) = 0;
  virtual absl::StatusOr<std::optional<KnownNode>> FindNodeById(
      const std::string& node_id) = 0;

  // In one transaction: checks the lease's token, that the cursor is where the
  // batch expects it, keeps the records, moves the cursor. Durable when it
  // returns. All or nothing:
  //   ABORTED              another collector has held the shard since
  //   FAILED_PRECONDITION  the cursor is elsewhere: begin again from there
  //   OUT_OF_RANGE         a total does not fit into the sink's numbers
  virtual absl::Status Store(const Batch& batch) = 0;

  // Remembers the states of targets, for FleetStatus.
  virtual absl::Status Report(const std::string& collector,
                              absl::Span<const TargetReport> targets) = 0;
  virtual absl::StatusOr<FleetStatus> Inspect() = 0;

  // Takes events from the outbox, oldest first, and forgets those that `send`
  // took; after an error of it none of them, so that an event may be sent
  // twice, with one id. Returns how many were sent; none where the sink keeps
  // no events (KeepsEvents()).
  virtual absl::StatusOr<int> RelayEvents(
      const std::function<absl::Status(const Event&)>& send) {
    (void)send;
    return 0;
  }

  // Keeps house: roll-ups, retention. Called every minute or so by each
  // collector; the sink sees that it is done once.
  virtual absl::Status Tidy() = 0;
};

// Errors that all sinks have in common.
absl::Status LeaseLost(const Batch& batch);
absl::Status CursorMoved(const Batch& batch);

}  // namespace nfmeter::collector

#endif  // NFMETER_COLLECTOR_SINK_H_
