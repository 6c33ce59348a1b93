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
  if (available_ != nullptr) NFM_RETURN_IF_ERROR(available_());
  NFM_ASSIGN_OR_RETURN(const SnapshotQuery query,
                       ReadSnapshotQuery(request, call.scope()));
  return streams_->Get(call, query);
}

absl::Status SnapshotService::WatchSnapshots(
    const Call& call, const v1::WatchSnapshotsRequest& request) {
  if (available_ != nullptr) NFM_RETURN_IF_ERROR(available_());
  NFM_ASSIGN_OR_RETURN(
      const SnapshotWatch watch,
      ReadSnapshotWatch(request, call.scope(), limits_.min_snapshot_interval));
  return streams_->Watch(call, watch);
}

void SnapshotService::Shutdown() { streams_->Shutdown(); }

void SnapshotService::AuthorizeAgain(const security::Authorizer& authorizer) {
  streams_->AuthorizeAgain(authorizer);
}

void SnapshotService::WriteMetrics(telemetry::MetricsText& text) const {
  using Type = telemetry::MetricsText::Type;
  const FrameStats& frames = streams_->frame_stats();
  text.Family("nfmeter_snapshot_frames_sent_total", Type::kCounter,
              "Frames of snapshots sent to subscribers.");
  text.Add(frames.sent.Read());
  text.Family("nfmeter_snapshot_frames_missed_total", Type::kCounter,
              "Frames that subscribers were too slow for.");
  text.Add(frames.missed.Read());
  text.Family("nfmeter_snapshot_frames_encoded_total", Type::kCounter,
              "Frames encoded; each is sent to many.");
  text.Add(frames.encoded.Read());
}

size_t SnapshotService::open_streams() const { return streams_->open(); }

}  // namespace nfmeter::service
