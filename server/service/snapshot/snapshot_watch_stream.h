// SPDX-License-Identifier: GPL-3.0-or-later
// One call of WatchSnapshots.
#ifndef NFMETER_SERVICE_SNAPSHOT_SNAPSHOT_WATCH_STREAM_H_
#define NFMETER_SERVICE_SNAPSHOT_SNAPSHOT_WATCH_STREAM_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "accounting/snapshots/snapshot.h"
#include "service/gate/stream_set.h"
#include "service/snapshot/snapshot_filter.h"
#include "service/snapshot/snapshot_frames.h"
#include "service/snapshot/snapshot_request.h"

namespace nfmeter::service {

// Sends the newest snapshot that it was offered whenever the client has taken
// the frame before. Holds one frame and one snapshot, both shared with all
// other streams.
class SnapshotWatchStream final : public MessageStream {
 public:
  using OnEndedCall = std::function<void(const SnapshotWatchStream*)>;

  // `on_ended` is called once, with this stream.
  SnapshotWatchStream(const SnapshotWatch& watch,
                      std::shared_ptr<SnapshotFilter> filter,
                      SnapshotFrames& frames, OnEndedCall on_ended);

  // A snapshot is due, or could not be taken. Writes on this thread.
  void Offer(
      const absl::StatusOr<std::shared_ptr<const accounting::Snapshot>>& due);

  // Whether a snapshot of this time would be sent: the first one was, and an
  // interval has passed since. Times fall due on multiples of the interval.
  bool Wants(absl::Duration boottime) {
    absl::MutexLock lock(&mutex_);
    return !ended_ && IsDue(boottime);
  }

  absl::Duration interval() const { return watch_.interval; }
  // `on_ended` was or will be called.
  bool ended() {
    absl::MutexLock lock(&mutex_);
    return ended_;
  }

 private:
  std::optional<Message> Next() override;
  void OnEnded() override;

  absl::Status Note(
      const absl::StatusOr<std::shared_ptr<const accounting::Snapshot>>& due);
  bool IsDue(absl::Duration boottime) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool NextFrame();
  bool HeartbeatDue(const accounting::Snapshot& snapshot) const;

  const SnapshotWatch watch_;
  const std::shared_ptr<SnapshotFilter> filter_;
  SnapshotFrames& frames_;
  const OnEndedCall on_ended_;

  absl::Mutex mutex_;
  std::shared_ptr<const accounting::Snapshot> newest_ ABSL_GUARDED_BY(mutex_);
  uint64_t due_ ABSL_GUARDED_BY(mutex_) = 0;  // offered and not sent
  int failures_ ABSL_GUARDED_BY(mutex_) = 0;  // in a row
  // Boottime of the first that was taken.
  std::optional<absl::Duration> first_offer_ ABSL_GUARDED_BY(mutex_);
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  // Position of the last one offered; at first, of what to resume after.
  uint64_t offered_epoch_ ABSL_GUARDED_BY(mutex_);
  uint64_t offered_sequence_ ABSL_GUARDED_BY(mutex_);

  // Next()'s own.
  FrameBase base_;
  absl::Duration last_frame_;  // boottime
  std::shared_ptr<const EncodedFrame> frame_;
  size_t next_message_ = 0;
  uint64_t missed_ = 0;
};

}  // namespace nfmeter::service

#endif  // NFMETER_SERVICE_SNAPSHOT_SNAPSHOT_WATCH_STREAM_H_
