// SPDX-License-Identifier: Apache-2.0
// What is behind a SnapshotWatch.
#ifndef NFMETER_CLIENT_SRC_SNAPSHOT_STREAM_H_
#define NFMETER_CLIENT_SRC_SNAPSHOT_STREAM_H_

#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/src/columns.h"
#include "client/src/connection.h"
#include "client/src/resuming_stream.h"
#include "client/src/snapshot_table.h"
#include "nfmeter/v1/snapshot.pb.h"
#include "nfmeter/watch.h"

namespace nfmeter::client_internal {

// Collects the chunks of frames, asks new streams to go on after the last
// whole frame, and keeps the table. Not thread-safe but for Cancel().
class SnapshotStream {
 public:
  SnapshotStream(std::shared_ptr<Connection> connection,
                 const v1::WatchSnapshotsRequest& request,
                 const WatchOptions& options);

  absl::StatusOr<SnapshotFrame> Next();
  void Cancel() { stream_.Cancel(); }

 private:
  absl::Status ReadFrame();
  SnapshotFrame Finish();

  ResumingStream<v1::WatchSnapshotsRequest, v1::WatchSnapshotsResponse> stream_;
  SnapshotTable table_;
  absl::Status final_;  // not OK: what Next() returns from now on

  // The frame that is being received.
  ChunkOrder order_;
  SnapshotTable::Chunks chunks_;
  uint64_t missed_frames_ = 0;

  std::optional<uint64_t> last_epoch_;
  absl::Duration last_boottime_;
};

}  // namespace nfmeter::client_internal

#endif  // NFMETER_CLIENT_SRC_SNAPSHOT_STREAM_H_
