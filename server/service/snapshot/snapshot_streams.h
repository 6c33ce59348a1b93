// SPDX-License-Identifier: GPL-3.0-or-later
// What the streams of snapshots share.
#ifndef NFMETER_SERVICE_SNAPSHOT_SNAPSHOT_STREAMS_H_
#define NFMETER_SERVICE_SNAPSHOT_SNAPSHOT_STREAMS_H_

#include <map>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "accounting/counters/counters.h"
#include "accounting/counters/label_store.h"
#include "accounting/ledger/ledger.h"
#include "accounting/snapshots/snapshot_hub.h"
#include "service/gate/stream_set.h"
#include "service/gate/work_threads.h"
#include "service/snapshot/snapshot_filter.h"
#include "service/snapshot/snapshot_frame.h"
#include "service/snapshot/snapshot_frames.h"
#include "service/snapshot/snapshot_members.h"
#include "service/snapshot/snapshot_request.h"
#include "service/snapshot/snapshot_watch_stream.h"

namespace nfmeter::service {

// Hands each due snapshot of one interval to all streams that have it, on the
// encoders' threads. Thread-safe.
class SnapshotCadence final
    : public accounting::SnapshotSubscriber,
      public std::enable_shared_from_this<SnapshotCadence> {
 public:
  explicit SnapshotCadence(WorkThreads& threads) : threads_(threads) {}

  void Add(std::shared_ptr<SnapshotWatchStream> stream);
  // Whether none is left.
  bool Remove(const SnapshotWatchStream* stream);

  using Due = absl::StatusOr<std::shared_ptr<const accounting::Snapshot>>;

  // Hands a snapshot to one stream, if it is still here.
  void DeliverTo(std::shared_ptr<SnapshotWatchStream> stream, Due due);

  // SnapshotSubscriber:
  void OnSnapshot(
      std::shared_ptr<const accounting::Snapshot> snapshot) override;
  void OnError(const absl::Status& status) override;
  bool Wants(absl::Duration boottime) override;

 private:
  void Deliver(Due due);

  WorkThreads& threads_;
  absl::Mutex mutex_;
  std::vector<std::shared_ptr<SnapshotWatchStream>> streams_
      ABSL_GUARDED_BY(mutex_);
};

// What SnapshotService works with.
struct SnapshotParts {
  accounting::SnapshotHub& hub;
  const accounting::Counters& counters;
  const accounting::LabelStore& labels;
  accounting::Ledger& ledger;
  StreamSet& streams;
};

// The calls of SnapshotService under way. Thread-safe.
class SnapshotStreams {
 public:
  static constexpr char kKind[] = "snapshots";  // see StreamBudget

  explicit SnapshotStreams(const SnapshotParts& parts);

  absl::Status Get(const Call& call, const SnapshotQuery& query);
  absl::Status Watch(const Call& call, const SnapshotWatch& watch);

  const FrameStats& frame_stats() { return frames_.stats(); }

 private:
  struct Feed {
    std::shared_ptr<SnapshotCadence> cadence;
    std::unique_ptr<accounting::SnapshotHub::Subscription> subscription;
  };

  absl::Status CheckResumption(const SnapshotWatch& watch) const;
  void Join(const std::shared_ptr<SnapshotWatchStream>& stream);
  void Leave(absl::Duration interval, const SnapshotWatchStream* stream);

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

#endif  // NFMETER_SERVICE_SNAPSHOT_SNAPSHOT_STREAMS_H_
