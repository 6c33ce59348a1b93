// SPDX-License-Identifier: GPL-3.0-or-later
#include "service/snapshot/snapshot_service.h"

#include <utility>

#include "base/status_macros.h"
#include "service/snapshot/snapshot_request.h"

namespace nfmeter::service {

SnapshotService::SnapshotService(Gate& gate, const SnapshotParts& parts,
                                 const Limits& limits,
                                 std::function<absl::Status()> available)
    : GatedService(gate),
      limits_(limits),
      available_(std::move(available)),
      streams_(std::make_unique<SnapshotStreams>(parts)) {
  Stream("GetSnapshot", &SnapshotService::GetSnapshot);
  Stream("WatchSnapshots", &SnapshotService::WatchSnapshots);
}

SnapshotService::~SnapshotService() = default;

absl::Status SnapshotService::GetSnapshot(
    const Call& call, const v1::GetSnapshotRequest& request) {
  NFM_RETURN_IF_ERROR(available_());
  NFM_ASSIGN_OR_RETURN(const SnapshotQuery query,
                       ReadSnapshotQuery(request, call.scope()));
  return streams_->Get(call, query);
}

absl::Status SnapshotService::WatchSnapshots(
    const Call& call, const v1::WatchSnapshotsRequest& request) {
  NFM_RETURN_IF_ERROR(available_());
  NFM_ASSIGN_OR_RETURN(
      const SnapshotWatch watch,
      ReadSnapshotWatch(request, call.scope(), limits_.min_snapshot_interval));
  return streams_->Watch(call, watch);
}

void SnapshotService::WriteMetrics(telemetry::MetricsText& text) const {
  const FrameStats& frames = streams_->frame_stats();
  text.Counter("nfmeter_snapshot_frames_sent_total",
               "Frames of snapshots sent to subscribers.", frames.sent.Read());
  text.Counter("nfmeter_snapshot_frames_missed_total",
               "Frames that subscribers were too slow for.",
               frames.missed.Read());
  text.Counter("nfmeter_snapshot_frames_encoded_total",
               "Frames encoded; each is sent to many.", frames.encoded.Read());
}

}  // namespace nfmeter::service
