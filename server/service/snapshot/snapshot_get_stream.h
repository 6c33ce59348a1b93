// SPDX-License-Identifier: GPL-3.0-or-later
// One call of GetSnapshot.
#ifndef NFMETER_SERVICE_SNAPSHOT_SNAPSHOT_GET_STREAM_H_
#define NFMETER_SERVICE_SNAPSHOT_SNAPSHOT_GET_STREAM_H_

#include <deque>
#include <memory>
#include <utility>

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
  using Begun = std::shared_ptr<const accounting::Snapshot>;
  using Chunk = std::shared_ptr<const accounting::SnapshotChunk>;
  using Ended = absl::StatusOr<std::shared_ptr<const accounting::Snapshot>>;
  // What is to be done about an event of the reading.
  using Step = absl::AnyInvocable<void()>;

 public:
  SnapshotGetStream(const SnapshotForm& form,
                    std::shared_ptr<SnapshotFilter> filter,
                    const FrameEncoder::Context& context, WorkThreads& threads)
      : form_(form),
        filter_(std::move(filter)),
        context_(context),
        threads_(threads) {}

  // SnapshotReader:
  void OnBegin(Begun begun) override {
    // A new pass makes what the client has not taken yet void.
    Push([this, begun = std::move(begun)] { Begin(begun); },
         When::kVoidsOthers);
  }
  void OnChunk(Chunk chunk) override {
    Push([this, chunk = std::move(chunk)] { Encode(chunk); });
  }
  void OnEnd(Ended snapshot) override {
    Push([this, snapshot = std::move(snapshot)] { Complete(snapshot); },
         When::kLast);
  }

 private:
  // Steps that wait before another thread is woken for them. Waking one for
  // each chunk of a small snapshot costs more than sending meanwhile gains.
  static constexpr size_t kStepsPerWake = 5;

  std::optional<Message> Next() override {
    while (outbox_.empty()) {
      Step step = Pop();
      if (step == nullptr) return std::nullopt;
      step();
    }
    grpc::Slice slice = std::move(outbox_.front());
    outbox_.pop_front();
    sent_any_ = true;
    return Message{grpc::ByteBuffer(&slice, 1), finished_ && outbox_.empty()};
  }

  void OnEnded() override {
    absl::MutexLock lock(&mutex_);
    ended_ = true;
    steps_.clear();
  }

  enum class When { kInOrder, kVoidsOthers, kLast };
  void Push(Step step, When when = When::kInOrder) {
    absl::MutexLock lock(&mutex_);
    // After the end the threads may be gone.
    if (ended_) return;
    if (when == When::kVoidsOthers) steps_.clear();
    steps_.push_back(std::move(step));
    if (when != When::kLast && steps_.size() < kStepsPerWake) return;
    if (std::exchange(posted_, true)) return;
    threads_.Post([self = shared_from_this()] {
      {
        absl::MutexLock lock(&self->mutex_);
        self->posted_ = false;
      }
      self->Wake();
    });
  }

  bool HasSteps() {
    absl::MutexLock lock(&mutex_);
    return !steps_.empty();
  }

  Step Pop() {
    absl::MutexLock lock(&mutex_);
    if (steps_.empty()) return nullptr;
    Step step = std::move(steps_.front());
    steps_.pop_front();
    return step;
  }

  void Begin(Begun begun) {
    begun_ = std::move(begun);
    matched_ = 0;
    outbox_.clear();
    encoder_ = FrameEncoder::Create(
        {.snapshot = begun_, .restarted = sent_any_, .form = form_}, context_,
        [this](grpc::Slice message) { outbox_.push_back(std::move(message)); });
  }

  void Encode(Chunk chunk) {
    const MatchedIds matched = filter_->Match(*begun_, {chunk});
    encoder_->Add(
        matched.Select(std::move(chunk), /*changed_since=*/0, &matched_));
    // Chunks that wait together share messages.
    if (!HasSteps()) encoder_->Flush();
  }

  void Complete(const Ended& snapshot) {
    if (!snapshot.ok()) return End(snapshot.status());
    encoder_->Finish((*snapshot)->complete, matched_, {});
    finished_ = true;
  }

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
