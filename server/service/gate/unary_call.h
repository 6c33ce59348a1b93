// SPDX-License-Identifier: GPL-3.0-or-later
// A unary call, from its arrival to its end.
#ifndef NFMETER_SERVICE_GATE_UNARY_CALL_H_
#define NFMETER_SERVICE_GATE_UNARY_CALL_H_

#include <cstddef>
#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "google/protobuf/arena.h"
#include "google/protobuf/message.h"
#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/server_callback.h"
#include "security/access/access.h"
#include "service/gate/call.h"
#include "service/gate/gate.h"
#include "service/gate/memory_budget.h"

namespace nfmeter::service {

// A unary method as calls to it see it. Immutable.
class UnaryMethod {
 public:
  explicit UnaryMethod(const security::Method& listed) : listed_(listed) {}
  virtual ~UnaryMethod() = default;

  const security::Method& listed() const { return listed_; }

  using Message = google::protobuf::Message;
  virtual Message* NewRequest(google::protobuf::Arena* arena) const = 0;
  virtual Message* NewResponse(google::protobuf::Arena* arena) const = 0;
  virtual CallSubject SubjectOf(const Message& request) const = 0;
  // What serving this request takes; mostly what it takes by the table.
  virtual security::Work WorkOf(const Message& request) const = 0;
  // Fills the response, or says why not.
  virtual absl::Status Serve(const Call& call, const Message& request,
                             Message* response) const = 0;

 private:
  const security::Method& listed_;
};

// What gRPC tells of a call whose messages are bytes.
using BytesReactor =
    grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>;

// Carries one call, and deletes itself when that has ended. For gRPC it is a
// stream of one message in each direction, as only of streams gRPC 1.51 leaves
// it to the server when to read: the caller is known and let in before any of
// the message is. States, each left once:
//
//   arrived --let in--> read --parsed--> served --written--> done
//      |                                                      ^
//      +--refused; with a small message, the observers are----+
//         told what was asked for
class UnaryCall final : public BytesReactor {
 public:
  // Both must outlive the gRPC server.
  UnaryCall(Gate& gate, const UnaryMethod& method,
            grpc::CallbackServerContext& context);

 private:
  // Requests and answers of up to this many bytes need no memory of their own.
  static constexpr size_t kInlineBytes = MemoryBudget::kLeastBytes;
  // Those of methods that are served on gRPC's threads are small.
  static constexpr size_t kMaxAtOnceBytes = 64 << 10;

  // For a request and its answer.
  struct Room;

  ~UnaryCall() override;  // by itself only

  void OnReadDone(bool ok) override;
  void OnDone() override { delete this; }

  // Not let in, but what it asks for is told.
  void Refuse(bool has_message);
  // On a thread for this work.
  void Run(security::Work work);
  void RunOn(security::Work work);
  // RESOURCE_EXHAUSTED: the request is too large, or would be once parsed.
  absl::Status Parse();
  // Or ends it, with a status that is not OK.
  void Serve(absl::Status status);
  // With OK, answer_ is written.
  void End(const absl::Status& status);
  CallTrail& Trail();

  Gate& gate_;
  const Gate::Stay stay_{gate_};
  const UnaryMethod& method_;
  grpc::CallbackServerContext& context_;
  Gate::Arrival arrival_;
  std::optional<CallTrail> trail_;
  MemoryBudget::Hold held_;  // for the request, then the answer
  grpc::ByteBuffer bytes_;
  grpc::ByteBuffer answer_;
  // Made once there is a message: calls may be many that never send one.
  std::unique_ptr<Room> room_;
  google::protobuf::Message* request_ = nullptr;  // once parsed
};

}  // namespace nfmeter::service

#endif  // NFMETER_SERVICE_GATE_UNARY_CALL_H_
