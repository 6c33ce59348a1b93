// SPDX-License-Identifier: Apache-2.0
// Client's methods of snapshots.
#include <memory>
#include <utility>

#include "client/src/columns.h"
#include "client/src/connection.h"
#include "client/src/snapshot_builder.h"
#include "client/src/status_macros.h"
#include "google/protobuf/message.h"
#include "grpcpp/generic/generic_stub.h"
#include "grpcpp/grpcpp.h"
#include "grpcpp/support/byte_buffer.h"
#include "nfmeter/client.h"

namespace nfmeter {
namespace {

using client_internal::BrokenSnapshot;
using client_internal::CheckText;
using client_internal::ChunkOrder;
using client_internal::Connection;
using client_internal::SnapshotBuilder;

constexpr char kGetSnapshot[] = "/nfmeter.v1.SnapshotService/GetSnapshot";

// A server stream whose messages are left encoded.
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

using EncodedChunk = std::shared_ptr<const grpc::Slice>;

absl::string_view Bytes(const EncodedChunk& chunk) {
  return {reinterpret_cast<const char*>(chunk->begin()), chunk->size()};
}

// Reads the chunks of one stream, again from the start (`begin`) when it is
// retried. `add` returns an error to give the stream up, and that is then the
// result.
absl::Status ReadChunks(Connection& connection,
                        const v1::GetSnapshotRequest& request,
                        const CallOptions& options,
                        absl::FunctionRef<void()> begin,
                        absl::FunctionRef<absl::Status(EncodedChunk)> add) {
  NFM_RETURN_IF_ERROR(CheckText(request));
  absl::Status broken;
  const absl::Status status =
      connection.Call(options, [&](grpc::ClientContext* context) {
        begin();
        broken = absl::OkStatus();
        RawStream stream(connection.channel(), context, kGetSnapshot, request);
        while (EncodedChunk chunk = stream.Read()) {
          broken = add(std::move(chunk));
          if (broken.ok()) continue;
          context->TryCancel();
          stream.Finish();
          return grpc::Status::OK;
        }
        return stream.Finish();
      });
  return status.ok() ? broken : status;
}

}  // namespace

std::optional<size_t> Snapshot::Find(absl::string_view name) const {
  for (size_t i = 0; i < names.size(); ++i) {
    if (names[i] == name) return i;
  }
  return std::nullopt;
}

absl::StatusOr<Snapshot> Client::GetSnapshot(
    const v1::GetSnapshotRequest& request, const CallOptions& options) {
  v1::GetSnapshotRequest columns = request;
  columns.set_view(v1::SNAPSHOT_VIEW_COLUMNS);
  SnapshotBuilder builder;
  NFM_RETURN_IF_ERROR(ReadChunks(
      *connection_, columns, options, [&] { builder = SnapshotBuilder(); },
      [&](EncodedChunk chunk) { return builder.Add(Bytes(chunk), chunk); }));
  return builder.Finish();
}

absl::StatusOr<v1::SnapshotFrame> Client::GetSnapshotRows(
    const v1::GetSnapshotRequest& request, const CallOptions& options) {
  v1::GetSnapshotRequest rows = request;
  rows.set_view(v1::SNAPSHOT_VIEW_ROWS);
  v1::SnapshotFrame all;
  ChunkOrder order;
  const absl::Status status = ReadChunks(
      *connection_, rows, options,
      [&] {
        all.Clear();
        order = ChunkOrder();
      },
      [&](EncodedChunk chunk) {
        v1::GetSnapshotResponse response;
        if (!response.ParseFromArray(chunk->begin(), chunk->size())) {
          return BrokenSnapshot("a message that can't be decoded");
        }
        const v1::SnapshotFrame& frame = response.frame();
        if (all.last_chunk()) {
          return BrokenSnapshot("more after the last chunk");
        }
        if (frame.restarted()) all.Clear();
        all.MergeFrom(frame);
        return order.Accept(frame);
      });
  if (!status.ok()) return status;
  if (!all.last_chunk()) {
    return BrokenSnapshot("it ended before its last chunk");
  }
  if (all.complete() &&
      static_cast<int64_t>(all.expected_count()) != all.counters_size()) {
    return BrokenSnapshot("counters are missing");
  }
  all.clear_chunk_index();
  all.clear_restarted();
  return all;
}

}  // namespace nfmeter
