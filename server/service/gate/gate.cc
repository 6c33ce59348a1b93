#include "service/gate/gate.h"

#include <chrono>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/error.h"

namespace nfmeter::service {
namespace {

// Ends as soon as it begins.
class RefusedStream final : public StreamReactor {
 public:
  explicit RefusedStream(const absl::Status& status) {
    Finish(ToGrpcStatus(status));
  }

 private:
  void OnDone() override { delete this; }
};

absl::Time DeadlineOf(const grpc::CallbackServerContext& context) {
  const auto deadline = context.deadline();
  return deadline == std::chrono::system_clock::time_point::max()
             ? absl::InfiniteFuture()
             : absl::FromChrono(deadline);
}

}  // namespace

Gate::Gate(const security::Authorizer& authorizer,
           std::vector<telemetry::CallObserver*> observers,
           const Options& options, Clock& clock)
    : authorizer_(authorizer),
      observers_(std::move(observers)),
      options_(options),
      rates_(options.max_calls_per_second, clock),
      threads_{WorkThreads("nfm-reads", options.max_threads),
               WorkThreads("nfm-changes", options.max_threads),
               WorkThreads("nfm-rule-change", options.max_threads)} {}

const security::Method& Gate::MethodOf(absl::string_view name) {
  static constexpr security::Method kUnlisted = {"unlisted",
                                                 security::Role::kNobody};
  const security::Method* const method = security::FindMethod(name);
  return method == nullptr ? kUnlisted : *method;
}

Gate::Kind Gate::KindOf(const security::Method& method) {
  if (!method.mutates) return Kind::kRead;
  return absl::StartsWith(method.name, "nfmeter.v1.RuleService/")
             ? Kind::kRuleChange
             : Kind::kCounterChange;
}

Gate::Arrival Gate::Arrive(const grpc::CallbackServerContext& context) {
  Arrival arrival;
  arrival.standing = authorizer_.StandingOf(context);
  if (arrival.standing->certified()) {
    arrival.status = rates_.Take(arrival.standing->principal());
  }
  return arrival;
}

absl::StatusOr<Call> Gate::Enter(const grpc::CallbackServerContext& context,
                                 const Arrival& arrival,
                                 const security::Method& method,
                                 CallTrail& trail) {
  trail.NoteCaller(arrival.standing);
  NFM_RETURN_IF_ERROR(arrival.status);
  // Its client has gone, or its deadline passed while it waited for a thread.
  if (context.IsCancelled()) return absl::CancelledError("cancelled");
  Call call{.method = &method};
  NFM_ASSIGN_OR_RETURN(call.caller, arrival.standing->Admit(method));
  if (method.mutates && options_.read_only) {
    return MakeError(absl::StatusCode::kFailedPrecondition, "READ_ONLY",
                     "this server was started with --read-only and changes "
                     "nothing");
  }
  call.deadline = DeadlineOf(context);
  return call;
}

absl::StatusOr<Call> Gate::EnterStream(
    const grpc::CallbackServerContext& context, absl::string_view name) {
  const security::Method& method = MethodOf(name);
  auto trail = std::make_shared<CallTrail>(observers_, method, /*stream=*/true,
                                           options_.trace_all);
  trail->NoteOrigin(context);
  absl::StatusOr<Call> call = Enter(context, Arrive(context), method, *trail);
  if (!call.ok()) {
    trail->End(call.status());
  } else {
    call->trail = std::move(trail);
  }
  return call;
}

absl::Status Gate::Busy() const {
  return MakeError(
      absl::StatusCode::kResourceExhausted,
      absl::StrCat("the server carries out ", options_.max_threads,
                   " calls of this kind, and ", options_.max_waiting, " wait, ",
                   "or half as many of yours, its most; try again later, or "
                   "raise limits.max_threads"),
      ErrorDetails{
          .reason = "TOO_MANY_CALLS",
          .metadata = {{"bound", absl::StrCat(options_.max_threads)}}});
}

StreamReactor* Gate::RefuseStream(const absl::Status& status) {
  return new RefusedStream(status);
}

absl::string_view KindName(Gate::Kind kind) {
  switch (kind) {
    case Gate::Kind::kRead:
      return "reads";
    case Gate::Kind::kCounterChange:
      return "counter_changes";
    case Gate::Kind::kRuleChange:
      return "rule_changes";
  }
  return "";
}

}  // namespace nfmeter::service
