// SPDX-License-Identifier: Apache-2.0
#include "client/src/raw_stream.h"

#include "grpcpp/support/byte_buffer.h"

namespace nfmeter::client_internal {

RawStream::RawStream(const std::shared_ptr<grpc::Channel>& channel,
                     grpc::ClientContext* context, const std::string& method,
                     const google::protobuf::Message& request) {
  grpc::GenericStub stub(channel);
  // The call goes out together with its request, and tells nothing of its own.
  context->set_initial_metadata_corked(true);
  call_ = stub.PrepareCall(context, method, &queue_);
  call_->StartCall(this);
  const grpc::Slice slice(request.SerializeAsString());
  call_->WriteLast(grpc::ByteBuffer(&slice, 1), grpc::WriteOptions(), this);
  open_ = Wait();
}

RawStream::~RawStream() {
  queue_.Shutdown();
  void* tag;
  bool ok;
  while (queue_.Next(&tag, &ok)) {
  }
}

std::shared_ptr<const grpc::Slice> RawStream::Read() {
  if (!open_) return nullptr;
  grpc::ByteBuffer buffer;
  call_->Read(&buffer, this);
  if (!Wait()) return nullptr;
  auto slice = std::make_shared<grpc::Slice>();
  if (!buffer.TrySingleSlice(slice.get()).ok() &&
      !buffer.DumpToSingleSlice(slice.get()).ok()) {
    return nullptr;
  }
  return slice;
}

grpc::Status RawStream::Finish() {
  grpc::Status status;
  call_->Finish(&status, this);
  Wait();
  return status;
}

bool RawStream::Wait() {
  void* tag;
  bool ok = false;
  queue_.Next(&tag, &ok);
  return ok;
}

}  // namespace nfmeter::client_internal
