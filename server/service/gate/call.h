// SPDX-License-Identifier: GPL-3.0-or-later
// One call on its way through the server.
#ifndef NFMETER_SERVICE_GATE_CALL_H_
#define NFMETER_SERVICE_GATE_CALL_H_

#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "grpcpp/server_context.h"
#include "nfmeter/v1/rule.pb.h"
#include "security/access/access.h"
#include "security/access/authorizer.h"
#include "telemetry/call_observer.h"

namespace nfmeter::service {

struct CallSubject {
  std::string request_id;
  bool validate_only = false;
  bool with_rules = false;  // counters are deleted with rules that count
  // The first of the names and ids that the request has.
  std::vector<std::string> targets;
  size_t target_count = 0;

  // Long ones are cut: they are what a client sent, valid or not.
  void AddTarget(absl::string_view target);
};

// "http-traffic in filter/INPUT: ACCEPT": what a new rule does, and with which
// id if the client gives one.
std::string DescribeRule(const v1::Rule& rule);

// Names of counters and plans, ids of rules, what new rules do, and filters of
// flows.
template <typename Request>
CallSubject SubjectOf(const Request& request) {
  CallSubject subject;
  if constexpr (requires { request.validate_only(); }) {
    subject.request_id = request.request_id();
    subject.validate_only = request.validate_only();
  }
  if constexpr (requires { request.delete_managed_rules(); }) {
    subject.with_rules = request.delete_managed_rules();
  }
  if constexpr (requires { request.filter().tcp_states(); }) {
    const std::string filter = request.filter().ShortDebugString();
    subject.AddTarget(filter.empty() ? "all flows" : filter);
  } else if constexpr (requires { request.plan().groups(); }) {
    subject.AddTarget(request.plan().name());
  } else if constexpr (requires { request.counter().name(); }) {
    subject.AddTarget(request.counter().name());
  } else if constexpr (requires { request.counters(); }) {
    for (const auto& each : request.counters()) subject.AddTarget(each.name());
  } else if constexpr (requires { request.rule().counter(); }) {
    subject.AddTarget(DescribeRule(request.rule()));
  } else if constexpr (requires { request.rules(); }) {
    for (const auto& each : request.rules()) {
      subject.AddTarget(DescribeRule(each));
    }
  } else if constexpr (requires { request.name(); }) {
    subject.AddTarget(request.name());
  } else if constexpr (requires { request.names(); }) {
    for (const auto& each : request.names()) subject.AddTarget(each);
  } else if constexpr (requires { request.id(); }) {
    subject.AddTarget(request.id());
  } else if constexpr (requires { request.ids(); }) {
    for (const auto& each : request.ids()) subject.AddTarget(each);
  }
  return subject;
}

class StreamCall;

// Collects what the observers are told when the call ends. Not thread-safe.
class CallTrail {
 public:
  CallTrail(absl::Span<telemetry::CallObserver* const> observers,
            const security::Method& method, bool stream, bool trace_all);

  CallTrail(const CallTrail&) = delete;
  CallTrail& operator=(const CallTrail&) = delete;

  void NoteCaller(std::shared_ptr<const security::Standing> caller) {
    caller_ = std::move(caller);
  }
  void NoteSubject(const CallSubject& subject);
  // Where the call came from and what it belongs to. Asked for early in
  // streams, as the context is gone when they end.
  void NoteOrigin(const grpc::ServerContextBase& context);

  // Once.
  void End(const absl::Status& status);
  // The same; notes the origin where somebody will want to know it.
  void End(const absl::Status& status, const grpc::ServerContextBase& context);

 private:
  const absl::Span<telemetry::CallObserver* const> observers_;
  telemetry::CallRecord record_;
  std::shared_ptr<const security::Standing> caller_;
  const bool trace_all_;
  const absl::Duration start_;  // Clock::BootTime()
};

// Clients of gRPC refuse messages of more than 4 MiB unless they are told
// otherwise.
inline constexpr size_t kDefaultAnswerBytes = 3 << 20;
// What a client may say that it takes, and where: a decimal number of bytes.
inline constexpr size_t kMostAnswerBytes = 16 << 20;
inline constexpr char kMaxAnswerBytesKey[] = "nfmeter-max-answer-bytes";

// A call that was let in, as its handler sees it.
struct Call {
  const security::Method* method = nullptr;
  std::shared_ptr<const security::Caller> caller;
  // The client's; infinite when it set none.
  absl::Time deadline = absl::InfiniteFuture();
  // The client takes an answer of so many bytes: what it says in its metadata
  // (kMaxAnswerBytesKey), else what gRPC clients take by default and some room.
  size_t max_answer_bytes = kDefaultAnswerBytes;
  // Of unary calls, which end before it does; else nullptr.
  const grpc::ServerContextBase* context = nullptr;
  // Of streams, which take them over; else nullptr.
  std::shared_ptr<CallTrail> trail;
  StreamCall* stream = nullptr;

  const accounting::CounterScope& scope() const { return caller->scope; }
  // It may make and delete rules whose verdict decides about packets.
  bool MayDecide() const { return caller->role >= security::Role::kAdmin; }
};

}  // namespace nfmeter::service

#endif  // NFMETER_SERVICE_GATE_CALL_H_
