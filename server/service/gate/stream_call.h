// SPDX-License-Identifier: GPL-3.0-or-later
// A call whose answer is a stream, as gRPC sees it.
#ifndef NFMETER_SERVICE_GATE_STREAM_CALL_H_
#define NFMETER_SERVICE_GATE_STREAM_CALL_H_

#include <cstddef>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "google/protobuf/arena.h"
#include "google/protobuf/message.h"
#include "grpcpp/support/byte_buffer.h"
#include "security/access/access.h"
#include "service/gate/call.h"
#include "service/gate/gate.h"
#include "service/gate/memory_budget.h"
#include "service/gate/unary_call.h"

namespace nfmeter::service {

class MessageStream;

// A method that streams its answer, as calls to it see it. Immutable.
class StreamMethod {
 public:
  explicit StreamMethod(const security::Method& listed) : listed_(listed) {}
  virtual ~StreamMethod() = default;

  const security::Method& listed() const { return listed_; }

  using Message = google::protobuf::Message;
  virtual Message* NewRequest(google::protobuf::Arena* arena) const = 0;
  virtual CallSubject SubjectOf(const Message& request) const = 0;
  // Hands a stream to StreamSet::Start(), with the call, or says why not.
  virtual absl::Status Open(const Call& call, const Message& request) const = 0;

 private:
  const security::Method& listed_;
};

// Carries one such call, and deletes itself when it has ended. Like UnaryCall
// it reads the request once the caller is let in. What is written, and when,
// the MessageStream says, and whether more messages of the client are read.
class StreamCall final : public BytesReactor {
 public:
  // Requests for streams are served where gRPC hands them over, and what they
  // ask for is kept as long as the stream: they are small.
  static constexpr size_t kMaxRequestBytes = 64 << 10;

  // Both must outlive the gRPC server.
  StreamCall(Gate& gate, const StreamMethod& method,
             grpc::CallbackServerContext& context);

  // Of the server, and this caller's name in it.
  MemoryBudget& memory() { return gate_.memory(); }
  const std::string& principal() const { return call_->caller->principal; }

  // What the stream remembers besides its request, in bytes, is held until the
  // call ends. Once. RESOURCE_EXHAUSTED, TOO_MUCH_HELD.
  absl::Status Remember(size_t bytes) {
    return memory().Take(principal(), bytes, remembered_);
  }

  // From now on the call is this stream's. Once.
  void Attach(std::shared_ptr<MessageStream> stream);

 private:
  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

  absl::Status Open(bool has_message);
  void Hear(MessageStream& stream, bool has_message);
  std::shared_ptr<MessageStream> stream();

  Gate& gate_;
  const Gate::Stay stay_{gate_};
  const StreamMethod& method_;
  grpc::CallbackServerContext& context_;
  absl::StatusOr<Call> call_;
  MemoryBudget::Hold held_;  // for the request, filters and all
  MemoryBudget::Hold remembered_;
  grpc::ByteBuffer bytes_;
  absl::Mutex mutex_;
  std::shared_ptr<MessageStream> stream_ ABSL_GUARDED_BY(mutex_);
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace nfmeter::service

#endif  // NFMETER_SERVICE_GATE_STREAM_CALL_H_
