// SPDX-License-Identifier: GPL-3.0-or-later
#include "service/gate/unary_call.h"

#include "base/status_macros.h"
#include "service/gate/message_bytes.h"
#include "service/gate/status.h"

namespace nfmeter::service {
namespace {

google::protobuf::ArenaOptions StartingWith(char* memory, size_t size) {
  google::protobuf::ArenaOptions options;
  options.initial_block = memory;
  options.initial_block_size = size;
  return options;
}

}  // namespace

struct UnaryCall::Room {
  alignas(8) char memory[kInlineBytes];
  google::protobuf::Arena arena{StartingWith(memory, sizeof(memory))};
};

UnaryCall::~UnaryCall() = default;

UnaryCall::UnaryCall(Gate& gate, const UnaryMethod& method,
                     grpc::CallbackServerContext& context)
    : gate_(gate),
      method_(method),
      context_(context),
      arrival_(gate.Arrive(context, method.listed())) {
  // Of a caller without any grant not even the request is read.
  if (!arrival_.call.ok() && !arrival_.standing->has_grants()) {
    End(arrival_.call.status());
  } else {
    StartRead(&bytes_);
  }
}

void UnaryCall::OnReadDone(bool ok) {
  if (!arrival_.call.ok()) return Refuse(ok);
  arrival_.call->context = &context_;
  if (!ok) {
    return End(context_.IsCancelled() ? absl::CancelledError("cancelled")
                                      : NoMessage());
  }
  // Its bytes count for the caller while it waits for a thread.
  const absl::Status held = gate_.memory().Take(arrival_.standing->principal(),
                                                bytes_.Length(), held_);
  if (!held.ok()) return End(held);
  Run(method_.listed().work);
}

void UnaryCall::Refuse(bool has_message) {
  if (has_message && bytes_.Length() <= kInlineBytes && Parse().ok()) {
    Trail().NoteSubject(method_.SubjectOf(*request_));
  }
  End(arrival_.call.status());
}

void UnaryCall::Run(security::Work work) {
  if (work == security::Work::kAtOnce) return RunOn(work);
  const absl::Status posted = gate_.Post(work, arrival_.standing->principal(),
                                         [this, work] { RunOn(work); });
  if (!posted.ok()) End(posted);
}

void UnaryCall::RunOn(security::Work work) {
  // The client may have gone, or its deadline passed, while it waited.
  if (context_.IsCancelled()) return End(absl::CancelledError("cancelled"));
  if (request_ == nullptr) {
    if (const absl::Status parsed = Parse(); !parsed.ok()) return End(parsed);
  }
  const security::Work needed = method_.WorkOf(*request_);
  if (needed != work) return Run(needed);
  if (work != security::Work::kRead) return Serve(absl::OkStatus());
  const size_t bytes = arrival_.call->max_answer_bytes;
  Gate& gate = gate_;  // this may be gone when it is served
  gate.BeginAnswer(bytes);
  // Other answers for this caller may be waiting to be read by now.
  Serve(gate.memory().Check(arrival_.standing->principal()));
  gate.EndAnswer(bytes);
}

absl::Status UnaryCall::Parse() {
  room_ = std::make_unique<Room>();
  google::protobuf::Message* const request = method_.NewRequest(&room_->arena);
  if (bytes_.Length() > kInlineBytes) {
    if (method_.listed().work == security::Work::kAtOnce) {
      NFM_RETURN_IF_ERROR(CheckMessageSize(bytes_, kMaxAtOnceBytes));
    }
    NFM_RETURN_IF_ERROR(gate_.memory().Take(
        arrival_.standing->principal(),
        bytes_.Length() + ParsedBytes(bytes_, *request), held_));
  }
  NFM_RETURN_IF_ERROR(ParseMessage(bytes_, request));
  bytes_.Clear();
  request_ = request;
  return absl::OkStatus();
}

void UnaryCall::Serve(absl::Status status) {
  CallTrail& trail = Trail();
  const bool audited = method_.listed().audited();
  if (audited) trail.NoteSubject(method_.SubjectOf(*request_));
  google::protobuf::Message* const response =
      method_.NewResponse(&room_->arena);
  if (status.ok()) {
    status = method_.Serve(*arrival_.call, *request_, response);
  }
  if (absl::IsPermissionDenied(status) && !audited) {
    trail.NoteSubject(method_.SubjectOf(*request_));
  }
  // Changes check this before they are made.
  if (status.ok() && !method_.listed().mutates) {
    status = CheckAnswerSize(response->ByteSizeLong(),
                             arrival_.call->max_answer_bytes);
  }
  if (status.ok()) status = WriteMessage(*response, &answer_);
  // Freed now, because the client may take its time to read the answer.
  request_ = nullptr;
  room_ = nullptr;
  gate_.memory().TakeAnyway(arrival_.standing->principal(), answer_.Length(),
                            held_);
  End(status);
}

void UnaryCall::End(const absl::Status& status) {
  Trail().End(status, context_);
  // This may be gone as soon as gRPC has the end of the call.
  if (!status.ok()) return Finish(ToGrpcStatus(status));
  StartWriteAndFinish(&answer_, grpc::WriteOptions(), grpc::Status::OK);
}

CallTrail& UnaryCall::Trail() {
  if (!trail_.has_value()) {
    trail_.emplace(gate_.observers(), method_.listed(), /*stream=*/false,
                   gate_.options().trace_all);
    trail_->NoteCaller(arrival_.standing);
  }
  return *trail_;
}

}  // namespace nfmeter::service
