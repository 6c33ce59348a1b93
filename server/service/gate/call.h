// SPDX-License-Identifier: GPL-3.0-or-later
// One call on its way through the server.
#ifndef NFMETER_SERVICE_GATE_CALL_H_
#define NFMETER_SERVICE_GATE_CALL_H_

#include <cstddef>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "grpcpp/server_context.h"
#include "security/access/access.h"
#include "security/access/authorizer.h"
#include "service/gate/call_subject.h"
#include "telemetry/call_observer.h"

namespace nfmeter::service {

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
