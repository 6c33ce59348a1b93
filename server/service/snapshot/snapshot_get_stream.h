// SPDX-License-Identifier: GPL-3.0-or-later
// One call of GetSnapshot.
#ifndef NFMETER_SERVICE_SNAPSHOT_SNAPSHOT_GET_STREAM_H_
#define NFMETER_SERVICE_SNAPSHOT_SNAPSHOT_GET_STREAM_H_

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/synchronization/mutex.h"
#include "accounting/snapshots/snapshot_hub.h"
#include "service/gate/stream_set.h"
#include "service/gate/work_threads.h"
#include "service/snapshot/snapshot_filter.h"
#include "service/snapshot/snapshot_frame.h"
#include "service/snapshot/snapshot_request.h"

namespace nfmeter::service {

// Follows one reading, and encodes and sends each chunk while the kernel is
// still being asked for the next ones. Chunks wait here as they are, shared
// with the snapshot, until the client takes them.
class SnapshotGetStream final
    : public MessageStream,
      public accounting::SnapshotReader,
      public std::enable_shared_from_this<SnapshotGetStream> {
 public:
  SnapshotGetStream(const SnapshotForm& form,
                    std::shared_ptr<SnapshotFilter> filter,
                    const FrameEncoder::Context& context, WorkThreads& threads);

  // SnapshotReader:
  void OnBegin(std::shared_ptr<const accounting::Snapshot> begun) override;
  void OnChunk(std::shared_ptr<const accounting::SnapshotChunk> chunk) override;
  void OnEnd(absl::StatusOr<std::shared_ptr<const accounting::Snapshot>>
                 snapshot) override;

 private:
  using Begun = std::shared_ptr<const accounting::Snapshot>;
  using Chunk = std::shared_ptr<const accounting::SnapshotChunk>;
  using Ended = absl::StatusOr<std::shared_ptr<const accounting::Snapshot>>;
  // What is to be done about an event of the reading.
  using Step = absl::AnyInvocable<void()>;

  std::optional<Message> Next() override;
  void OnEnded() override;

  enum class When { kInOrder, kVoidsOthers, kLast };
  void Push(Step step, When when = When::kInOrder);
  bool HasSteps();
  Step Pop();
  void Begin(Begun begun);
  void Encode(Chunk chunk);
  void Complete(const Ended& snapshot);

  const SnapshotForm form_;
  const std::shared_ptr<SnapshotFilter> filter_;
  const FrameEncoder::Context context_;
  WorkThreads& threads_;

  absl::Mutex mutex_;
  std::deque<Step> steps_ ABSL_GUARDED_BY(mutex_);
  bool posted_ ABSL_GUARDED_BY(mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;

  // Next()'s own.
  std::shared_ptr<const accounting::Snapshot> begun_;
  std::unique_ptr<FrameEncoder> encoder_;
  size_t matched_ = 0;
  bool finished_ = false;
  bool sent_any_ = false;
  std::deque<grpc::Slice> outbox_;
};

}  // namespace nfmeter::service

#endif  // NFMETER_SERVICE_SNAPSHOT_SNAPSHOT_GET_STREAM_H_
