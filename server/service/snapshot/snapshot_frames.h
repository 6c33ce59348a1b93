// SPDX-License-Identifier: GPL-3.0-or-later
// Each frame encoded once, for all streams that are due for it.
#ifndef NFMETER_SERVICE_SNAPSHOT_SNAPSHOT_FRAMES_H_
#define NFMETER_SERVICE_SNAPSHOT_SNAPSHOT_FRAMES_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/call_once.h"
#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "accounting/snapshots/snapshot.h"
#include "base/sharded_counter.h"
#include "grpcpp/support/slice.h"
#include "nfmeter/v1/snapshot.pb.h"
#include "service/snapshot/snapshot_filter.h"
#include "service/snapshot/snapshot_frame.h"

namespace nfmeter::service {

// A frame as the wire has it. Immutable.
struct EncodedFrame {
  std::vector<grpc::Slice> messages;
  // No row and no removal is in it.
  bool empty = false;
};

// What a stream has been sent, as far as its next frame depends on it.
struct FrameBase {
  uint64_t epoch = 0;  // 0: nothing
  uint64_t sequence = 0;
  uint64_t labels_version = 0;
};

// Since the start, over all streams.
struct FrameStats {
  ShardedCounter sent;
  ShardedCounter missed;   // due, and overtaken by newer ones
  ShardedCounter encoded;  // the others were sent as they had been encoded
};

// Thread-safe. Keeps the frames of the newest snapshots, within a bound.
class SnapshotFrames {
 public:
  // What is in `context` must outlive this.
  explicit SnapshotFrames(const FrameEncoder::Context& context)
      : context_(context) {}

  struct Query {
    std::shared_ptr<const accounting::Snapshot> snapshot;
    std::shared_ptr<SnapshotFilter> filter;
    SnapshotForm form;
    // Only what changed since the base, where there is one to build on.
    bool changed_only = false;
    FrameBase base;
  };
  struct Answer {
    std::shared_ptr<const EncodedFrame> frame;
    // Of a stream that has been sent this frame.
    FrameBase base;
  };
  Answer Get(const Query& query);

  // Lets go of what no stream is sending.
  void Clear();

  FrameStats& stats() { return stats_; }
  const FrameStats& stats() const { return stats_; }

 private:
  // Equal keys, equal bytes.
  struct Key {
    uint64_t epoch;
    uint64_t sequence;
    std::shared_ptr<SnapshotFilter> filter;
    uint64_t labels_version;
    SnapshotForm form;
    bool full;
    // Not full: rows changed since. Full: the last addition that is known.
    uint64_t since;

    friend bool operator==(const Key&, const Key&) = default;
  };
  struct Entry {
    Key key;
    absl::once_flag encoded;
    EncodedFrame frame;
    std::atomic<size_t> bytes = 0;
  };

  std::shared_ptr<Entry> EntryFor(const Key& key);
  void Trim(const Key& newest) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Encode(const Query& query, const MatchedIds& matched, Entry& entry);

  const FrameEncoder::Context context_;
  FrameStats stats_;
  absl::Mutex mutex_;
  std::deque<std::shared_ptr<Entry>> entries_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace nfmeter::service

#endif  // NFMETER_SERVICE_SNAPSHOT_SNAPSHOT_FRAMES_H_
