// SPDX-License-Identifier: GPL-3.0-or-later
#include "service/snapshot/snapshot_service.h"

#include <algorithm>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/error.h"
#include "base/status_macros.h"
#include "service/snapshot/snapshot_get_stream.h"

namespace nfmeter::service {
namespace {

// A counter in a snapshot: its id, packets, bytes and uses.
constexpr size_t kBytesPerCounter = 24;

using accounting::Snapshot;
using accounting::SnapshotChunk;

// Streams that one encoder thread serves in one go.
constexpr size_t kStreamsPerJob = 256;

int EncoderThreads() {
  return static_cast<int>(
      std::clamp(std::thread::hardware_concurrency(), 2u, 4u));
}

}  // namespace

// Hands each due snapshot of one interval to all streams that have it, on the
// encoders' threads. Thread-safe.
class SnapshotCadence final
    : public accounting::SnapshotSubscriber,
      public std::enable_shared_from_this<SnapshotCadence> {
 public:
  explicit SnapshotCadence(WorkThreads& threads) : threads_(threads) {}

  void Add(std::shared_ptr<SnapshotWatchStream> stream) {
    absl::MutexLock lock(&mutex_);
    streams_.push_back(std::move(stream));
  }
  // Whether none is left.
  bool Remove(const SnapshotWatchStream* stream) {
    absl::MutexLock lock(&mutex_);
    std::erase_if(streams_,
                  [&](const auto& shared) { return shared.get() == stream; });
    return streams_.empty();
  }

  using Due = absl::StatusOr<std::shared_ptr<const accounting::Snapshot>>;

  // Hands a snapshot to one stream, if it is still here.
  void DeliverTo(std::shared_ptr<SnapshotWatchStream> stream, Due due) {
    // A stream that has left may outlive the threads.
    absl::MutexLock lock(&mutex_);
    if (std::find(streams_.begin(), streams_.end(), stream) == streams_.end()) {
      return;
    }
    threads_.Post([stream = std::move(stream), due = std::move(due)] {
      stream->Offer(due);
    });
  }

  // SnapshotSubscriber:
  void OnSnapshot(
      std::shared_ptr<const accounting::Snapshot> snapshot) override {
    Deliver(std::move(snapshot));
  }
  void OnError(const absl::Status& status) override { Deliver(status); }
  bool Wants(absl::Duration boottime) override {
    absl::MutexLock lock(&mutex_);
    return std::any_of(
        streams_.begin(), streams_.end(),
        [&](const auto& stream) { return stream->Wants(boottime); });
  }

 private:
  void Deliver(Due due) {
    absl::MutexLock lock(&mutex_);
    for (size_t begin = 0; begin < streams_.size(); begin += kStreamsPerJob) {
      const size_t end = std::min(begin + kStreamsPerJob, streams_.size());
      threads_.Post([due, streams = std::vector(streams_.begin() + begin,
                                                streams_.begin() + end)] {
        for (const auto& stream : streams) stream->Offer(due);
      });
    }
  }

  WorkThreads& threads_;
  absl::Mutex mutex_;
  std::vector<std::shared_ptr<SnapshotWatchStream>> streams_
      ABSL_GUARDED_BY(mutex_);
};

namespace {

// Brings a new stream its first snapshot.
class FirstReading final : public accounting::SnapshotReader {
 public:
  FirstReading(std::shared_ptr<SnapshotWatchStream> stream,
               std::shared_ptr<SnapshotCadence> cadence)
      : stream_(std::move(stream)), cadence_(std::move(cadence)) {}

  void OnBegin(std::shared_ptr<const Snapshot>) override {}
  void OnChunk(std::shared_ptr<const SnapshotChunk>) override {}
  void OnEnd(
      absl::StatusOr<std::shared_ptr<const Snapshot>> snapshot) override {
    cadence_->DeliverTo(std::move(stream_), std::move(snapshot));
  }

 private:
  std::shared_ptr<SnapshotWatchStream> stream_;
  const std::shared_ptr<SnapshotCadence> cadence_;
};

}  // namespace

SnapshotService::SnapshotService(Gate& gate, const SnapshotParts& parts,
                                 const Limits& limits,
                                 std::function<absl::Status()> available)
    : GatedService(gate),
      limits_(limits),
      available_(std::move(available)),
      hub_(parts.hub),
      context_{parts.counters, parts.labels, parts.ledger, members_},
      filters_(parts.labels),
      frames_(context_),
      threads_("nfm-streams", EncoderThreads()),
      streams_(parts.streams) {
  streams_.AddKind(kKind);
  Stream("GetSnapshot", &SnapshotService::GetSnapshot);
  Stream("WatchSnapshots", &SnapshotService::WatchSnapshots);
}

SnapshotService::~SnapshotService() = default;

absl::Status SnapshotService::GetSnapshot(
    const Call& call, const v1::GetSnapshotRequest& request) {
  NFM_RETURN_IF_ERROR(available_());
  NFM_ASSIGN_OR_RETURN(const SnapshotQuery query,
                       ReadSnapshotQuery(request, call.scope()));
  auto stream = std::make_shared<SnapshotGetStream>(
      query.form, filters_.Get(query.filter), context_, threads_);
  // A reading is kept until its client has taken all of it.
  const std::shared_ptr<const Snapshot> latest = hub_.Latest();
  NFM_RETURN_IF_ERROR(call.stream->Remember(
      latest == nullptr ? 0 : latest->size() * kBytesPerCounter));
  NFM_RETURN_IF_ERROR(streams_.Start(kKind, stream, call));
  hub_.Read(query.max_staleness, stream);
  return absl::OkStatus();
}

absl::Status SnapshotService::WatchSnapshots(
    const Call& call, const v1::WatchSnapshotsRequest& request) {
  NFM_RETURN_IF_ERROR(available_());
  NFM_ASSIGN_OR_RETURN(
      const SnapshotWatch watch,
      ReadSnapshotWatch(request, call.scope(), limits_.min_snapshot_interval));
  NFM_RETURN_IF_ERROR(CheckResumption(watch));
  auto stream = std::make_shared<SnapshotWatchStream>(
      watch, filters_.Get(watch.filter), frames_,
      [this](const SnapshotWatchStream* ended) {
        Leave(ended->interval(), ended);
      });
  NFM_RETURN_IF_ERROR(streams_.Start(kKind, stream, call));
  Join(stream);
  return absl::OkStatus();
}

absl::Status SnapshotService::CheckResumption(
    const SnapshotWatch& watch) const {
  if (watch.resume_epoch != hub_.epoch()) return absl::OkStatus();
  const std::shared_ptr<const Snapshot> latest = hub_.Latest();
  const uint64_t newest =
      latest != nullptr && latest->epoch == watch.resume_epoch
          ? latest->sequence
          : 0;
  if (watch.resume_sequence <= newest) return absl::OkStatus();
  return InvalidFields(
      {{"resume_after.sequence",
        absl::StrCat("is ", watch.resume_sequence, ", but the newest snapshot ",
                     "of this epoch is ", newest,
                     "; give the position of a frame as it was received")}});
}

void SnapshotService::Join(const std::shared_ptr<SnapshotWatchStream>& stream) {
  std::shared_ptr<SnapshotCadence> cadence;
  bool is_new = false;
  {
    absl::MutexLock lock(&mutex_);
    Feed& feed = feeds_[stream->interval()];
    if (feed.cadence == nullptr) {
      feed.cadence = std::make_shared<SnapshotCadence>(threads_);
    }
    cadence = feed.cadence;
    cadence->Add(stream);
    is_new = feed.subscription == nullptr;
    if (is_new) {
      feed.subscription = hub_.Subscribe(stream->interval(), cadence);
    }
  }
  // It may have ended before it was added.
  if (stream->ended()) Leave(stream->interval(), stream.get());
  // A new subscription brings a snapshot at once.
  if (!is_new) {
    hub_.Read(absl::ZeroDuration(),
              std::make_shared<FirstReading>(stream, cadence));
  }
}

void SnapshotService::Leave(absl::Duration interval,
                            const SnapshotWatchStream* stream) {
  Feed unused;  // destroyed without the lock: waits for deliveries
  absl::MutexLock lock(&mutex_);
  const auto feed = feeds_.find(interval);
  if (feed == feeds_.end() || !feed->second.cadence->Remove(stream)) return;
  unused = std::move(feed->second);
  feeds_.erase(feed);
  if (feeds_.empty()) frames_.Clear();
}

void SnapshotService::WriteMetrics(telemetry::MetricsText& text) const {
  const FrameStats& frames = frames_.stats();
  text.Counter("nfmeter_snapshot_frames_sent_total",
               "Frames of snapshots sent to subscribers.", frames.sent.Read());
  text.Counter("nfmeter_snapshot_frames_missed_total",
               "Frames that subscribers were too slow for.",
               frames.missed.Read());
  text.Counter("nfmeter_snapshot_frames_encoded_total",
               "Frames encoded; each is sent to many.", frames.encoded.Read());
}

}  // namespace nfmeter::service
