// SPDX-License-Identifier: Apache-2.0
// The table that a SnapshotWatch keeps.
#ifndef NFMETER_CLIENT_SRC_SNAPSHOT_TABLE_H_
#define NFMETER_CLIENT_SRC_SNAPSHOT_TABLE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "nfmeter/v1/snapshot.pb.h"
#include "nfmeter/watch.h"

namespace nfmeter::client_internal {

// The counters that are known to exist, updated frame by frame. Ids are those
// of the stream in COLUMNS, and given here, by name, in ROWS.
//
// On a new stream ids mean something else, so that rows of the old one wait as
// *orphans*, known by name only, until the new stream names them or a complete
// full frame shows that they have gone.
//
// Not thread-safe.
class SnapshotTable {
 public:
  using Chunks = std::vector<std::shared_ptr<const v1::SnapshotFrame>>;

  // Another stream begins; its first frame must be full.
  void StartStream();

  // Takes all chunks of one frame. DATA_LOSS: they contradict themselves; the
  // table is then of no further use.
  absl::Status Apply(const Chunks& chunks);

  // After Apply(); see SnapshotFrame.
  absl::Span<const CounterRow> rows() const { return rows_; }
  absl::Span<const uint32_t> changed() const { return changed_; }
  absl::Span<const std::string> removed() const { return removed_; }

 private:
  static constexpr uint32_t kOrphan = UINT32_MAX;  // row has no id

  // A frame with all its chunks put together, by columns.
  struct Frame {
    std::vector<uint32_t> ids;
    std::vector<uint64_t> packets;
    std::vector<uint64_t> bytes;
    std::vector<uint64_t> total_packets;  // empty: not sent
    std::vector<uint64_t> total_bytes;
    std::vector<uint8_t> exceeded;
    std::vector<std::shared_ptr<const v1::Counter>> counters;  // ROWS only
    std::vector<uint32_t> removed;
    bool full = false;
    bool complete = false;
  };
  // What is known of an id.
  struct Known {
    absl::string_view name;
    std::optional<uint32_t> row;
    uint64_t full_frame = 0;  // the last one that it was in
  };

  absl::Status Collect(const Chunks& chunks, Frame* frame);
  absl::Status CollectColumns(const v1::SnapshotColumns& columns, Frame* frame);
  void CollectRows(const std::shared_ptr<const v1::SnapshotFrame>& chunk,
                   Frame* frame);
  uint32_t LocalId(const std::string& name);
  absl::string_view KeepText(const std::string& text);
  absl::Status CheckNamed(const Frame& frame) const;

  void ApplyInPlace(const Frame& frame);
  absl::Status ApplyFull(const Frame& frame);
  absl::Status ApplyDelta(const Frame& frame);

  // Takes the row that the counter had on older streams, if it had one, away
  // from the orphans.
  std::optional<uint32_t> TakeOrphan(absl::string_view name);
  // Writes row i of the frame into a row of the table.
  void Update(const Frame& frame, size_t i, uint32_t row, bool is_new);
  void RemoveRows(const std::vector<bool>& gone);
  // Makes known_ and orphans_ fit rows_ again.
  void Reindex();

  std::vector<CounterRow> rows_;
  std::vector<uint32_t> ids_;                                 // of rows_
  std::vector<std::shared_ptr<const v1::Counter>> counters_;  // of rows_
  std::vector<uint32_t> changed_;
  std::vector<std::string> removed_;

  absl::flat_hash_map<uint32_t, Known> known_;
  absl::flat_hash_map<absl::string_view, uint32_t> local_ids_;  // ROWS only
  absl::flat_hash_map<absl::string_view, uint32_t> orphans_;    // name to row
  // What names point into: of this stream, and of older ones for orphans.
  std::vector<std::unique_ptr<const std::string>> names_;
  std::vector<std::unique_ptr<const std::string>> old_names_;
  uint64_t full_frames_ = 0;
  bool stream_is_new_ = true;
};

}  // namespace nfmeter::client_internal

#endif  // NFMETER_CLIENT_SRC_SNAPSHOT_TABLE_H_
