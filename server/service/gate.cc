#include "service/gate.h"

#include <chrono>

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
           const Options& options)
    : authorizer_(authorizer),
      observers_(std::move(observers)),
      options_(options),
      threads_("nfm-calls", options.max_threads) {}

const security::Method& Gate::MethodOf(absl::string_view name) {
  static constexpr security::Method kUnlisted = {"unlisted",
                                                 security::Role::kNobody};
  const security::Method* const method = security::FindMethod(name);
  return method == nullptr ? kUnlisted : *method;
}

absl::StatusOr<Call> Gate::Enter(const grpc::CallbackServerContext& context,
                                 const security::Method& method,
                                 CallTrail& trail) {
  // Its client has gone, or its deadline passed while it waited for a thread.
  if (context.IsCancelled()) return absl::CancelledError("cancelled");
  Call call;
  NFM_ASSIGN_OR_RETURN(call.caller, authorizer_.Authorize(context, method));
  trail.NoteCaller(call.caller);
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
  auto trail = std::make_shared<CallTrail>(observers_, method, /*stream=*/true);
  trail->NoteOrigin(context);
  absl::StatusOr<Call> call = Enter(context, method, *trail);
  if (!call.ok()) {
    trail->End(call.status());
  } else {
    call->trail = std::move(trail);
  }
  return call;
}

grpc::Status Gate::RefuseBusy(const grpc::CallbackServerContext& context,
                              absl::string_view name) {
  const absl::Status status = MakeError(
      absl::StatusCode::kResourceExhausted,
      absl::StrCat("the server carries out ", options_.max_threads,
                   " calls, and ", options_.max_waiting,
                   " wait, its most; try again later, or raise max_threads"),
      ErrorDetails{
          .reason = "TOO_MANY_CALLS",
          .metadata = {{"bound", absl::StrCat(options_.max_threads)}}});
  CallTrail trail(observers_, MethodOf(name), /*stream=*/false);
  trail.End(status, context);
  return ToGrpcStatus(status);
}

StreamReactor* Gate::RefuseStream(const absl::Status& status) {
  return new RefusedStream(status);
}

}  // namespace nfmeter::service
