// SPDX-License-Identifier: Apache-2.0
// One channel to one server, and how calls are made over it.
#ifndef NFMETER_CLIENT_SRC_CONNECTION_H_
#define NFMETER_CLIENT_SRC_CONNECTION_H_

#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>

#include "absl/base/call_once.h"
#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "client/src/address.h"
#include "client/src/credentials.h"
#include "client/src/environment.h"
#include "client/src/overdue_calls.h"
#include "client/src/request_text.h"
#include "client/src/status_macros.h"
#include "grpcpp/grpcpp.h"
#include "nfmeter/options.h"
#include "nfmeter/v1/counter.grpc.pb.h"
#include "nfmeter/v1/flow.grpc.pb.h"
#include "nfmeter/v1/node.grpc.pb.h"
#include "nfmeter/v1/plan.grpc.pb.h"
#include "nfmeter/v1/rule.grpc.pb.h"
#include "nfmeter/v1/snapshot.grpc.pb.h"
#include "nfmeter/v1/usage.grpc.pb.h"

namespace nfmeter::client_internal {

// Thread-safe. Shared by a client and its watches.
class Connection {
 public:
  // See Client::Connect.
  static absl::StatusOr<std::shared_ptr<Connection>> Open(
      const ClientOptions& options,
      std::shared_ptr<Environment> environment = SystemEnvironment());

  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Makes `attempt` until it succeeds, fails for good, or time is over; see
  // RetryOptions. The context of each attempt is new and has the deadline.
  // Changes are not made again by a server that has restarted meanwhile; see
  // RestartGuard in connection.cc.
  enum class Kind { kRead, kChange };
  absl::Status Call(
      const CallOptions& options,
      absl::FunctionRef<grpc::Status(grpc::ClientContext*)> attempt,
      Kind kind = Kind::kRead);

  // A unary call of a generated stub. Requests with a request_id are changes,
  // and get one where theirs is empty.
  template <typename Response, typename Stub, typename Request>
  absl::StatusOr<Response> Unary(
      grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                   Response*),
      Request request, const CallOptions& options) {
    NFM_RETURN_IF_ERROR(CheckText(request));
    constexpr bool kIsChange = requires { request.request_id(); };
    if constexpr (kIsChange) {
      if (request.request_id().empty()) {
        request.set_request_id(environment_->NewRequestId());
      }
    }
    const std::shared_ptr<Stub> stub = this->stub<Stub>();
    Response response;
    const absl::Status status = Call(
        options,
        [&](grpc::ClientContext* context) {
          response.Clear();
          return ((*stub).*method)(context, request, &response);
        },
        kIsChange ? Kind::kChange : Kind::kRead);
    if (!status.ok()) return status;
    return response;
  }

  // As FromGrpc, with failures to connect explained.
  absl::Status ToStatus(const grpc::Status& status) const;

  // Bounds of batches: asked from the server once. Not known: no bounds, so
  // that the server itself says what is too much.
  struct BatchLimits {
    size_t max_items = SIZE_MAX;
    size_t max_bytes = SIZE_MAX;
  };
  BatchLimits GetBatchLimits(const CallOptions& options);

  // Node.epoch, 0 from a server that does not tell; in one attempt.
  absl::StatusOr<uint64_t> AskEpoch(absl::Time deadline);
  // The same, asked once as long as the connection stays good; 0 also when this
  // caller was denied the answer before.
  absl::StatusOr<uint64_t> KnownEpoch(absl::Time deadline);

  const Address& address() const { return address_; }
  const ClientOptions& options() const { return options_; }
  Environment& environment() { return *environment_; }
  // For one call or stream; the next may be over another channel.
  std::shared_ptr<grpc::Channel> channel() { return GetLink()->channel; }
  template <typename Stub>
  std::shared_ptr<Stub> stub() {
    std::shared_ptr<Link> link = GetLink();
    Stub* made = std::get<LazyStub<Stub>>(link->stubs).Get(link->channel);
    return std::shared_ptr<Stub>(std::move(link), made);
  }

 private:
  // gRPC remembers each method of a service that there is a stub of, for each
  // channel: some 10 KB for all services. So stubs are made when the first call
  // needs them. Thread-safe.
  template <typename Stub>
  class LazyStub {
   public:
    Stub* Get(const std::shared_ptr<grpc::Channel>& channel) {
      absl::call_once(made_, [&] { stub_.emplace(channel); });
      return &*stub_;
    }

   private:
    absl::once_flag made_;
    std::optional<Stub> stub_;
  };

  // A channel and what calls over it. gRPC's credentials stay what they were
  // made of, so replaced certificates take another channel. So does a wall
  // clock that was set back: the timers of one that waits to connect again
  // stand still then.
  struct Link {
    Link(std::shared_ptr<grpc::Channel> over, TlsFiles made_of);

    bool is_ready() const {
      return channel->GetState(/*try_to_connect=*/false) == GRPC_CHANNEL_READY;
    }
    bool is_older_than_a_step_back() const;

    const TlsFiles files;
    const absl::Duration clock_lead;  // of the wall clock when it was made
    const std::shared_ptr<grpc::Channel> channel;
    std::tuple<
        LazyStub<v1::CounterService::Stub>, LazyStub<v1::RuleService::Stub>,
        LazyStub<v1::PlanService::Stub>, LazyStub<v1::SnapshotService::Stub>,
        LazyStub<v1::FlowService::Stub>, LazyStub<v1::UsageService::Stub>,
        LazyStub<v1::NodeService::Stub>>
        stubs;
  };

  Connection(ClientOptions options, Address address,
             std::shared_ptr<Environment> environment,
             const Credentials& credentials);

  std::shared_ptr<Link> MakeLink(const Credentials& credentials) const;
  std::shared_ptr<Link> LatestLink();
  // The link to make a call over: while it is connected the one that there is,
  // else another one if the files have changed since.
  std::shared_ptr<Link> GetLink();

  // One call, which ends at `deadline` whatever becomes of the wall clock.
  grpc::Status CallOnce(
      absl::Time deadline, grpc::ClientContext* context,
      absl::FunctionRef<grpc::Status(grpc::ClientContext*)> attempt);
  // Remembers what later calls need to know.
  void Learn(const v1::Node& node);
  void ForgetEpoch();

  const ClientOptions options_;
  const Address address_;
  const std::shared_ptr<Environment> environment_;
  const std::shared_ptr<OverdueCalls> overdue_calls_ = OverdueCalls::Shared();

  absl::Mutex mutex_;
  std::shared_ptr<Link> link_ ABSL_GUARDED_BY(mutex_);
  std::optional<BatchLimits> limits_ ABSL_GUARDED_BY(mutex_);
  std::optional<uint64_t> epoch_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace nfmeter::client_internal

#endif  // NFMETER_CLIENT_SRC_CONNECTION_H_
