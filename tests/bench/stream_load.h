// SPDX-License-Identifier: GPL-3.0-or-later
// Many subscribers at once, as cheap for this side as gRPC allows.
#ifndef NFMETER_TESTS_BENCH_STREAM_LOAD_H_
#define NFMETER_TESTS_BENCH_STREAM_LOAD_H_

#include <atomic>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "google/protobuf/message_lite.h"
#include "grpcpp/channel.h"
#include "grpcpp/generic/generic_stub.h"

namespace nfmeter::bench {

// Streams of one method whose messages are received and thrown away. Ends them
// all, and waits for that, when destroyed.
class StreamLoad {
 public:
  struct Options {
    size_t streams = 1;
    // Of the streams, those that read nothing after their start.
    size_t stalled = 0;
    size_t streams_per_connection = 100;
  };

  StreamLoad(const std::string& address, const std::string& method,
             const google::protobuf::MessageLite& request,
             const Options& options);
  ~StreamLoad();

  // Waits until all reading streams together have received `count` messages
  // more; false at the timeout.
  bool AwaitMessages(size_t count, absl::Duration timeout);
  // Received so far by all streams together.
  size_t messages() const { return messages_.load(); }
  size_t bytes() const { return bytes_.load(); }
  // Streams that the server has ended; for errors.
  size_t ended() const { return ended_.load(); }

 private:
  class Stream;

  std::atomic<size_t> messages_{0};
  std::atomic<size_t> bytes_{0};
  std::atomic<size_t> ended_{0};
  std::vector<std::shared_ptr<grpc::Channel>> channels_;
  std::vector<std::unique_ptr<grpc::GenericStub>> stubs_;
  std::vector<std::unique_ptr<Stream>> streams_;
};

}  // namespace nfmeter::bench

#endif  // NFMETER_TESTS_BENCH_STREAM_LOAD_H_
