// SPDX-License-Identifier: Apache-2.0
// Reading SnapshotColumns.
#ifndef NFMETER_CLIENT_SRC_COLUMNS_H_
#define NFMETER_CLIENT_SRC_COLUMNS_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "nfmeter/v1/snapshot.pb.h"

namespace nfmeter::client_internal {

// DATA_LOSS, BROKEN_SNAPSHOT.
absl::Status BrokenSnapshot(absl::string_view what);

// Appends the names in `new_names`, which end with '\n' each; they point into
// it. `expected` is how many there must be.
absl::Status SplitNames(absl::string_view new_names, size_t expected,
                        std::vector<absl::string_view>* names);

// The ids of the new names; see SnapshotColumns.new_ids.
absl::Span<const uint32_t> IdsOfNewNames(const v1::SnapshotColumns& columns);

// Columns of the same length, as many new names as ids for them.
absl::Status CheckColumns(const v1::SnapshotColumns& columns);

// One flag for each of `ids`: whether it is among `exceeded`. Fast when both
// have the same order.
void AppendExceeded(absl::Span<const uint32_t> ids,
                    absl::Span<const uint32_t> exceeded,
                    std::vector<uint8_t>* flags);

// Follows the chunks of frames and finds what is out of order.
class ChunkOrder {
 public:
  absl::Status Accept(const v1::SnapshotFrame& chunk);

  // Nothing of a frame has come yet, or all of it.
  bool between_frames() const { return next_ == 0; }

 private:
  uint32_t next_ = 0;  // index of the next chunk
  uint64_t epoch_ = 0;
  uint64_t sequence_ = 0;
};

template <typename T>
absl::Span<const T> AsSpan(const google::protobuf::RepeatedField<T>& field) {
  return absl::Span<const T>(field.data(), field.size());
}

}  // namespace nfmeter::client_internal

#endif  // NFMETER_CLIENT_SRC_COLUMNS_H_
