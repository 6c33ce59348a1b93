// SPDX-License-Identifier: GPL-3.0-or-later
#include "service/gate/stream_set.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/error.h"
#include "base/status_macros.h"
#include "service/gate/gate.h"
#include "service/gate/status.h"

namespace nfmeter::service {
namespace {

absl::Status TooMany(absl::string_view who, size_t bound,
                     absl::string_view option) {
  return MakeError(
      absl::StatusCode::kResourceExhausted,
      absl::StrCat(who, " already has ", bound,
                   " streams open, its most; close some, or raise limits.",
                   option),
      BoundDetails("TOO_MANY_STREAMS", bound));
}

absl::Status PolicyChanged() {
  return MakeError(absl::StatusCode::kUnavailable, "POLICY_CHANGED",
                   "the policy of the server has changed what this caller may "
                   "see; ask again");
}

}  // namespace

void StreamBudget::AddKind(absl::string_view kind) {
  absl::MutexLock lock(&mutex_);
  by_kind_.emplace(kind, 0);
}

absl::Status StreamBudget::Take(absl::string_view kind,
                                const security::Caller& caller) {
  absl::MutexLock lock(&mutex_);
  if (open_ >= max_) return TooMany("the server", max_, "max_streams");
  if (caller.certified) {
    size_t& open = by_caller_[caller.principal];
    if (open >= max_per_caller_) {
      return TooMany(caller.principal, max_per_caller_,
                     "max_streams_per_caller");
    }
    ++open;
  }
  ++open_;
  ++by_kind_.find(kind)->second;
  return absl::OkStatus();
}

void StreamBudget::Return(absl::string_view kind,
                          const security::Caller& caller) {
  absl::MutexLock lock(&mutex_);
  --open_;
  --by_kind_.find(kind)->second;
  if (!caller.certified) return;
  const auto found = by_caller_.find(caller.principal);
  if (--found->second == 0) by_caller_.erase(found);
}

size_t StreamBudget::open(absl::string_view kind) const {
  absl::MutexLock lock(&mutex_);
  return by_kind_.find(kind)->second;
}

void StreamBudget::WriteMetrics(telemetry::MetricsText& text) const {
  using Type = telemetry::MetricsText::Type;
  text.Family("nfmeter_streams_open", Type::kGauge, "Streams under way.");
  {
    absl::MutexLock lock(&mutex_);
    for (const auto& [kind, open] : by_kind_) {
      text.Add({{"kind", kind}}, open);
    }
  }
  text.Gauge("nfmeter_streams_limit",
             "The most streams that may be open, all kinds together.", max_);
}

void MessageStream::Wake() {
  {
    absl::MutexLock lock(&mutex_);
    if (state_ != State::kIdle) {
      woken_ = true;
      return;
    }
    state_ = State::kPulling;
  }
  Pull();
}

void MessageStream::WakeOn(WorkThreads& threads) {
  if (wake_posted_.exchange(true)) return;
  threads.Post([self = self_.lock()] {
    self->wake_posted_ = false;
    self->Wake();
  });
}

void MessageStream::End(const absl::Status& status) {
  {
    absl::MutexLock lock(&mutex_);
    if (end_.has_value() || state_ == State::kFinished) return;
    end_ = status;
    if (state_ != State::kIdle) return;  // Pull() will see it
    state_ = State::kPulling;
  }
  FinishIfEnded();
}

// In state kPulling, on the thread that set it.
void MessageStream::Pull() {
  // The call may let go of this stream as soon as it is finished.
  const std::shared_ptr<MessageStream> self = self_.lock();
  while (!FinishIfEnded()) {
    std::optional<Message> message = Next();
    if (message.has_value()) {
      const absl::Status held = call_->memory().Take(
          caller_->principal, message->bytes.Length(), held_, message->shared);
      if (!held.ok()) {
        absl::MutexLock lock(&mutex_);
        if (!end_.has_value()) end_ = held;
        continue;
      }
      bytes_.Swap(&message->bytes);
      {
        absl::MutexLock lock(&mutex_);
        if (end_.has_value()) continue;
        state_ = message->last ? State::kFinished : State::kWriting;
        woken_ = false;  // Next() is called again after the write
      }
      if (!message->last) return call_->StartWrite(&bytes_);
      OnEnded();
      trail_->End(absl::OkStatus());
      return call_->StartWriteAndFinish(&bytes_, grpc::WriteOptions(),
                                        grpc::Status::OK);
    }
    absl::MutexLock lock(&mutex_);
    if (end_.has_value() || std::exchange(woken_, false)) continue;
    state_ = State::kIdle;
    return;
  }
}

// In state kPulling.
bool MessageStream::FinishIfEnded() {
  absl::Status status;
  {
    absl::MutexLock lock(&mutex_);
    if (!end_.has_value()) return false;
    state_ = State::kFinished;
    status = *end_;
  }
  OnEnded();
  trail_->End(status);
  call_->Finish(ToGrpcStatus(status));
  return true;
}

void MessageStream::OnWriteDone(bool ok) {
  {
    absl::MutexLock lock(&mutex_);
    if (state_ != State::kWriting) return;  // the last message
    if (!ok && !end_.has_value()) end_ = absl::CancelledError();
    state_ = State::kPulling;
  }
  held_.Release();
  Pull();
}

void MessageStream::OnCancel() { End(absl::CancelledError()); }

void MessageStream::OnDone() {
  set_->Remove(self_.lock());  // the call keeps this alive until it returns
}

absl::Status StreamSet::Start(absl::string_view kind,
                              std::shared_ptr<MessageStream> stream,
                              const Call& call) {
  absl::MutexLock lock(&mutex_);
  if (shut_down_) return ShutdownStatus();
  // The policy may have changed since the call was admitted, and
  // AuthorizeAgain() may have been here before this stream.
  if (call.caller->outdated != nullptr && call.caller->outdated->load()) {
    return PolicyChanged();
  }
  NFM_RETURN_IF_ERROR(budget_.Take(kind, *call.caller));
  stream->set_ = this;
  stream->kind_ = std::string(kind);
  stream->trail_ = call.trail;
  stream->caller_ = call.caller;
  stream->method_ = call.method;
  stream->call_ = call.stream;
  stream->self_ = stream;
  call.stream->Attach(stream);
  streams_.insert(std::move(stream));
  return absl::OkStatus();
}

void StreamSet::AuthorizeAgain(const security::Authorizer& authorizer) {
  for (const auto& stream : All()) {
    const auto caller =
        authorizer.AuthorizeAgain(*stream->caller_, *stream->method_);
    if (!caller.ok()) {
      stream->End(caller.status());
    } else if ((*caller)->scope != stream->caller_->scope ||
               (*caller)->flows != stream->caller_->flows) {
      stream->End(PolicyChanged());
    }
  }
}

void StreamSet::Shutdown() {
  {
    absl::MutexLock lock(&mutex_);
    shut_down_ = true;
  }
  const absl::Status status = ShutdownStatus();
  for (const auto& stream : All()) stream->End(status);
}

std::vector<std::shared_ptr<MessageStream>> StreamSet::All() const {
  absl::MutexLock lock(&mutex_);
  return {streams_.begin(), streams_.end()};
}

void StreamSet::Remove(const std::shared_ptr<MessageStream>& stream) {
  {
    absl::MutexLock lock(&mutex_);
    streams_.erase(stream);
  }
  budget_.Return(stream->kind_, *stream->caller_);
}

}  // namespace nfmeter::service
