// SPDX-License-Identifier: GPL-3.0-or-later
#include "service/gate/gate.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/error.h"
#include "base/status_macros.h"

namespace nfmeter::service {
namespace {

// Enough for an answer with one object of any kind.
constexpr size_t kLeastAnswerBytes = 64 << 10;

absl::Time DeadlineOf(const grpc::CallbackServerContext& context) {
  const auto deadline = context.deadline();
  return deadline == std::chrono::system_clock::time_point::max()
             ? absl::InfiniteFuture()
             : absl::FromChrono(deadline);
}

size_t AnswerBytesOf(const grpc::CallbackServerContext& context) {
  const auto found = context.client_metadata().find(kMaxAnswerBytesKey);
  size_t bytes = 0;
  if (found == context.client_metadata().end() ||
      !absl::SimpleAtoi(
          absl::string_view(found->second.data(), found->second.size()),
          &bytes)) {
    return kDefaultAnswerBytes;
  }
  return std::clamp(bytes, kLeastAnswerBytes, kMostAnswerBytes);
}

}  // namespace

absl::Status ShutdownStatus() {
  return MakeError(absl::StatusCode::kUnavailable, "SERVER_SHUTDOWN",
                   "the server is shutting down; connect again");
}

Gate::Gate(const security::Authorizer& authorizer,
           std::vector<telemetry::CallObserver*> observers,
           const Options& options, Clock& clock)
    : authorizer_(authorizer),
      observers_(std::move(observers)),
      options_(options),
      rates_(options.max_calls_per_second, clock),
      memory_(options.max_held_bytes),
      threads_{WorkThreads("nfm-reads", options.max_threads),
               WorkThreads("nfm-changes", options.max_threads),
               WorkThreads("nfm-rule-change", options.max_threads)} {}

Gate::Arrival Gate::Arrive(const grpc::CallbackServerContext& context,
                           const security::Method& method) {
  std::shared_ptr<const security::Standing> standing =
      authorizer_.StandingOf(context);
  absl::StatusOr<Call> call = Enter(context, *standing, method);
  return {std::move(standing), std::move(call)};
}

absl::StatusOr<Call> Gate::Enter(const grpc::CallbackServerContext& context,
                                 const security::Standing& standing,
                                 const security::Method& method) {
  if (closed_) return ShutdownStatus();
  if (standing.certified()) {
    NFM_RETURN_IF_ERROR(rates_.Take(standing.principal()));
  }
  Call call{.method = &method};
  NFM_ASSIGN_OR_RETURN(call.caller, standing.Admit(method));
  if (method.mutates && options_.read_only) {
    return MakeError(absl::StatusCode::kFailedPrecondition, "READ_ONLY",
                     "this server was started with --read-only and changes "
                     "nothing");
  }
  NFM_RETURN_IF_ERROR(memory_.Check(standing.principal()));
  call.deadline = DeadlineOf(context);
  if (method.work != security::Work::kAtOnce) {
    call.max_answer_bytes = AnswerBytesOf(context);
  }
  return call;
}

Gate::Stay::Stay(Gate& gate) : gate_(gate) {
  absl::MutexLock lock(&gate_.stays_mutex_);
  ++gate_.stays_;
}

Gate::Stay::~Stay() {
  absl::MutexLock lock(&gate_.stays_mutex_);
  --gate_.stays_;
}

void Gate::Close(absl::Time deadline) {
  closed_ = true;
  const auto empty = [this]()
                         ABSL_NO_THREAD_SAFETY_ANALYSIS { return stays_ == 0; };
  absl::MutexLock lock(&stays_mutex_);
  stays_mutex_.AwaitWithDeadline(absl::Condition(&empty), deadline);
}

absl::Status Gate::Post(security::Work work, absl::string_view caller,
                        absl::AnyInvocable<void()> job) {
  if (threads_[IndexOf(work)].TryPost(caller, std::move(job),
                                      options_.max_waiting)) {
    return absl::OkStatus();
  }
  return Busy();
}

void Gate::BeginAnswer(size_t bytes) {
  const auto has_room = [&]() ABSL_NO_THREAD_SAFETY_ANALYSIS {
    return answer_bytes_ == 0 || answer_bytes_ + bytes <= kMaxAnswerBytesAtOnce;
  };
  absl::MutexLock lock(&answers_mutex_, absl::Condition(&has_room));
  answer_bytes_ += bytes;
}

void Gate::EndAnswer(size_t bytes) {
  absl::MutexLock lock(&answers_mutex_);
  answer_bytes_ -= bytes;
}

void Gate::WriteMetrics(telemetry::MetricsText& text) const {
  using Type = telemetry::MetricsText::Type;
  const auto add = [&](auto value_of) {
    for (const security::Work work : security::kAllWork) {
      if (work == security::Work::kAtOnce) continue;
      text.Add({{"kind", security::WorkName(work)}},
               value_of(threads_[IndexOf(work)].load()));
    }
  };
  text.Family("nfmeter_call_threads_busy", Type::kGauge,
              "Threads that carry out unary calls.");
  add([](const WorkThreads::Load& load) { return load.busy; });
  text.Gauge("nfmeter_call_threads_limit",
             "The most there may be, of each kind.", options_.max_threads);
  text.Family("nfmeter_calls_waiting", Type::kGauge,
              "Unary calls that wait for a thread.");
  add([](const WorkThreads::Load& load) { return load.waiting; });
  memory_.WriteMetrics(text);
}

absl::Status Gate::Busy() const {
  return MakeError(
      absl::StatusCode::kResourceExhausted,
      absl::StrCat("the server carries out ", options_.max_threads,
                   " calls of this kind, and ", options_.max_waiting, " wait, ",
                   "or half as many of yours, its most; try again later, or "
                   "raise limits.max_threads"),
      BoundDetails("TOO_MANY_CALLS", options_.max_threads));
}

}  // namespace nfmeter::service
