// SPDX-License-Identifier: GPL-3.0-or-later
#include "service/snapshot/snapshot_streams.h"

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

void SnapshotCadence::Add(std::shared_ptr<SnapshotWatchStream> stream) {
  absl::MutexLock lock(&mutex_);
  streams_.push_back(std::move(stream));
}

bool SnapshotCadence::Remove(const SnapshotWatchStream* stream) {
  absl::MutexLock lock(&mutex_);
  std::erase_if(streams_,
                [&](const auto& shared) { return shared.get() == stream; });
  return streams_.empty();
}

void SnapshotCadence::OnSnapshot(std::shared_ptr<const Snapshot> snapshot) {
  Deliver(std::move(snapshot));
}

void SnapshotCadence::OnError(const absl::Status& status) { Deliver(status); }

bool SnapshotCadence::Wants(absl::Duration boottime) {
  absl::MutexLock lock(&mutex_);
  return std::any_of(streams_.begin(), streams_.end(), [&](const auto& stream) {
    return stream->Wants(boottime);
  });
}

void SnapshotCadence::Deliver(Due due) {
  absl::MutexLock lock(&mutex_);
  for (size_t begin = 0; begin < streams_.size(); begin += kStreamsPerJob) {
    const size_t end = std::min(begin + kStreamsPerJob, streams_.size());
    threads_.Post([due, streams = std::vector(streams_.begin() + begin,
                                              streams_.begin() + end)] {
      for (const auto& stream : streams) stream->Offer(due);
    });
  }
}

void SnapshotCadence::DeliverTo(std::shared_ptr<SnapshotWatchStream> stream,
                                Due due) {
  // A stream that has left may outlive the threads.
  absl::MutexLock lock(&mutex_);
  if (std::find(streams_.begin(), streams_.end(), stream) == streams_.end()) {
    return;
  }
  threads_.Post([stream = std::move(stream), due = std::move(due)] {
    stream->Offer(due);
  });
}

SnapshotStreams::SnapshotStreams(const SnapshotParts& parts)
    : hub_(parts.hub),
      context_{parts.counters, parts.labels, parts.ledger, members_},
      filters_(parts.labels),
      frames_(context_),
      threads_("nfm-streams", EncoderThreads()),
      streams_(parts.streams) {
  streams_.AddKind(kKind);
}

absl::Status SnapshotStreams::Get(const Call& call,
                                  const SnapshotQuery& query) {
  auto stream = std::make_shared<SnapshotGetStream>(
      query, filters_.Get(query.filter), context_, threads_);
  // A reading is kept until its client has taken all of it.
  const std::shared_ptr<const Snapshot> latest = hub_.Latest();
  NFM_RETURN_IF_ERROR(call.stream->Remember(
      latest == nullptr ? 0 : latest->size() * kBytesPerCounter));
  NFM_RETURN_IF_ERROR(streams_.Start(kKind, stream, call));
  hub_.Read(query.max_staleness, stream);
  return absl::OkStatus();
}

absl::Status SnapshotStreams::Watch(const Call& call,
                                    const SnapshotWatch& watch) {
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

absl::Status SnapshotStreams::CheckResumption(
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

void SnapshotStreams::Join(const std::shared_ptr<SnapshotWatchStream>& stream) {
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

void SnapshotStreams::Leave(absl::Duration interval,
                            const SnapshotWatchStream* stream) {
  Feed unused;  // destroyed without the lock: waits for deliveries
  absl::MutexLock lock(&mutex_);
  const auto feed = feeds_.find(interval);
  if (feed == feeds_.end() || !feed->second.cadence->Remove(stream)) return;
  unused = std::move(feed->second);
  feeds_.erase(feed);
  if (feeds_.empty()) frames_.Clear();
}

}  // namespace nfmeter::service
