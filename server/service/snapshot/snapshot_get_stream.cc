// SPDX-License-Identifier: GPL-3.0-or-later
#include "service/snapshot/snapshot_get_stream.h"

#include <utility>

namespace nfmeter::service {

namespace {

// Steps that wait before another thread is woken for them. Waking one for each
// chunk of a small snapshot costs more than sending meanwhile gains.
constexpr size_t kStepsPerWake = 5;

}  // namespace

SnapshotGetStream::SnapshotGetStream(const SnapshotForm& form,
                                     std::shared_ptr<SnapshotFilter> filter,
                                     const FrameEncoder::Context& context,
                                     WorkThreads& threads)
    : form_(form),
      filter_(std::move(filter)),
      context_(context),
      threads_(threads) {}

void SnapshotGetStream::OnBegin(Begun begun) {
  // A new pass makes what the client has not taken yet void.
  Push([this, begun = std::move(begun)] { Begin(begun); }, When::kVoidsOthers);
}

void SnapshotGetStream::OnChunk(Chunk chunk) {
  Push([this, chunk = std::move(chunk)] { Encode(chunk); });
}

void SnapshotGetStream::OnEnd(Ended snapshot) {
  Push([this, snapshot = std::move(snapshot)] { Complete(snapshot); },
       When::kLast);
}

void SnapshotGetStream::Push(Step step, When when) {
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

bool SnapshotGetStream::HasSteps() {
  absl::MutexLock lock(&mutex_);
  return !steps_.empty();
}

SnapshotGetStream::Step SnapshotGetStream::Pop() {
  absl::MutexLock lock(&mutex_);
  if (steps_.empty()) return nullptr;
  Step step = std::move(steps_.front());
  steps_.pop_front();
  return step;
}

std::optional<MessageStream::Message> SnapshotGetStream::Next() {
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

void SnapshotGetStream::Begin(Begun begun) {
  begun_ = std::move(begun);
  matched_ = 0;
  outbox_.clear();
  encoder_ = FrameEncoder::Create(
      {.snapshot = begun_, .restarted = sent_any_, .form = form_}, context_,
      [this](grpc::Slice message) { outbox_.push_back(std::move(message)); });
}

void SnapshotGetStream::Encode(Chunk chunk) {
  const MatchedIds matched = filter_->Match(*begun_, {chunk});
  encoder_->Add(
      matched.Select(std::move(chunk), /*changed_since=*/0, &matched_));
  // Chunks that wait together share messages.
  if (!HasSteps()) encoder_->Flush();
}

void SnapshotGetStream::Complete(const Ended& snapshot) {
  if (!snapshot.ok()) return End(snapshot.status());
  encoder_->Finish((*snapshot)->complete, matched_, {});
  finished_ = true;
}

void SnapshotGetStream::OnEnded() {
  absl::MutexLock lock(&mutex_);
  ended_ = true;
  steps_.clear();
}

}  // namespace nfmeter::service
