// One channel to one server, and how calls are made over it.
#ifndef NFMETER_CLIENT_SRC_CONNECTION_H_
#define NFMETER_CLIENT_SRC_CONNECTION_H_

#include <memory>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "client/src/address.h"
#include "client/src/environment.h"
#include "client/src/request_text.h"
#include "grpcpp/grpcpp.h"
#include "nfmeter/options.h"
#include "nfmeter/v1/counter.grpc.pb.h"
#include "nfmeter/v1/node.grpc.pb.h"
#include "nfmeter/v1/rule.grpc.pb.h"
#include "nfmeter/v1/snapshot.grpc.pb.h"

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
  // RestartGuard.
  enum class Kind { kRead, kChange };
  absl::Status Call(
      const CallOptions& options,
      absl::FunctionRef<grpc::Status(grpc::ClientContext*)> attempt,
      Kind kind = Kind::kRead);

  // A unary call of a generated stub. Requests with a request_id are changes.
  template <typename Response, typename Stub, typename Request>
  absl::StatusOr<Response> Unary(
      Stub& stub,
      grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                   Response*),
      const Request& request, const CallOptions& options) {
    if (absl::Status text = CheckText(request); !text.ok()) return text;
    constexpr bool kIsChange = requires { request.request_id(); };
    Response response;
    const absl::Status status = Call(
        options,
        [&](grpc::ClientContext* context) {
          response.Clear();
          return (stub.*method)(context, request, &response);
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
  const std::shared_ptr<grpc::Channel>& channel() { return channel_; }
  v1::CounterService::Stub& counters() { return counters_; }
  v1::RuleService::Stub& rules() { return rules_; }
  v1::SnapshotService::Stub& snapshots() { return snapshots_; }
  v1::NodeService::Stub& node() { return node_; }

 private:
  Connection(ClientOptions options, Address address,
             std::shared_ptr<Environment> environment,
             std::shared_ptr<grpc::Channel> channel);

  void SetDeadline(absl::Time deadline, grpc::ClientContext* context);
  // Remembers what later calls need to know.
  void Learn(const v1::Node& node);
  void ForgetEpoch();

  const ClientOptions options_;
  const Address address_;
  const std::shared_ptr<Environment> environment_;
  const std::shared_ptr<grpc::Channel> channel_;
  v1::CounterService::Stub counters_;
  v1::RuleService::Stub rules_;
  v1::SnapshotService::Stub snapshots_;
  v1::NodeService::Stub node_;

  absl::Mutex mutex_;
  std::optional<BatchLimits> limits_ ABSL_GUARDED_BY(mutex_);
  std::optional<uint64_t> epoch_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace nfmeter::client_internal

#endif  // NFMETER_CLIENT_SRC_CONNECTION_H_
