// SPDX-License-Identifier: Apache-2.0
// A server stream whose messages are left encoded.
#ifndef NFMETER_CLIENT_SRC_RAW_STREAM_H_
#define NFMETER_CLIENT_SRC_RAW_STREAM_H_

#include <memory>
#include <string>

#include "google/protobuf/message.h"
#include "grpcpp/generic/generic_stub.h"
#include "grpcpp/grpcpp.h"

namespace nfmeter::client_internal {

// Used by one thread: opened, read until there is no more, finished.
class RawStream {
 public:
  // `context` must live longer; cancelling it ends the stream.
  RawStream(const std::shared_ptr<grpc::Channel>& channel,
            grpc::ClientContext* context, const std::string& method,
            const google::protobuf::Message& request);
  // Finish() must have been called.
  ~RawStream();
  RawStream(const RawStream&) = delete;
  RawStream& operator=(const RawStream&) = delete;

  // The next message in one piece; null: there is none.
  std::shared_ptr<const grpc::Slice> Read();

  // How the stream ended; once, last.
  grpc::Status Finish();

 private:
  // Waits for the one operation under way; whether it succeeded.
  bool Wait();

  grpc::CompletionQueue queue_;
  std::unique_ptr<grpc::GenericClientAsyncReaderWriter> call_;
  bool open_ = false;
};

}  // namespace nfmeter::client_internal

#endif  // NFMETER_CLIENT_SRC_RAW_STREAM_H_
