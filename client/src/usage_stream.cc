// SPDX-License-Identifier: Apache-2.0
// Client::CollectUsage(), and what is behind a UsageCollector.
#include <algorithm>
#include <cstdint>
#include <memory>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "client/src/connection.h"
#include "client/src/overdue_calls.h"
#include "client/src/request_text.h"
#include "client/src/resuming_stream.h"
#include "client/src/status.h"
#include "client/src/status_macros.h"
#include "grpcpp/grpcpp.h"
#include "nfmeter/client.h"
#include "nfmeter/errors.h"

namespace nfmeter {
namespace {

using client_internal::CheckText;
using client_internal::ClientError;
using client_internal::Connection;
using client_internal::DeadlineAfter;
using client_internal::StreamRetry;

// How long the end of a collector waits for its last acknowledgement to be
// taken.
constexpr absl::Duration kFarewell = absl::Seconds(1);

// What of a call is over. Their addresses are the tags.
struct Tag {};
Tag opened, received, written, closed, finished;

absl::Status Broken(absl::string_view what) {
  return ClientError(absl::StatusCode::kDataLoss, reason::kBrokenUsage,
                     absl::StrCat("the server's records of usage contradict "
                                  "themselves: ",
                                  what),
                     "Begin again from the last position that was stored; if "
                     "that does not help, without a position.");
}

// The rest of a record that came in parts.
void AppendPart(const v1::UsageRecord& part, v1::UsageRecord* record) {
  record->mutable_counters()->MergeFrom(part.counters());
  record->mutable_counter_ids()->MergeFrom(part.counter_ids());
  record->mutable_total_packets()->MergeFrom(part.total_packets());
  record->mutable_total_bytes()->MergeFrom(part.total_bytes());
  record->mutable_gaps()->MergeFrom(part.gaps());
}

// One stream in both directions after the other. The thread in Next() opens,
// reads and ends them; acknowledgements are written by whoever gives them, one
// at a time: while one is under way, the newest waits.
//
// Not thread-safe but for Acknowledge() and Cancel().
class UsageStream final : public UsageCollector {
 public:
  UsageStream(std::shared_ptr<Connection> connection,
              const v1::CollectUsageStart& start,
              const CollectOptions& options);
  // Lets the last acknowledgement out.
  ~UsageStream() override;

  absl::StatusOr<CollectedRecord> Next() override;
  void Acknowledge(const v1::UsagePosition& position) override;
  void Cancel() override { retry_.Cancel(); }

 private:
  struct Call;

  std::shared_ptr<Call> call() ABSL_LOCKS_EXCLUDED(mutex_);
  bool Open();
  absl::StatusOr<bool> Read(v1::UsageRecord* record);
  absl::Status Check(const v1::UsageRecord& record) const;
  bool NoteReturned(const v1::UsagePosition& position);
  bool BeginsAnew(const absl::Status& failure);
  void SendAcknowledgement() ABSL_LOCKS_EXCLUDED(mutex_);
  void OnWritten(bool ok) ABSL_LOCKS_EXCLUDED(mutex_);
  void LetAcknowledgementOut(Call& call);
  absl::Status End();
  void Drop();

  v1::CollectUsageStart start_;  // with what was acknowledged when it began
  const bool start_anew_;
  StreamRetry retry_;
  absl::Status final_;      // not OK: what Next() returns from now on
  v1::UsagePosition read_;  // of this stream's last record, or where it began
  bool read_any_ = false;   // on this stream
  bool anew_ = false;       // the next record is
  uint64_t connections_ = 0;

  absl::Mutex mutex_;
  // By Next(), and by the caller; epoch 0, which no ledger has: nothing.
  v1::UsagePosition returned_ ABSL_GUARDED_BY(mutex_);
  v1::UsagePosition acknowledged_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<Call> call_ ABSL_GUARDED_BY(mutex_);  // set by Next() only
};

}  // namespace

struct UsageStream::Call {
  // Waits for `wanted`, and does what the others ask for. Whether it succeeded;
  // false also when `deadline` is over.
  bool Await(UsageStream& stream, const Tag& wanted,
             gpr_timespec deadline = gpr_inf_future(GPR_CLOCK_MONOTONIC));

  std::shared_ptr<grpc::ClientContext> context =
      std::make_shared<grpc::ClientContext>();
  grpc::CompletionQueue queue;
  std::unique_ptr<grpc::ClientAsyncReaderWriter<v1::CollectUsageRequest,
                                                v1::CollectUsageResponse>>
      stream;
  v1::CollectUsageResponse part;  // being read, perhaps beyond the end

  // Guarded by UsageStream::mutex_.
  bool writing = false;
  bool writable = false;
  bool acknowledges = false;  // has written one
  // Sequences: of the last whole record, of the last acknowledgement; both from
  // where it was resumed.
  uint64_t read = 0;
  uint64_t acknowledged = 0;
};

UsageStream::UsageStream(std::shared_ptr<Connection> connection,
                         const v1::CollectUsageStart& start,
                         const CollectOptions& options)
    : start_(start),
      start_anew_(options.start_anew),
      retry_(std::move(connection), options.connection),
      final_(CheckText(start)) {}

UsageStream::~UsageStream() {
  const std::shared_ptr<Call> call = this->call();
  if (call == nullptr) return;
  if (!retry_.cancelled()) LetAcknowledgementOut(*call);
  call->context->TryCancel();
  (void)End();  // nobody is left to tell
}

absl::StatusOr<CollectedRecord> UsageStream::Next() {
  if (!final_.ok()) return final_;
  CollectedRecord collected;
  for (;;) {
    if (retry_.cancelled()) return final_ = StreamRetry::CancelledStatus();
    const absl::StatusOr<bool> is_open = Read(&collected.record);
    if (!is_open.ok()) {
      Drop();
      return final_ = is_open.status();
    }
    if (*is_open) {
      retry_.Succeeded();
      if (!NoteReturned(collected.record.position())) continue;
      collected.anew = std::exchange(anew_, false);
      collected.reconnects = connections_ - 1;
      return collected;
    }
    const absl::Status failure = End();
    if (BeginsAnew(failure)) continue;
    if (absl::Status status = retry_.Wait(failure); !status.ok()) {
      return final_ = status;
    }
  }
}

// Of all that are read again, those that are new are returned.
bool UsageStream::NoteReturned(const v1::UsagePosition& position) {
  absl::MutexLock lock(&mutex_);
  if (returned_.epoch() == position.epoch() &&
      returned_.sequence() >= position.sequence()) {
    return false;
  }
  returned_ = position;
  return true;
}

bool UsageStream::BeginsAnew(const absl::Status& failure) {
  const std::string reason = ErrorReason(failure);
  if (!start_anew_ || !start_.has_resume_after() ||
      (reason != reason::kPositionOfAnotherEpoch &&
       reason != reason::kPositionAhead)) {
    return false;
  }
  start_.clear_resume_after();
  anew_ = true;
  absl::MutexLock lock(&mutex_);
  acknowledged_.Clear();
  returned_.Clear();
  return true;
}

// Begins a call, unless one is open. False: it has ended.
bool UsageStream::Open() {
  auto call = std::make_shared<Call>();
  {
    absl::MutexLock lock(&mutex_);
    if (call_ != nullptr) return true;
    if (acknowledged_.epoch() != 0) {
      *start_.mutable_resume_after() = acknowledged_;
    }
    call->read = call->acknowledged = start_.resume_after().sequence();
    call_ = call;
  }
  read_ = start_.resume_after();
  read_any_ = false;
  retry_.SetContext(call->context);
  call->stream =
      retry_.connection().stub<v1::UsageService::Stub>()->AsyncCollectUsage(
          call->context.get(), &call->queue, &opened);
  if (!call->Await(*this, opened)) return false;
  {
    absl::MutexLock lock(&mutex_);
    call->writing = true;
    call->writable = true;
  }
  v1::CollectUsageRequest request;
  *request.mutable_start() = start_;
  call->stream->Write(request, &written);
  return true;
}

// The next record, whole. False: there is no call, or it has ended. DATA_LOSS:
// the record is wrong.
absl::StatusOr<bool> UsageStream::Read(v1::UsageRecord* record) {
  if (!Open()) return false;
  const std::shared_ptr<Call> call = this->call();
  record->Clear();
  for (bool more = true; more;) {
    call->part.Clear();
    call->stream->Read(&call->part, &received);
    if (!call->Await(*this, received)) return false;
    v1::UsageRecord& part = *call->part.mutable_record();
    more = part.partial();
    if (!part.has_position()) return Broken("one has no position");
    if (!record->has_position()) {
      record->Swap(&part);
    } else if (part.position().sequence() == record->position().sequence()) {
      AppendPart(part, record);
    } else {
      return Broken("parts of one record have two positions");
    }
  }
  record->set_partial(false);
  NFM_RETURN_IF_ERROR(Check(*record));
  read_ = record->position();
  if (!std::exchange(read_any_, true)) ++connections_;
  {
    absl::MutexLock lock(&mutex_);
    call->read = read_.sequence();
  }
  SendAcknowledgement();  // one of a record that this stream sent again
  return true;
}

std::shared_ptr<UsageStream::Call> UsageStream::call() {
  absl::MutexLock lock(&mutex_);
  return call_;
}

absl::Status UsageStream::Check(const v1::UsageRecord& record) const {
  if (record.total_packets_size() != record.counter_ids_size() ||
      record.total_bytes_size() != record.counter_ids_size()) {
    return Broken("there are not as many totals as counters");
  }
  const v1::UsagePosition& position = record.position();
  if (record.full()) return absl::OkStatus();
  if (!start_.has_resume_after() && !read_any_) {
    return Broken("the first one is not full");
  }
  if (position.epoch() != read_.epoch() ||
      position.sequence() != read_.sequence() + 1) {
    return Broken(absl::StrCat("record ", position.sequence(), " follows ",
                               read_.sequence()));
  }
  return absl::OkStatus();
}

void UsageStream::Acknowledge(const v1::UsagePosition& position) {
  {
    absl::MutexLock lock(&mutex_);
    if (position.epoch() != returned_.epoch() ||
        position.sequence() > returned_.sequence() ||
        (position.epoch() == acknowledged_.epoch() &&
         position.sequence() <= acknowledged_.sequence())) {
      return;
    }
    acknowledged_ = position;
  }
  SendAcknowledgement();
}

void UsageStream::SendAcknowledgement() {
  std::shared_ptr<Call> call;
  v1::CollectUsageRequest request;
  {
    absl::MutexLock lock(&mutex_);
    if (call_ == nullptr || !call_->writable || call_->writing) return;
    // The server knows only what this stream has sent.
    const uint64_t sequence = std::min(acknowledged_.sequence(), call_->read);
    if (acknowledged_.epoch() == 0 || sequence <= call_->acknowledged) return;
    *request.mutable_acknowledged() = acknowledged_;
    request.mutable_acknowledged()->set_sequence(sequence);
    call = call_;
    call->acknowledged = sequence;
    call->acknowledges = true;
    call->writing = true;
  }
  call->stream->Write(request, &written);
}

void UsageStream::OnWritten(bool ok) {
  {
    absl::MutexLock lock(&mutex_);
    call_->writing = false;
    if (!ok) call_->writable = false;
  }
  SendAcknowledgement();
}

bool UsageStream::Call::Await(UsageStream& stream, const Tag& wanted,
                              gpr_timespec deadline) {
  for (;;) {
    void* tag;
    bool ok = false;
    if (queue.AsyncNext(&tag, &ok, deadline) !=
        grpc::CompletionQueue::GOT_EVENT) {
      return false;
    }
    if (tag == &written) stream.OnWritten(ok);
    if (tag == &wanted) return ok;
  }
}

// A server ends the stream of a consumer that has acknowledged something and
// has no more to say; that it did shows that it has heard all.
void UsageStream::LetAcknowledgementOut(Call& call) {
  const gpr_timespec deadline = DeadlineAfter(kFarewell);
  const auto is_writing = [this, &call] {
    absl::MutexLock lock(&mutex_);
    return call.writing;
  };
  while (is_writing()) {
    if (!call.Await(*this, written, deadline)) return;
  }
  {
    absl::MutexLock lock(&mutex_);
    if (!call.writable || !call.acknowledges) return;
    call.writable = false;
  }
  call.stream->WritesDone(&closed);
  if (!call.Await(*this, closed, deadline)) return;
  do {
    call.part.Clear();
    call.stream->Read(&call.part, &received);
  } while (call.Await(*this, received, deadline));
}

// Collects the status of the call, which has ended.
absl::Status UsageStream::End() {
  const std::shared_ptr<Call> call = this->call();
  grpc::Status status;
  {
    absl::MutexLock lock(&mutex_);
    call->writable = false;
  }
  call->stream->Finish(&status, &finished);
  call->Await(*this, finished);
  // Whoever has said that it is writing may only be about to.
  for (;;) {
    {
      absl::MutexLock lock(&mutex_);
      if (!call->writing) break;
    }
    call->Await(*this, written);
  }
  call->queue.Shutdown();
  void* tag;
  bool ok;
  while (call->queue.Next(&tag, &ok)) {
  }
  retry_.SetContext(nullptr);
  {
    absl::MutexLock lock(&mutex_);
    call_ = nullptr;
  }
  return retry_.connection().ToStatus(status);
}

// Ends a call that is still good.
void UsageStream::Drop() {
  call()->context->TryCancel();
  (void)End();
}

std::unique_ptr<UsageCollector> Client::CollectUsage(
    const v1::CollectUsageStart& start, const CollectOptions& options) {
  return std::make_unique<UsageStream>(connection_, start, options);
}

}  // namespace nfmeter
