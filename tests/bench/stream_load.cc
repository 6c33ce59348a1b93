// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/bench/stream_load.h"

#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "grpcpp/client_context.h"
#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/client_callback.h"
#include "tests/bench/daemon.h"

namespace nfmeter::bench {

class StreamLoad::Stream final
    : public grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  Stream(StreamLoad& load, bool reads) : load_(load), reads_(reads) {}

  void Start(grpc::GenericStub& stub, const std::string& method,
             const std::string& request) {
    const grpc::Slice slice(request);
    request_ = grpc::ByteBuffer(&slice, 1);
    stub.PrepareBidiStreamingCall(&context_, method, {}, this);
    StartWriteLast(&request_, grpc::WriteOptions());
    if (reads_) StartRead(&message_);
    // A stalled stream has nothing in flight and would end at once; the hold
    // keeps it.
    AddHold();
    StartCall();
  }

  void Cancel() { context_.TryCancel(); }
  void AwaitEnd() {
    RemoveHold();
    done_.WaitForNotification();
  }

  void OnReadDone(bool ok) override {
    if (!ok) {
      load_.ended_.fetch_add(1);
      return;
    }
    load_.bytes_.fetch_add(message_.Length());
    load_.messages_.fetch_add(1);
    StartRead(&message_);
  }
  void OnDone(const grpc::Status&) override { done_.Notify(); }

 private:
  StreamLoad& load_;
  const bool reads_;
  grpc::ClientContext context_;
  grpc::ByteBuffer request_;
  grpc::ByteBuffer message_;
  absl::Notification done_;
};

StreamLoad::StreamLoad(const std::string& address, const std::string& method,
                       const google::protobuf::MessageLite& request,
                       const Options& options) {
  const std::string bytes = request.SerializeAsString();
  for (size_t i = 0; i < options.streams; ++i) {
    if (i % options.streams_per_connection == 0) {
      channels_.push_back(ConnectTo(address));
      stubs_.push_back(std::make_unique<grpc::GenericStub>(channels_.back()));
    }
    // Stalled ones are spread over the connections.
    const bool stalled = i * options.stalled / options.streams !=
                         (i + 1) * options.stalled / options.streams;
    streams_.push_back(std::make_unique<Stream>(*this, !stalled));
    streams_.back()->Start(*stubs_.back(), method, bytes);
  }
}

StreamLoad::~StreamLoad() {
  for (auto& stream : streams_) stream->Cancel();
  for (auto& stream : streams_) stream->AwaitEnd();
}

bool StreamLoad::AwaitMessages(size_t count, absl::Duration timeout) {
  const size_t goal = messages_.load() + count;
  const absl::Time deadline = absl::Now() + timeout;
  while (messages_.load() < goal) {
    if (absl::Now() >= deadline) return false;
    absl::SleepFor(absl::Milliseconds(1));
  }
  return true;
}

}  // namespace nfmeter::bench
