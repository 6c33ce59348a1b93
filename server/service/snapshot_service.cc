#include "service/snapshot_service.h"

#include <utility>

#include "service/snapshot_request.h"
#include "service/snapshot_streams.h"
#include "service/stream_set.h"

namespace nfmeter::service {

SnapshotService::SnapshotService(accounting::SnapshotHub& hub,
                                 const accounting::LabelStore& labels,
                                 const Limits& limits, StreamBudget& budget,
                                 absl::Status available)
    : limits_(limits),
      available_(std::move(available)),
      streams_(std::make_unique<SnapshotStreams>(hub, labels, budget)) {}

SnapshotService::~SnapshotService() = default;

grpc::ServerWriteReactor<grpc::ByteBuffer>* SnapshotService::GetSnapshot(
    grpc::CallbackServerContext*, const grpc::ByteBuffer* bytes) {
  if (!available_.ok()) return StreamSet::Reject(available_);
  v1::GetSnapshotRequest request;
  if (absl::Status status = ParseRequest(*bytes, &request); !status.ok()) {
    return StreamSet::Reject(status);
  }
  const absl::StatusOr<SnapshotQuery> query = ReadSnapshotQuery(request);
  if (!query.ok()) return StreamSet::Reject(query.status());
  return streams_->Get(*query);
}

grpc::ServerWriteReactor<grpc::ByteBuffer>* SnapshotService::WatchSnapshots(
    grpc::CallbackServerContext*, const grpc::ByteBuffer* bytes) {
  if (!available_.ok()) return StreamSet::Reject(available_);
  v1::WatchSnapshotsRequest request;
  if (absl::Status status = ParseRequest(*bytes, &request); !status.ok()) {
    return StreamSet::Reject(status);
  }
  const absl::StatusOr<SnapshotWatch> watch =
      ReadSnapshotWatch(request, limits_.min_snapshot_interval);
  if (!watch.ok()) return StreamSet::Reject(watch.status());
  return streams_->Watch(*watch);
}

void SnapshotService::Shutdown() { streams_->Shutdown(); }

}  // namespace nfmeter::service
