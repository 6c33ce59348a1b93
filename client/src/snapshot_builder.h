// SPDX-License-Identifier: Apache-2.0
// From chunks to a Snapshot.
#ifndef NFMETER_CLIENT_SRC_SNAPSHOT_BUILDER_H_
#define NFMETER_CLIENT_SRC_SNAPSHOT_BUILDER_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "client/src/column_wire.h"
#include "client/src/columns.h"
#include "nfmeter/snapshot.h"
#include "nfmeter/v1/snapshot.pb.h"

namespace nfmeter::client_internal {

// Puts the chunks of one GetSnapshot stream, view COLUMNS, together. Names are
// not copied: the snapshot keeps the messages that they came in. Not
// thread-safe.
class SnapshotBuilder {
 public:
  // The next chunk: an encoded GetSnapshotResponse, which `storage` keeps
  // alive. DATA_LOSS: it contradicts itself or those before.
  absl::Status Add(absl::string_view wire, std::shared_ptr<const void> storage);

  // The snapshot, once. DATA_LOSS: the stream ended before the last chunk.
  absl::StatusOr<Snapshot> Finish();

 private:
  // Forgets the `rows` first rows, but not their names.
  void Forget(size_t rows);
  // Checks and takes what came with the rows from `first` on.
  absl::Status TakeRows(size_t first, const ColumnExtras& extras);
  absl::Status CheckLengths() const;
  absl::Status AddNames(absl::Span<const uint32_t> ids,
                        const ColumnExtras& extras);
  // Checks that the labels are those of `names` names, and of the chunks
  // before.
  absl::Status CheckLabels(const ColumnExtras& extras, size_t names);
  // Fills known_, for chunks whose rows were named earlier.
  void LearnRows();

  Snapshot snapshot_;
  ChunkOrder order_;
  std::vector<uint32_t> ids_;
  struct Known {
    absl::string_view name;
    std::vector<absl::string_view> labels;
  };
  // By id. Only made when a chunk has rows whose names came earlier on the
  // stream, which happens when a reading starts again.
  absl::flat_hash_map<uint32_t, Known> known_;
  bool knows_ids_ = false;
  bool done_ = false;
};

}  // namespace nfmeter::client_internal

#endif  // NFMETER_CLIENT_SRC_SNAPSHOT_BUILDER_H_
