// SPDX-License-Identifier: Apache-2.0
#include "client/src/snapshot_stream.h"

#include <algorithm>
#include <utility>

#include "client/src/proto_time.h"
#include "client/src/status_macros.h"

namespace nfmeter::client_internal {
namespace {

// What the server takes when the request leaves them empty; see
// WatchSnapshotsRequest.
constexpr absl::Duration kDefaultInterval = absl::Seconds(1);
constexpr absl::Duration kDefaultHeartbeat = absl::Seconds(10);

absl::Duration OrDefault(const google::protobuf::Duration& duration,
                         absl::Duration value) {
  const absl::Duration given = FromProto(duration);
  return given > absl::ZeroDuration() ? given : value;
}

v1::WatchSnapshotsRequest WithView(v1::WatchSnapshotsRequest request) {
  if (request.view() == v1::SNAPSHOT_VIEW_UNSPECIFIED) {
    request.set_view(v1::SNAPSHOT_VIEW_COLUMNS);
  }
  return request;
}

// How long a stream may be silent before it is taken for dead.
absl::Duration StallTimeout(const v1::WatchSnapshotsRequest& request,
                            const WatchOptions& options) {
  if (options.stall_timeout > absl::ZeroDuration()) {
    return options.stall_timeout;
  }
  absl::Duration silence = OrDefault(request.interval(), kDefaultInterval);
  if (request.changed_only()) {
    silence =
        std::max(silence, OrDefault(request.heartbeat(), kDefaultHeartbeat));
  }
  return 3 * silence + absl::Seconds(10);
}

}  // namespace

SnapshotStream::SnapshotStream(std::shared_ptr<Connection> connection,
                               const v1::WatchSnapshotsRequest& request,
                               const WatchOptions& options)
    : stream_(std::move(connection), WithView(request), options,
              &Connection::snapshots,
              &v1::SnapshotService::Stub::AsyncWatchSnapshots,
              StallTimeout(request, options)) {}

absl::StatusOr<SnapshotFrame> SnapshotStream::Next() {
  if (!final_.ok()) return final_;
  final_ = ReadFrame();
  if (final_.ok()) final_ = table_.Apply(chunks_);
  if (!final_.ok()) return final_;
  return Finish();
}

absl::Status SnapshotStream::ReadFrame() {
  chunks_.clear();
  missed_frames_ = 0;
  do {
    auto message = std::make_shared<v1::WatchSnapshotsResponse>();
    NFM_ASSIGN_OR_RETURN(const bool is_new_stream, stream_.Read(message.get()));
    if (is_new_stream) {
      table_.StartStream();
      order_ = ChunkOrder();
      chunks_.clear();
      missed_frames_ = 0;
    } else if (chunks_.empty() && message->frame().epoch() != last_epoch_) {
      table_.StartStream();  // its ids are of other counters
    }
    NFM_RETURN_IF_ERROR(order_.Accept(message->frame()));
    missed_frames_ = std::max(missed_frames_, message->missed_frames());
    const v1::SnapshotFrame* frame = &message->frame();
    chunks_.emplace_back(std::move(message), frame);
  } while (!order_.between_frames());
  return absl::OkStatus();
}

SnapshotFrame SnapshotStream::Finish() {
  const v1::SnapshotFrame& last = *chunks_.back();
  SnapshotFrame frame;
  frame.epoch = last.epoch();
  frame.sequence = last.sequence();
  frame.wall_time = FromProto(last.wall_time());
  frame.boottime = FromProto(last.boottime());
  frame.complete = last.complete();
  frame.rows = table_.rows();
  frame.changed = table_.changed();
  frame.removed = table_.removed();
  frame.missed_frames = missed_frames_;
  frame.reconnects = stream_.reconnects();
  if (last_epoch_.has_value()) {
    frame.epoch_changed = *last_epoch_ != frame.epoch;
    frame.elapsed =
        std::max(frame.boottime - last_boottime_, absl::ZeroDuration());
  }
  last_epoch_ = frame.epoch;
  last_boottime_ = frame.boottime;
  v1::SnapshotPosition& after = *stream_.request().mutable_resume_after();
  after.set_epoch(frame.epoch);
  after.set_sequence(frame.sequence);
  return frame;
}

}  // namespace nfmeter::client_internal
