// SPDX-License-Identifier: Apache-2.0
// A server stream that is opened again when it breaks.
#ifndef NFMETER_CLIENT_SRC_RESUMING_STREAM_H_
#define NFMETER_CLIENT_SRC_RESUMING_STREAM_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "client/src/backoff.h"
#include "client/src/connection.h"
#include "client/src/overdue_calls.h"
#include "client/src/request_text.h"
#include "grpcpp/grpcpp.h"
#include "nfmeter/options.h"

namespace nfmeter::client_internal {

// What is the same for streams of all messages: when to try again, when to give
// up, and being cancelled. Not thread-safe but for Cancel().
class StreamRetry {
 public:
  StreamRetry(std::shared_ptr<Connection> connection,
              const WatchOptions& options);

  // After a stream ended with `failure` (OK: the server ended it). OK: waited
  // long enough, try again; else the status to end with.
  absl::Status Wait(const absl::Status& failure);

  // A message came: the connection is good.
  void Succeeded();

  // Ends the wait, and the call under way. Thread-safe.
  void Cancel();
  bool cancelled() const { return cancelled_.HasBeenNotified(); }
  // The call under way, for Cancel(); null for none.
  void SetContext(std::shared_ptr<grpc::ClientContext> context);

  static absl::Status CancelledStatus();

  Connection& connection() { return *connection_; }

 private:
  bool IsTransient(const absl::Status& failure) const;
  void Tell(const absl::Status& lost);

  const std::shared_ptr<Connection> connection_;
  const WatchOptions options_;
  Backoff backoff_;
  bool connected_once_ = false;
  bool lost_ = false;  // and that was told
  int failures_ = 0;   // in a row
  absl::Time failing_since_;
  Cancellation cancelled_;  // notified by whoever sets cancel_called_
  absl::Mutex mutex_;
  bool cancel_called_ ABSL_GUARDED_BY(mutex_) = false;
  std::shared_ptr<grpc::ClientContext> context_ ABSL_GUARDED_BY(mutex_);
};

// One stream of `Response`s after the other. A completion queue of its own lets
// the reading thread wait no longer than until the stream must be taken for
// dead.
//
// Not thread-safe but for Cancel().
template <typename Request, typename Response>
class ResumingStream {
 public:
  // Calls `method` with `request`; INVALID_ARGUMENT at the first Read() when
  // that holds text that is not UTF-8. A connection silent for `stall_timeout`
  // is dead.
  template <typename Stub>
  ResumingStream(std::shared_ptr<Connection> connection, Request request,
                 const WatchOptions& options,
                 std::unique_ptr<grpc::ClientAsyncReader<Response>> (
                     Stub::*method)(grpc::ClientContext*, const Request&,
                                    grpc::CompletionQueue*, void* tag),
                 absl::Duration stall_timeout = absl::InfiniteDuration())
      : retry_(std::move(connection), options),
        stall_timeout_(stall_timeout),
        start_([this, method](Call& call) {
          return ((*retry_.connection().template stub<Stub>()).*method)(
              call.context.get(), request_, &call.queue, this);
        }),
        request_(std::move(request)),
        final_(CheckText(request_)) {}

  ~ResumingStream() {
    if (call_ == nullptr) return;
    call_->context->TryCancel();
    (void)End();  // nobody is left to tell
  }

  // Waits for the next message. True: it is the first of a new stream.
  // Errors are final: all further calls return them.
  absl::StatusOr<bool> Read(Response* message) {
    while (final_.ok()) {
      if (retry_.cancelled()) return final_ = StreamRetry::CancelledStatus();
      const bool is_new = call_ == nullptr;
      if ((!is_new || Open()) && ReadOne(message)) {
        retry_.Succeeded();
        const bool first = !std::exchange(read_, true);
        if (first) ++streams_;
        return first;
      }
      const absl::Status failure = End();
      final_ = retry_.Wait(failure);
    }
    return final_;
  }

  void Cancel() { retry_.Cancel(); }

  // Streams after the first one that messages came from.
  uint64_t reconnects() const { return streams_ - 1; }

  // What streams that are still to be opened ask for.
  Request& request() { return request_; }

 private:
  struct Call {
    std::shared_ptr<grpc::ClientContext> context =
        std::make_shared<grpc::ClientContext>();
    grpc::CompletionQueue queue;
    std::unique_ptr<grpc::ClientAsyncReader<Response>> reader;
    bool stalled = false;
  };
  using Start =
      std::function<std::unique_ptr<grpc::ClientAsyncReader<Response>>(Call&)>;

  bool Open() {
    call_ = std::make_unique<Call>();
    read_ = false;
    retry_.SetContext(call_->context);
    call_->reader = start_(*call_);
    return WaitForTag();
  }

  bool ReadOne(Response* message) {
    message->Clear();
    call_->reader->Read(message, this);
    return WaitForTag();
  }

  // Waits for the one operation under way.
  bool WaitForTag() {
    void* tag;
    bool ok = false;
    const auto deadline = stall_timeout_ == absl::InfiniteDuration()
                              ? gpr_inf_future(GPR_CLOCK_MONOTONIC)
                              : DeadlineAfter(stall_timeout_);
    if (call_->queue.AsyncNext(&tag, &ok, deadline) ==
        grpc::CompletionQueue::TIMEOUT) {
      call_->stalled = true;
      call_->context->TryCancel();
      call_->queue.Next(&tag, &ok);
      return false;
    }
    return ok;
  }

  // Collects the status of a call that has ended.
  absl::Status End() {
    grpc::Status status;
    call_->reader->Finish(&status, this);
    void* tag;
    bool ok;
    call_->queue.Next(&tag, &ok);
    call_->queue.Shutdown();
    while (call_->queue.Next(&tag, &ok)) {
    }
    if (call_->stalled) {
      status = grpc::Status(grpc::StatusCode::UNAVAILABLE,
                            "nothing came for too long");
    }
    retry_.SetContext(nullptr);
    call_.reset();
    return retry_.connection().ToStatus(status);
  }

  StreamRetry retry_;
  const absl::Duration stall_timeout_;
  const Start start_;
  Request request_;
  absl::Status final_;  // not OK: what Read() returns from now on
  std::unique_ptr<Call> call_;
  bool read_ = false;     // something, from call_
  uint64_t streams_ = 0;  // that something was read from
};

}  // namespace nfmeter::client_internal

#endif  // NFMETER_CLIENT_SRC_RESUMING_STREAM_H_
