// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/bench/bare_stream.h"

#include <iostream>
#include <unordered_set>

#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "grpcpp/security/server_credentials.h"
#include "grpcpp/server.h"
#include "grpcpp/server_builder.h"
#include "nfmeter/v1/snapshot.grpc.pb.h"

namespace nfmeter::bench {
namespace {

class BareStreams final
    : public v1::SnapshotService::WithRawCallbackMethod_WatchSnapshots<
          v1::SnapshotService::Service> {
 public:
  explicit BareStreams(size_t bytes) {
    const grpc::Slice slice(std::string(bytes, 'x'));
    message_ = grpc::ByteBuffer(&slice, 1);
  }

  grpc::ServerWriteReactor<grpc::ByteBuffer>* WatchSnapshots(
      grpc::CallbackServerContext*, const grpc::ByteBuffer*) override {
    auto* stream = new Stream(*this);
    absl::MutexLock lock(&mutex_);
    streams_.insert(stream);
    return stream;
  }

  // One message to every stream that is not still writing the last one.
  void Tick() {
    absl::MutexLock lock(&mutex_);
    for (Stream* stream : streams_) stream->Send(message_);
  }

 private:
  class Stream final : public grpc::ServerWriteReactor<grpc::ByteBuffer> {
   public:
    explicit Stream(BareStreams& streams) : streams_(streams) {}

    // Called with the mutex of the streams held.
    void Send(const grpc::ByteBuffer& message) {
      if (writing_ || cancelled_) return;
      writing_ = true;
      StartWrite(&message);
    }
    void OnWriteDone(bool) override {
      absl::MutexLock lock(&streams_.mutex_);
      writing_ = false;
    }
    void OnCancel() override {
      {
        absl::MutexLock lock(&streams_.mutex_);
        cancelled_ = true;
      }
      Finish(grpc::Status::CANCELLED);
    }
    void OnDone() override {
      {
        absl::MutexLock lock(&streams_.mutex_);
        streams_.streams_.erase(this);
      }
      delete this;
    }

   private:
    BareStreams& streams_;
    bool writing_ = false;
    bool cancelled_ = false;
  };

  absl::Mutex mutex_;
  std::unordered_set<Stream*> streams_;
  grpc::ByteBuffer message_;
};

}  // namespace

int ServeBareStreams(const std::string& address, size_t bytes,
                     absl::Duration interval) {
  BareStreams service(bytes);
  grpc::ServerBuilder builder;
  builder.AddListeningPort(address, grpc::InsecureServerCredentials());
  builder.RegisterService(&service);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr) {
    std::cerr << "can't listen on " << address << "\n";
    return 1;
  }
  for (absl::Time next = absl::Now();; next += interval) {
    absl::SleepFor(next - absl::Now());
    service.Tick();
  }
}

}  // namespace nfmeter::bench
