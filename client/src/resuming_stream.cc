// SPDX-License-Identifier: Apache-2.0
#include "client/src/resuming_stream.h"

#include <utility>

#include "client/src/status.h"
#include "nfmeter/errors.h"

namespace nfmeter::client_internal {

StreamRetry::StreamRetry(std::shared_ptr<Connection> connection,
                         const WatchOptions& options)
    : connection_(std::move(connection)),
      options_(options),
      backoff_(connection_->options().retry, connection_->environment()) {}

absl::Status StreamRetry::Wait(const absl::Status& failure) {
  if (cancelled()) return CancelledStatus();
  if (!IsTransient(failure)) return failure;
  const absl::Status reason =
      failure.ok()
          ? ClientError(absl::StatusCode::kUnavailable, reason::kConnectionLost,
                        "the server ended the stream",
                        "It may be shutting down: try again.")
          : failure;
  Environment& environment = connection_->environment();
  if (failures_++ == 0) failing_since_ = environment.Now();
  if (!connected_once_ &&
      failures_ >= connection_->options().retry.max_attempts) {
    return reason;
  }
  const absl::Duration wait = backoff_.Next(reason);
  if (environment.Now() + wait - failing_since_ > options_.give_up_after) {
    return reason;
  }
  if (connected_once_ && !std::exchange(lost_, true)) Tell(reason);
  environment.Sleep(wait, &cancelled_);
  return cancelled() ? CancelledStatus() : absl::OkStatus();
}

bool StreamRetry::IsTransient(const absl::Status& failure) const {
  switch (failure.code()) {
    case absl::StatusCode::kOk:
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kCancelled:  // not by us: a server shutting down
      return true;
    // The old stream may still hold its place on a server that has not yet
    // noticed its end.
    case absl::StatusCode::kResourceExhausted:
      return connected_once_;
    // A starting server gives its socket to the group only after making it.
    case absl::StatusCode::kPermissionDenied:
      return connected_once_ &&
             ErrorReason(failure) == reason::kSocketForbidden;
    // Certificate and key that are just being replaced, one after the other.
    case absl::StatusCode::kInvalidArgument:
      return connected_once_ && ErrorReason(failure) == reason::kBadTlsFiles;
    default:
      return false;
  }
}

void StreamRetry::Succeeded() {
  connected_once_ = true;
  failures_ = 0;
  backoff_.Reset();
  if (std::exchange(lost_, false)) Tell(absl::OkStatus());
}

void StreamRetry::Tell(const absl::Status& lost) {
  if (options_.on_connection != nullptr) options_.on_connection(lost);
}

void StreamRetry::SetContext(std::shared_ptr<grpc::ClientContext> context) {
  bool cancel;
  {
    absl::MutexLock lock(&mutex_);
    context_ = context;
    cancel = cancel_called_;
  }
  if (cancel && context != nullptr) context->TryCancel();
}

void StreamRetry::Cancel() {
  std::shared_ptr<grpc::ClientContext> context;
  {
    absl::MutexLock lock(&mutex_);
    if (std::exchange(cancel_called_, true)) return;
    context = context_;
  }
  cancelled_.Notify();
  if (context != nullptr) context->TryCancel();
}

absl::Status StreamRetry::CancelledStatus() {
  return ClientError(absl::StatusCode::kCancelled, reason::kWatchCancelled,
                     "the watch was cancelled", "");
}

}  // namespace nfmeter::client_internal
