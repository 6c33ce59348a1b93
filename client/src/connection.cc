// SPDX-License-Identifier: Apache-2.0
#include "client/src/connection.h"

#include <chrono>
#include <cstdlib>
#include <utility>

#include "absl/strings/cord.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/src/backoff.h"
#include "client/src/credentials.h"
#include "client/src/overdue_calls.h"
#include "client/src/payload.h"
#include "client/src/status.h"
#include "client/src/status_macros.h"
#include "nfmeter/errors.h"

namespace nfmeter::client_internal {
namespace {

// Tells a server how large an answer may be: without it, 3 MiB.
constexpr char kMaxAnswerBytesKey[] = "nfmeter-max-answer-bytes";
constexpr int kUnlimitedAnswerBytes = 1 << 30;

constexpr char kUserAgent[] = "nfmeter-sdk/" NFMETER_VERSION;

// Of the wall clock over one that nobody sets: it changes when that is set.
absl::Duration ClockLead() {
  return absl::FromChrono(std::chrono::system_clock::now()) -
         absl::UnixEpoch() -
         absl::FromChrono(std::chrono::steady_clock::now().time_since_epoch());
}
// A step by less does no harm.
constexpr absl::Duration kSmallStep = absl::Milliseconds(500);

std::string ChooseAddress(const ClientOptions& options) {
  if (!options.address.empty()) return options.address;
  const char* variable = std::getenv(kAddressVariable);
  return variable != nullptr && *variable != '\0' ? variable : kDefaultAddress;
}

// Leaves out what a connection keeps for its whole life and can do without: a
// buffer for TLS records of 16 KiB, and what channelz would tell.
void KeepSmall(grpc::ChannelArguments& arguments) {
  arguments.SetInt(GRPC_ARG_TSI_MAX_FRAME_SIZE, 2048);
  arguments.SetInt(GRPC_ARG_ENABLE_CHANNELZ, 0);
}

grpc::ChannelArguments MakeArguments(const ClientOptions& options,
                                     const Address& address) {
  grpc::ChannelArguments arguments;
  arguments.SetUserAgentPrefix(options.user_agent.empty()
                                   ? kUserAgent
                                   : options.user_agent + " " + kUserAgent);
  arguments.SetMaxReceiveMessageSize(options.max_receive_bytes);
  // Our own backoff is the one that counts; gRPC's must not make a channel
  // refuse calls for longer. GRPC_ARG_MIN_RECONNECT_BACKOFF_MS is left alone:
  // it is how long one attempt may take, handshakes included. Each client has
  // its own connections, so that one does not inherit the failures of another.
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 50);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1000);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);
  if (address.local) {
    arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  } else {
    // Finds dead peers of silent streams. Servers take pings each 5 minutes
    // without further configuration, more frequent ones they refuse.
    arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 310'000);
    arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 20'000);
  }
  if (options.one_of_many) KeepSmall(arguments);
  if (options.tls.has_value() && !options.tls->server_name.empty()) {
    arguments.SetSslTargetNameOverride(options.tls->server_name);
  }
  return arguments;
}

// --- Whether a change may be sent again

constexpr char kNotKnown[] = "whether it was carried out is not known";
constexpr char kLookFirst[] =
    "Read the counters, or list the rules, before you try again.";

absl::Status Restarted(absl::string_view what) {
  return ClientError(absl::StatusCode::kAborted, reason::kServerRestarted,
                     absl::StrCat(what, ": ", kNotKnown), kLookFirst);
}

// The call found no connection to be sent over. Only gRPC's own text tells: to
// look whether somebody listens now says nothing about the time of the call.
// A text that is not known means that it may have been sent.
bool WasNeverSent(const absl::Status& failure) {
  return absl::StartsWith(failure.message(),
                          "failed to connect to all addresses") ||
         absl::StartsWith(failure.message(), "DNS resolution failed");
}

// The server has answered itself that nothing was changed; see docs/errors.md.
bool WasRefused(const absl::Status& failure) {
  const std::string reason = ErrorReason(failure);
  return !reason.empty() && reason != "TABLE_OVERWRITTEN";
}

// Stands beside the attempts of one change. A server carries out a request_id
// once, but one that has restarted remembers none: a reset that the old process
// carried out would be carried out again and answer with zeros. So after an
// attempt that the server may have got, the next one is made only while the
// server has the epoch that it had before the first. Not thread-safe.
class RestartGuard {
 public:
  RestartGuard(Connection& connection, absl::Time deadline)
      : connection_(connection), deadline_(deadline) {}

  // Before each attempt; asks the server where that is needed. OK: make it.
  // UNAVAILABLE: the server can't be asked, wait and try again. Others are
  // final.
  absl::Status Before();

  // After an attempt that failed with UNAVAILABLE: `failure` as gRPC has it,
  // `explained` for people.
  void Failed(const absl::Status& failure, const absl::Status& explained);

  // What to return when no more attempts are made: `status`, or when the change
  // may have been carried out, an error that says so.
  absl::Status Final(const absl::Status& status) const;

 private:
  Connection& connection_;
  const absl::Time deadline_;
  uint64_t epoch_ = 0;     // before the first attempt in doubt; 0: not known
  absl::Status in_doubt_;  // how that attempt failed; OK: there is none
};

absl::Status RestartGuard::Before() {
  if (in_doubt_.ok()) {
    const absl::StatusOr<uint64_t> epoch = connection_.KnownEpoch(deadline_);
    if (absl::IsUnavailable(epoch.status())) return epoch.status();
    epoch_ = epoch.value_or(0);
    return absl::OkStatus();
  }
  if (epoch_ == 0) {
    return Restarted(
        "the connection broke while the call was under way, and the server "
        "does not tell whether it has restarted");
  }
  const absl::StatusOr<uint64_t> now = connection_.AskEpoch(deadline_);
  if (absl::IsUnavailable(now.status())) return now.status();
  if (!now.ok()) {
    return Restarted(absl::StrCat(
        "the connection broke while the call was under way, and the server "
        "does not tell whether it has restarted (",
        std::string(now.status().message()), ")"));
  }
  if (*now == epoch_) return absl::OkStatus();
  return Restarted("the server restarted while the call was under way");
}

void RestartGuard::Failed(const absl::Status& failure,
                          const absl::Status& explained) {
  if (!in_doubt_.ok() || WasNeverSent(failure) || WasRefused(failure)) return;
  in_doubt_ = explained;
}

absl::Status RestartGuard::Final(const absl::Status& status) const {
  if (in_doubt_.ok() || !absl::IsUnavailable(status)) return status;
  absl::Status result = WithMessage(
      in_doubt_,
      absl::StrCat(std::string(in_doubt_.message()), "; ", kNotKnown));
  result.SetPayload(kHintUrl, absl::Cord(kLookFirst));
  return result;
}

}  // namespace

absl::StatusOr<std::shared_ptr<Connection>> Connection::Open(
    const ClientOptions& options, std::shared_ptr<Environment> environment) {
  NFM_ASSIGN_OR_RETURN(const auto address,
                       ParseAddress(ChooseAddress(options)));
  NFM_ASSIGN_OR_RETURN(const auto credentials,
                       MakeCredentials(options, address));
  return std::shared_ptr<Connection>(
      new Connection(options, address, std::move(environment), credentials));
}

Connection::Connection(ClientOptions options, Address address,
                       std::shared_ptr<Environment> environment,
                       const Credentials& credentials)
    : options_(std::move(options)),
      address_(std::move(address)),
      environment_(std::move(environment)),
      link_(MakeLink(credentials)) {}

Connection::Link::Link(std::shared_ptr<grpc::Channel> over, TlsFiles made_of)
    : files(std::move(made_of)),
      clock_lead(ClockLead()),
      channel(std::move(over)) {}

bool Connection::Link::is_older_than_a_step_back() const {
  return clock_lead - ClockLead() > kSmallStep;
}

std::shared_ptr<Connection::Link> Connection::MakeLink(
    const Credentials& credentials) const {
  return std::make_shared<Link>(
      grpc::CreateCustomChannel(address_.target, credentials.channel,
                                MakeArguments(options_, address_)),
      credentials.files);
}

std::shared_ptr<Connection::Link> Connection::LatestLink() {
  absl::MutexLock lock(&mutex_);
  return link_;
}

std::shared_ptr<Connection::Link> Connection::GetLink() {
  std::shared_ptr<Link> link = LatestLink();
  if (link->is_ready()) return link;
  const bool stands_still = link->is_older_than_a_step_back();
  if (!options_.tls.has_value() && !stands_still) return link;
  // Files that can't be used may be half written: the next call looks again.
  const auto credentials = MakeCredentials(options_, address_);
  if (!credentials.ok()) return link;
  if (credentials->files == link->files && !stands_still) return link;
  link = MakeLink(*credentials);
  absl::MutexLock lock(&mutex_);
  link_ = link;
  return link;
}

absl::Status Connection::Call(
    const CallOptions& options,
    absl::FunctionRef<grpc::Status(grpc::ClientContext*)> attempt, Kind kind) {
  const absl::Duration timeout = options.timeout != absl::ZeroDuration()
                                     ? options.timeout
                                     : options_.timeout;
  // The caller's deadline is a time of day; what is left of it is not.
  const absl::Time deadline =
      environment_->Now() + std::min(options.deadline - absl::Now(), timeout);
  // The server that is connected to next may be another.
  if (!LatestLink()->is_ready()) ForgetEpoch();
  const bool is_change = kind == Kind::kChange;
  const std::string max_answer_bytes =
      absl::StrCat(options_.max_receive_bytes < 0 ? kUnlimitedAnswerBytes
                                                  : options_.max_receive_bytes);
  RestartGuard guard(*this, deadline);
  Backoff backoff(options_.retry, *environment_);
  for (int attempts = 1;; ++attempts) {
    absl::Status status = is_change ? guard.Before() : absl::OkStatus();
    if (status.ok()) {
      grpc::ClientContext context;
      context.AddMetadata(kMaxAnswerBytesKey, max_answer_bytes);
      const grpc::Status result = CallOnce(deadline, &context, attempt);
      status = ToStatus(result);
      if (result.error_code() == grpc::StatusCode::UNAVAILABLE) {
        ForgetEpoch();
        guard.Failed(FromGrpc(result), status);
      }
    }
    if (!absl::IsUnavailable(status) ||
        attempts >= options_.retry.max_attempts) {
      return is_change ? guard.Final(status) : status;
    }
    const absl::Duration wait = backoff.Next(status);
    if (environment_->Now() + wait >= deadline) {
      return is_change ? guard.Final(status) : status;
    }
    environment_->Sleep(wait, nullptr);
  }
}

grpc::Status Connection::CallOnce(
    absl::Time deadline, grpc::ClientContext* context,
    absl::FunctionRef<grpc::Status(grpc::ClientContext*)> attempt) {
  if (deadline == absl::InfiniteFuture()) return attempt(context);
  const absl::Duration wait = deadline - environment_->Now();
  context->set_deadline(DeadlineAfter(wait));
  const OverdueCalls::Watch watch(*overdue_calls_, *context, wait);
  return watch.Ended(attempt(context));
}

absl::Status Connection::ToStatus(const grpc::Status& status) const {
  return ExplainConnection(FromGrpc(status), address_, options_.tls);
}

Connection::BatchLimits Connection::GetBatchLimits(const CallOptions& options) {
  {
    absl::MutexLock lock(&mutex_);
    if (limits_.has_value()) return *limits_;
  }
  const auto response =
      Unary(&v1::NodeService::Stub::GetNode, v1::GetNodeRequest(), options);
  if (!response.ok()) return BatchLimits();
  Learn(response->node());
  absl::MutexLock lock(&mutex_);
  return *limits_;
}

absl::StatusOr<uint64_t> Connection::AskEpoch(absl::Time deadline) {
  grpc::ClientContext context;
  v1::GetNodeResponse response;
  const grpc::Status status =
      CallOnce(deadline, &context, [&](grpc::ClientContext* bounded) {
        return stub<v1::NodeService::Stub>()->GetNode(
            bounded, v1::GetNodeRequest(), &response);
      });
  // A server that lacks the method need not be asked again and again.
  if (!status.ok() && status.error_code() != grpc::StatusCode::UNIMPLEMENTED) {
    return ToStatus(status);
  }
  Learn(response.node());
  return response.node().epoch();
}

absl::StatusOr<uint64_t> Connection::KnownEpoch(absl::Time deadline) {
  {
    absl::MutexLock lock(&mutex_);
    if (epoch_.has_value()) return *epoch_;
  }
  const absl::StatusOr<uint64_t> epoch = AskEpoch(deadline);
  if (absl::IsPermissionDenied(epoch.status())) {
    // Asking at each change would fill the audit log with denials.
    absl::MutexLock lock(&mutex_);
    epoch_ = 0;
  }
  return epoch;
}

void Connection::Learn(const v1::Node& node) {
  BatchLimits limits;
  const v1::NodeLimits& bounds = node.limits();
  if (bounds.max_batch_size() > 0) limits.max_items = bounds.max_batch_size();
  if (bounds.max_request_bytes() > 0) {
    limits.max_bytes = bounds.max_request_bytes();
  }
  absl::MutexLock lock(&mutex_);
  limits_ = limits;
  epoch_ = node.epoch();
}

void Connection::ForgetEpoch() {
  absl::MutexLock lock(&mutex_);
  epoch_.reset();
}

}  // namespace nfmeter::client_internal
