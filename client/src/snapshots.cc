// SPDX-License-Identifier: Apache-2.0
// Client's methods of snapshots.
#include <memory>
#include <utility>

#include "client/src/columns.h"
#include "client/src/connection.h"
#include "client/src/raw_stream.h"
#include "client/src/snapshot_builder.h"
#include "client/src/status_macros.h"
#include "nfmeter/client.h"

namespace nfmeter {
namespace {

using client_internal::BrokenSnapshot;
using client_internal::CheckText;
using client_internal::ChunkOrder;
using client_internal::Connection;
using client_internal::RawStream;
using client_internal::SnapshotBuilder;

constexpr char kGetSnapshot[] = "/nfmeter.v1.SnapshotService/GetSnapshot";

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
