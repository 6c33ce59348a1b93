// SPDX-License-Identifier: GPL-3.0-or-later
// nfmeter.v1.SnapshotService over accounting::SnapshotHub.
#ifndef NFMETER_SERVICE_SNAPSHOT_SNAPSHOT_SERVICE_H_
#define NFMETER_SERVICE_SNAPSHOT_SNAPSHOT_SERVICE_H_

#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "nfmeter/v1/snapshot.grpc.pb.h"
#include "service/gate/gate.h"
#include "service/gate/gated_service.h"
#include "service/gate/limits.h"
#include "service/snapshot/snapshot_streams.h"
#include "telemetry/metrics_text.h"

namespace nfmeter::service {

// Each distinct frame is encoded once, and the same bytes are written to every
// stream that is due for it.
//
// Thread-safe. Must be destroyed after the gRPC server, and before the hub.
// Does not own what it is given.
class SnapshotService final : public GatedService<v1::SnapshotService> {
 public:
  // While `available` says anything but OK, every call ends with it.
  SnapshotService(Gate& gate, const SnapshotParts& parts, const Limits& limits,
                  std::function<absl::Status()> available);
  ~SnapshotService() override;

  void WriteMetrics(telemetry::MetricsText& text) const;

 private:
  absl::Status GetSnapshot(const Call& call,
                           const v1::GetSnapshotRequest& request);
  absl::Status WatchSnapshots(const Call& call,
                              const v1::WatchSnapshotsRequest& request);

  const Limits limits_;
  const std::function<absl::Status()> available_;
  const std::unique_ptr<SnapshotStreams> streams_;
};

}  // namespace nfmeter::service

#endif  // NFMETER_SERVICE_SNAPSHOT_SNAPSHOT_SERVICE_H_
