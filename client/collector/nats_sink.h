// SPDX-License-Identifier: Apache-2.0
// The fleet's usage as messages in NATS JetStream.
#ifndef NFMETER_COLLECTOR_NATS_SINK_H_
#define NFMETER_COLLECTOR_NATS_SINK_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "collector/nats.h"
#include "collector/sink.h"

namespace nfmeter::collector {

// A subject a node, "nfmeter.usage.NODE_ID", in stream NFMETER_USAGE; each
// record is a CloudEvent (binary mode) with the record as JSON, in several
// messages where it does not fit into one. The cursor is a header of the last
// message; it moves by the sequence that JetStream expects to be the subject's
// last, and never by de-duplication, whose window forgets.
//
// Leases and collectors are one value of bucket NFMETER_COLLECTORS, changed by
// compare-and-set. JetStream has no clock to ask: each collector takes another
// for dead when it has seen no sign of it for that one's time to live.
//
// Thread-safe.
class NatsSink final : public Sink {
 public:
  struct Options {
    std::string url;  // nats://HOST:PORT, several by comma
    bool only_inspect = false;
    std::function<absl::Time()> now = absl::Now;
  };

  // Makes stream and bucket where there are none, of three copies where the
  // cluster has three servers. Statuses: nats::Connection.
  static absl::StatusOr<std::unique_ptr<NatsSink>> Open(Options options);

  absl::StatusOr<std::vector<std::string>> Join(const std::string& name,
                                                absl::Duration ttl) override;
  absl::Status Leave(const std::string& name) override;
  absl::StatusOr<std::vector<Lease>> KeepLeases(const std::string& name,
                                                absl::Span<const int> shards,
                                                absl::Duration ttl) override;
  absl::StatusOr<std::optional<KnownNode>> FindNode(
      const std::string& name) override;
  absl::StatusOr<std::optional<KnownNode>> FindNodeById(
      const std::string& node_id) override;
  absl::Status Store(const Batch& batch) override;
  absl::Status Report(const std::string& collector,
                      absl::Span<const TargetReport> targets) override;
  absl::StatusOr<FleetStatus> Inspect() override;
  absl::Status Tidy() override { return absl::OkStatus(); }

 private:
  // What the bucket's value says; "beat" moves with each sign of life.
  struct Member {
    uint64_t beat = 0;
    absl::Duration ttl;
  };
  struct Held {
    int64_t token = 0;
    std::string holder;  // empty: free
    uint64_t beat = 0;
    absl::Duration ttl;
  };
  struct Board {
    std::map<std::string, Member> members;
    std::map<int, Held> leases;
  };

  explicit NatsSink(Options options) : options_(std::move(options)) {}

  static Board ParseBoard(const std::string& text);
  static std::string BoardText(const Board& board);
  // Reads the board, lets `change` change it, writes it; again from the start
  // while others are faster.
  absl::Status ChangeBoard(const std::function<void(Board&)>& change);
  // Whether a sign of life as this one was seen first longer ago than `ttl`.
  bool IsStale(const std::string& what, uint64_t beat, absl::Duration ttl)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status CheckLease(const Batch& batch);
  absl::Status KeepName(const Batch& batch);
  absl::Status Publish(const Batch& batch, const v1::UsageRecord& record,
                       const std::optional<Cursor>& before, uint64_t& last);

  const Options options_;
  std::unique_ptr<nats::Connection> connection_;

  absl::Mutex mutex_;
  // What was seen, and since when.
  std::map<std::string, std::pair<uint64_t, absl::Time>> seen_
      ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::string> names_ ABSL_GUARDED_BY(mutex_);  // ids
};

}  // namespace nfmeter::collector

#endif  // NFMETER_COLLECTOR_NATS_SINK_H_
