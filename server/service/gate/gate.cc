#include "service/gate/gate.h"

#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/error.h"
#include "base/status_macros.h"

namespace nfmeter::service {
namespace {

absl::Time DeadlineOf(const grpc::CallbackServerContext& context) {
  const auto deadline = context.deadline();
  return deadline == std::chrono::system_clock::time_point::max()
             ? absl::InfiniteFuture()
             : absl::FromChrono(deadline);
}

// Of the threads for this work.
size_t IndexOf(security::Work work) { return static_cast<size_t>(work) - 1; }

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
  call.deadline = DeadlineOf(context);
  return call;
}

absl::Status Gate::Post(security::Work work, absl::string_view caller,
                        absl::AnyInvocable<void()> job) {
  if (threads_[IndexOf(work)].TryPost(caller, std::move(job),
                                      options_.max_waiting)) {
    return absl::OkStatus();
  }
  return Busy();
}

WorkThreads::Load Gate::load(security::Work work) const {
  return threads_[IndexOf(work)].load();
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

}  // namespace nfmeter::service
