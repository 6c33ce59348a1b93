// SPDX-License-Identifier: GPL-3.0-or-later
// nfmeter.v1.SnapshotService over accounting::SnapshotHub.
#ifndef NFMETER_SERVICE_SNAPSHOT_SNAPSHOT_SERVICE_H_
#define NFMETER_SERVICE_SNAPSHOT_SNAPSHOT_SERVICE_H_

#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "accounting/counters/counters.h"
#include "accounting/counters/label_store.h"
#include "accounting/ledger/ledger.h"
#include "accounting/snapshots/snapshot_hub.h"
#include "nfmeter/v1/snapshot.grpc.pb.h"
#include "service/gate/gate.h"
#include "service/gate/gated_service.h"
#include "service/gate/limits.h"
#include "service/gate/stream_set.h"
#include "service/gate/work_threads.h"
#include "service/snapshot/snapshot_filter.h"
#include "service/snapshot/snapshot_frame.h"
#include "service/snapshot/snapshot_frames.h"
#include "service/snapshot/snapshot_request.h"
#include "service/snapshot/snapshot_watch_stream.h"
#include "telemetry/metrics_text.h"

namespace nfmeter::service {

class SnapshotCadence;

// What SnapshotService works with.
struct SnapshotParts {
  accounting::SnapshotHub& hub;
  const accounting::Counters& counters;
  const accounting::LabelStore& labels;
  accounting::Ledger& ledger;
  StreamSet& streams;
};

// Each distinct frame is encoded once, and the same bytes are written to every
// stream that is due for it.
//
// Thread-safe. Must be destroyed after the gRPC server, and before the hub.
// Does not own what it is given.
class SnapshotService final : public GatedService<v1::SnapshotService> {
 public:
  static constexpr char kKind[] = "snapshots";  // of its streams

  // While `available` says anything but OK, every call ends with it.
  SnapshotService(Gate& gate, const SnapshotParts& parts, const Limits& limits,
                  std::function<absl::Status()> available);
  ~SnapshotService() override;

  void WriteMetrics(telemetry::MetricsText& text) const;

 private:
  struct Feed {
    std::shared_ptr<SnapshotCadence> cadence;
    std::unique_ptr<accounting::SnapshotHub::Subscription> subscription;
  };

  absl::Status GetSnapshot(const Call& call,
                           const v1::GetSnapshotRequest& request);
  absl::Status WatchSnapshots(const Call& call,
                              const v1::WatchSnapshotsRequest& request);
  absl::Status CheckResumption(const SnapshotWatch& watch) const;
  void Join(const std::shared_ptr<SnapshotWatchStream>& stream);
  void Leave(absl::Duration interval, const SnapshotWatchStream* stream);

  const Limits limits_;
  const std::function<absl::Status()> available_;
  accounting::SnapshotHub& hub_;
  MemberEncodings members_;
  const FrameEncoder::Context context_;
  SnapshotFilters filters_;
  SnapshotFrames frames_;
  WorkThreads threads_;
  StreamSet& streams_;
  absl::Mutex mutex_;
  std::map<absl::Duration, Feed> feeds_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace nfmeter::service

#endif  // NFMETER_SERVICE_SNAPSHOT_SNAPSHOT_SERVICE_H_
