// SPDX-License-Identifier: GPL-3.0-or-later
#include "service/gate/stream_call.h"

#include <utility>

#include "base/status_macros.h"
#include "service/gate/message_bytes.h"
#include "service/gate/status.h"
#include "service/gate/stream_set.h"

namespace nfmeter::service {

StreamCall::StreamCall(Gate& gate, const StreamMethod& method,
                       grpc::CallbackServerContext& context)
    : gate_(gate), method_(method), context_(context) {
  auto trail =
      std::make_shared<CallTrail>(gate.observers(), method.listed(),
                                  /*stream=*/true, gate.options().trace_all);
  // Noted now, because the context is gone when the stream ends.
  trail->NoteOrigin(context);
  Gate::Arrival arrival = gate.Arrive(context, method.listed());
  trail->NoteCaller(arrival.standing);
  call_ = std::move(arrival.call);
  if (!call_.ok()) {
    trail->End(call_.status());
    Finish(ToGrpcStatus(call_.status()));
    return;
  }
  call_->trail = std::move(trail);
  call_->stream = this;
  StartRead(&bytes_);
}

void StreamCall::Attach(std::shared_ptr<MessageStream> stream) {
  absl::MutexLock lock(&mutex_);
  stream_ = std::move(stream);
}

void StreamCall::OnReadDone(bool ok) {
  if (const auto listening = stream(); listening != nullptr) {
    return Hear(*listening, ok);
  }
  if (const absl::Status status = Open(ok); !status.ok()) {
    call_->trail->End(status);
    return Finish(ToGrpcStatus(status));
  }
  std::shared_ptr<MessageStream> cancelled;
  {
    // Cancelled before the stream was attached, so it does not know yet.
    absl::MutexLock lock(&mutex_);
    if (cancelled_) cancelled = stream_;
  }
  if (cancelled != nullptr) cancelled->OnCancel();
  if (stream()->Listens()) StartRead(&bytes_);
}

// A message after the request.
void StreamCall::Hear(MessageStream& stream, bool has_message) {
  if (!has_message) return stream.OnLastMessage();
  const absl::Status size = CheckMessageSize(bytes_, kMaxRequestBytes);
  if (!size.ok()) return stream.End(size);
  stream.OnMessage(bytes_);
  bytes_.Clear();
  StartRead(&bytes_);
}

absl::Status StreamCall::Open(bool has_message) {
  if (context_.IsCancelled()) return absl::CancelledError("cancelled");
  if (!has_message) return NoMessage();
  NFM_RETURN_IF_ERROR(CheckMessageSize(bytes_, kMaxRequestBytes));
  google::protobuf::Arena arena;
  google::protobuf::Message* const request = method_.NewRequest(&arena);
  NFM_RETURN_IF_ERROR(
      memory().Take(principal(), ParsedBytes(bytes_, *request), held_));
  NFM_RETURN_IF_ERROR(ParseMessage(bytes_, request));
  bytes_.Clear();
  if (method_.listed().audited()) {
    call_->trail->NoteSubject(method_.SubjectOf(*request));
  }
  return method_.Open(*call_, *request);
}

void StreamCall::OnWriteDone(bool ok) { stream()->OnWriteDone(ok); }

void StreamCall::OnCancel() {
  std::shared_ptr<MessageStream> cancelled;
  {
    absl::MutexLock lock(&mutex_);
    cancelled_ = true;
    cancelled = stream_;
  }
  if (cancelled != nullptr) cancelled->OnCancel();
}

void StreamCall::OnDone() {
  if (const auto ended = stream(); ended != nullptr) ended->OnDone();
  delete this;
}

std::shared_ptr<MessageStream> StreamCall::stream() {
  absl::MutexLock lock(&mutex_);
  return stream_;
}

}  // namespace nfmeter::service
