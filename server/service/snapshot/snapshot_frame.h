// SPDX-License-Identifier: GPL-3.0-or-later
// Snapshot frames as bytes.
#ifndef NFMETER_SERVICE_SNAPSHOT_SNAPSHOT_FRAME_H_
#define NFMETER_SERVICE_SNAPSHOT_SNAPSHOT_FRAME_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "accounting/counters/counters.h"
#include "accounting/counters/label_store.h"
#include "accounting/ledger/ledger.h"
#include "accounting/snapshots/snapshot.h"
#include "grpcpp/support/slice.h"
#include "nfmeter/v1/snapshot.pb.h"
#include "service/snapshot/snapshot_filter.h"
#include "service/snapshot/snapshot_request.h"

namespace nfmeter::service {

// The contents of SnapshotColumns' fields for one whole chunk.
struct EncodedMembers {
  std::string ids;    // packed
  std::string names;  // of all of them
};

// Encodes the ids and names of a chunk once for all snapshots that share them:
// they are most of a full frame's bytes, and mostly stay the same. Keeps what
// snapshots still have. Thread-safe.
class MemberEncodings {
 public:
  // `members` is of a chunk, and `names` of its snapshot.
  std::shared_ptr<const EncodedMembers> Get(
      const std::shared_ptr<const std::vector<uint32_t>>& members,
      const accounting::NameTable& names);

 private:
  struct Entry {
    std::weak_ptr<const std::vector<uint32_t>> members;
    std::shared_ptr<const EncodedMembers> encoded;
  };

  absl::Mutex mutex_;
  absl::flat_hash_map<const std::vector<uint32_t>*, Entry> entries_
      ABSL_GUARDED_BY(mutex_);
};

// Size at which a frame is cut. Messages are seldom much longer.
inline constexpr size_t kFrameMessageBytes = 512 << 10;

// Writes one frame as one or more messages, each both a GetSnapshotResponse
// and a WatchSnapshotsResponse (`frame` has the same number in both). Not
// thread-safe.
class FrameEncoder {
 public:
  using OnMessage = std::function<void(grpc::Slice message)>;

  struct Options {
    // Position, times and names; its rows are not looked at. Kept alive.
    std::shared_ptr<const accounting::Snapshot> snapshot;
    bool full = true;
    bool restarted = false;
    // The snapshot whose names the receiver knows; 0: none.
    uint64_t names_known_at = 0;
    SnapshotForm form;
  };

  // What encoders need of what is around them; must outlive them.
  struct Context {
    const accounting::Counters& counters;
    const accounting::LabelStore& labels;
    accounting::Ledger& ledger;
    MemberEncodings& members;
  };

  static std::unique_ptr<FrameEncoder> Create(Options options,
                                              const Context& context,
                                              OnMessage on_message);
  virtual ~FrameEncoder() = default;

  // The next rows.
  virtual void Add(const RowSelection& rows) = 0;
  // Writes what was added so far.
  void Flush();
  // The end of the frame: writes the rest. `matched`: see
  // SnapshotFrame.expected_count.
  void Finish(bool complete, size_t matched,
              absl::Span<const uint32_t> removed_ids);

 protected:
  FrameEncoder(Options options, OnMessage on_message);

  // Whether there are rows or removals that are not written yet.
  virtual bool HasPending() const = 0;
  virtual void AddRemoved(absl::Span<const uint32_t> ids) = 0;
  // What is pending, as one message that begins with `header`.
  virtual grpc::Slice Encode(const v1::SnapshotFrame& header) = 0;

  const accounting::NameTable& names() const {
    return options_.snapshot->names();
  }
  const Options options_;

 private:
  void Write(bool last);

  const OnMessage on_message_;
  v1::SnapshotFrame header_;
};

// For SNAPSHOT_VIEW_COLUMNS: what Create() makes of snapshot_columns.cc.
std::unique_ptr<FrameEncoder> NewColumnsEncoder(
    FrameEncoder::Options options, const FrameEncoder::Context& context,
    FrameEncoder::OnMessage on_message);

}  // namespace nfmeter::service

#endif  // NFMETER_SERVICE_SNAPSHOT_SNAPSHOT_FRAME_H_
