// What every call to the server's own services passes on its way in and out.
#ifndef NFMETER_SERVICE_GATE_GATE_H_
#define NFMETER_SERVICE_GATE_GATE_H_

#include <array>
#include <cstddef>
#include <iterator>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/clock.h"
#include "base/status_macros.h"
#include "google/protobuf/arena.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/server_callback.h"
#include "security/access/authorizer.h"
#include "service/gate/call.h"
#include "service/gate/call_rates.h"
#include "service/gate/call_subject.h"
#include "service/gate/message_bytes.h"
#include "service/gate/status.h"
#include "service/gate/work_threads.h"
#include "telemetry/call_observer.h"

namespace nfmeter::service {

using CallContext = grpc::CallbackServerContext;
using Bytes = grpc::ByteBuffer;
using UnaryReactor = grpc::ServerUnaryReactor;
using StreamReactor = grpc::ServerWriteReactor<grpc::ByteBuffer>;

// A generated service with some of its methods raw: their messages are bytes.
// WithMethods<v1::NodeService::Service,
//             v1::NodeService::WithRawCallbackMethod_GetNode>
template <typename Service, template <typename> typename... Raw>
struct ServiceWithMethods {
  using type = Service;
};
template <typename Service, template <typename> typename First,
          template <typename> typename... Rest>
struct ServiceWithMethods<Service, First, Rest...> {
  using type = First<typename ServiceWithMethods<Service, Rest...>::type>;
};
template <typename Service, template <typename> typename... Raw>
using WithMethods = typename ServiceWithMethods<Service, Raw...>::type;

// Lets calls in, or not; parses their requests; finds a thread to serve them;
// and tells the observers how they ended. gRPC hands all calls over as bytes,
// so that a request that can't be parsed gets an answer like any other.
//
// Thread-safe. Does not own what it is given. Must be destroyed after the gRPC
// server.
class Gate {
 public:
  struct Options {
    bool read_only = false;
    // Unary calls that are being served, and that wait for that; of each kind.
    size_t max_threads = 64;
    size_t max_waiting = 4096;
    // Of each caller with a certificate; see CallRates.
    size_t max_calls_per_second = 0;
    // The observers want to know where each call comes from, not only of those
    // that change something or fail.
    bool trace_all = false;
  };

  Gate(const security::Authorizer& authorizer,
       std::vector<telemetry::CallObserver*> observers, const Options& options,
       Clock& clock = SystemClock());

  const Options& options() const { return options_; }
  const security::Authorizer& authorizer() const { return authorizer_; }

  // Unary calls that may wait. Changes wait for each other, and those of rules
  // (deletions of counters with their rules, too) for the xtables lock, which
  // anybody may hold as long as they like: nothing else is to stand behind
  // them.
  enum class Kind { kRead, kCounterChange, kRuleChange };
  static constexpr Kind kKinds[] = {Kind::kRead, Kind::kCounterChange,
                                    Kind::kRuleChange};
  WorkThreads::Load load(Kind kind) const {
    return threads_[static_cast<size_t>(kind)].load();
  }

  // A unary handler: fills the response, or says why not.
  template <typename Service, typename Request, typename Response>
  using Unary = absl::Status (Service::*)(const Call&, const Request&,
                                          Response*);

  // Serves a unary call on a thread that may wait.
  template <typename Service, typename Request, typename Response>
  UnaryReactor* Serve(CallContext* context, const Bytes* bytes, Bytes* answer,
                      absl::string_view method, Service* service,
                      Unary<Service, Request, Response> handler) {
    UnaryReactor* const reactor = context->DefaultReactor();
    Arrival arrival = Arrive(*context);
    if (arrival.status.ok()) {
      auto serve = [=, this] {
        reactor->Finish(ServeUnary(*context, arrival, *bytes, answer, method,
                                   service, handler));
      };
      if (ThreadsFor<Request>(MethodOf(method), *bytes)
              .TryPost(arrival.standing->principal(), std::move(serve),
                       options_.max_waiting)) {
        return reactor;
      }
      arrival.status = Busy();
    }
    reactor->Finish(ServeUnary(*context, arrival, *bytes, answer, method,
                               service, handler));
    return reactor;
  }

  // Serves one on this thread, which is gRPC's: the handler never waits.
  template <typename Service, typename Request, typename Response>
  UnaryReactor* ServeAtOnce(CallContext* context, const Bytes* bytes,
                            Bytes* answer, absl::string_view method,
                            Service* service,
                            Unary<Service, Request, Response> handler) {
    UnaryReactor* const reactor = context->DefaultReactor();
    reactor->Finish(ServeUnary(*context, Arrive(*context), *bytes, answer,
                               method, service, handler));
    return reactor;
  }

  // Opens a stream. The handler hands it to StreamSet::Start(), with the call,
  // or says why not.
  template <typename Service, typename Request>
  StreamReactor* Open(CallContext* context, const Bytes* bytes,
                      absl::string_view method, Service* service,
                      absl::StatusOr<StreamReactor*> (Service::*handler)(
                          const Call&, const Request&)) {
    absl::StatusOr<Call> call = EnterStream(*context, method);
    if (!call.ok()) return RefuseStream(call.status());
    Request request;
    const absl::Status parsed = ParseMessage(*bytes, &request);
    const absl::StatusOr<StreamReactor*> reactor =
        parsed.ok() ? (service->*handler)(*call, request) : parsed;
    if (reactor.ok()) return *reactor;
    call->trail->End(reactor.status());
    return RefuseStream(reactor.status());
  }

 private:
  // Requests and answers of up to this many bytes need no memory of their own.
  static constexpr size_t kInlineBytes = 2048;

  // A call that is still outside.
  struct Arrival {
    std::shared_ptr<const security::Standing> standing;
    absl::Status status;  // not OK: it is not let in, whatever it asks for
  };

  template <typename Service, typename Request, typename Response>
  grpc::Status ServeUnary(const CallContext& context, const Arrival& arrival,
                          const Bytes& bytes, Bytes* answer,
                          absl::string_view name, Service* service,
                          Unary<Service, Request, Response> handler) {
    const security::Method& method = MethodOf(name);
    CallTrail trail(observers_, method, /*stream=*/false, options_.trace_all);
    const absl::Status status = [&]() -> absl::Status {
      alignas(8) char memory[kInlineBytes];
      google::protobuf::ArenaOptions options;
      options.initial_block = memory;
      options.initial_block_size = sizeof(memory);
      google::protobuf::Arena arena(options);
      auto* request = google::protobuf::Arena::CreateMessage<Request>(&arena);
      absl::StatusOr<Call> call = Enter(context, arrival, method, trail);
      if (!call.ok()) {
        // What was refused is told, too, where it costs little to look.
        if (bytes.Length() <= kInlineBytes &&
            ParseMessage(bytes, request).ok()) {
          trail.NoteSubject(SubjectOf(*request));
        }
        return call.status();
      }
      call->context = &context;
      NFM_RETURN_IF_ERROR(ParseMessage(bytes, request));
      if (method.mutates) trail.NoteSubject(SubjectOf(*request));
      auto* response = google::protobuf::Arena::CreateMessage<Response>(&arena);
      const absl::Status served =
          (service->*handler)(*call, *request, response);
      if (absl::IsPermissionDenied(served) && !method.mutates) {
        trail.NoteSubject(SubjectOf(*request));
      }
      NFM_RETURN_IF_ERROR(served);
      return WriteMessage(*response, answer);
    }();
    trail.End(status, context);
    return ToGrpcStatus(status);
  }

  static const security::Method& MethodOf(absl::string_view name);
  static Kind KindOf(const security::Method& method);
  template <typename Request>
  WorkThreads& ThreadsFor(const security::Method& method, const Bytes& bytes) {
    Kind kind = KindOf(method);
    // Deletions of counters with their rules.
    if constexpr (requires(Request r) { r.delete_managed_rules(); }) {
      Request request;
      if (ParseMessage(bytes, &request).ok() &&
          request.delete_managed_rules()) {
        kind = Kind::kRuleChange;
      }
    }
    return threads_[static_cast<size_t>(kind)];
  }
  Arrival Arrive(const CallContext& context);
  absl::Status Busy() const;
  absl::StatusOr<Call> Enter(const CallContext& context, const Arrival& arrival,
                             const security::Method& method, CallTrail& trail);
  absl::StatusOr<Call> EnterStream(const CallContext& context,
                                   absl::string_view method);
  static StreamReactor* RefuseStream(const absl::Status& status);

  const security::Authorizer& authorizer_;
  const std::vector<telemetry::CallObserver*> observers_;
  const Options options_;
  CallRates rates_;
  std::array<WorkThreads, std::size(kKinds)> threads_;
};

// For metrics: "rule_changes".
absl::string_view KindName(Gate::Kind kind);

}  // namespace nfmeter::service

#endif  // NFMETER_SERVICE_GATE_GATE_H_
