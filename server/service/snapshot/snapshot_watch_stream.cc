// SPDX-License-Identifier: GPL-3.0-or-later
#include "service/snapshot/snapshot_watch_stream.h"

#include <utility>

#include "google/protobuf/wire_format_lite.h"

namespace nfmeter::service {
namespace {

using accounting::Snapshot;
using google::protobuf::internal::WireFormatLite;

// Readings that may fail in a row before the stream ends with their error.
constexpr int kMaxFailures = 3;

// WatchSnapshotsResponse.missed_frames alone: put before a message that many
// streams share.
grpc::Slice EncodeMissed(uint64_t missed) {
  uint8_t bytes[16];
  const uint8_t* const end = WireFormatLite::WriteUInt64ToArray(
      v1::WatchSnapshotsResponse::kMissedFramesFieldNumber, missed, bytes);
  return grpc::Slice(bytes, end - bytes);
}

}  // namespace

SnapshotWatchStream::SnapshotWatchStream(const SnapshotWatch& watch,
                                         std::shared_ptr<SnapshotFilter> filter,
                                         SnapshotFrames& frames,
                                         OnEndedCall on_ended)
    : watch_(watch),
      filter_(std::move(filter)),
      frames_(frames),
      on_ended_(std::move(on_ended)),
      offered_epoch_(watch.resume_epoch),
      offered_sequence_(watch.resume_sequence) {}

void SnapshotWatchStream::Offer(
    const absl::StatusOr<std::shared_ptr<const Snapshot>>& due) {
  const absl::Status status = Note(due);
  if (status.ok()) {
    Wake();
  } else {
    End(status);
  }
}

absl::Status SnapshotWatchStream::Note(
    const absl::StatusOr<std::shared_ptr<const Snapshot>>& due) {
  absl::MutexLock lock(&mutex_);
  if (ended_) return absl::OkStatus();
  const bool is_first = !first_offer_.has_value();
  if (!due.ok()) {
    const bool give_up = is_first || ++failures_ >= kMaxFailures;
    return give_up ? due.status() : absl::OkStatus();
  }
  failures_ = 0;
  const Snapshot& snapshot = **due;
  // The cadence and a stream's first reading may bring the same snapshot, or an
  // older one.
  if (snapshot.epoch == offered_epoch_ &&
      snapshot.sequence <= offered_sequence_) {
    return absl::OkStatus();
  }
  if (is_first) {
    first_offer_ = snapshot.boottime;
    // Those that a resumed stream did not get count as missed.
    if (snapshot.epoch == offered_epoch_) {
      due_ = snapshot.sequence - offered_sequence_ - 1;
    }
  } else if (!IsDue(snapshot.boottime)) {
    return absl::OkStatus();
  }
  offered_epoch_ = snapshot.epoch;
  offered_sequence_ = snapshot.sequence;
  newest_ = *due;
  ++due_;
  return absl::OkStatus();
}

bool SnapshotWatchStream::IsDue(absl::Duration boottime) const {
  // Later ones are an interval apart because the ticks are.
  return first_offer_.has_value() &&
         boottime - *first_offer_ >= watch_.interval - watch_.interval / 10;
}

std::optional<MessageStream::Message> SnapshotWatchStream::Next() {
  if (frame_ == nullptr && !NextFrame()) return std::nullopt;
  grpc::Slice slices[2];
  size_t count = 0;
  if (next_message_ == 0 && missed_ != 0) {
    slices[count++] = EncodeMissed(missed_);
  }
  const grpc::Slice& message = frame_->messages[next_message_++];
  const void* const shared = message.begin();
  slices[count++] = message;
  if (next_message_ == frame_->messages.size()) frame_ = nullptr;
  return Message{.bytes = grpc::ByteBuffer(slices, count), .shared = shared};
}

// Sets frame_. False if there is nothing to send.
bool SnapshotWatchStream::NextFrame() {
  std::shared_ptr<const Snapshot> snapshot;
  {
    absl::MutexLock lock(&mutex_);
    if (due_ == 0) return false;
    missed_ = std::exchange(due_, 0) - 1;
    snapshot = std::move(newest_);
  }
  const bool is_first = base_.epoch == 0;
  SnapshotFrames::Answer answer =
      frames_.Get({.snapshot = snapshot,
                   .filter = filter_,
                   .form = watch_.form,
                   .changed_only = watch_.changed_only,
                   .base = base_});
  const bool is_new = is_first || answer.base.epoch != base_.epoch ||
                      answer.base.labels_version != base_.labels_version;
  base_ = answer.base;
  if (watch_.changed_only && !is_new && answer.frame->empty &&
      !HeartbeatDue(*snapshot)) {
    return false;
  }
  frames_.stats().sent.Add(1);
  if (missed_ > 0) frames_.stats().missed.Add(missed_);
  last_frame_ = snapshot->boottime;
  frame_ = std::move(answer.frame);
  next_message_ = 0;
  return true;
}

bool SnapshotWatchStream::HeartbeatDue(const Snapshot& snapshot) const {
  // The next one would come too late.
  return snapshot.boottime + watch_.interval - last_frame_ > watch_.heartbeat;
}

void SnapshotWatchStream::OnEnded() {
  {
    absl::MutexLock lock(&mutex_);
    ended_ = true;
    newest_ = nullptr;
  }
  on_ended_(this);
}

}  // namespace nfmeter::service
