// The snapshot and watch methods of Client.
#include <memory>
#include <utility>

#include "client/src/columns.h"
#include "client/src/connection.h"
#include "client/src/quota_stream.h"
#include "client/src/snapshot_builder.h"
#include "client/src/snapshot_stream.h"
#include "nfmeter/client.h"

namespace nfmeter {
namespace {

using client_internal::ChunkOrder;
using client_internal::Connection;
using client_internal::SnapshotBuilder;

// Reads the chunks of one stream. `add` returns an error to give the stream
// up, and that is then the result.
absl::Status ReadChunks(
    Connection& connection, const v1::GetSnapshotRequest& request,
    const CallOptions& options, absl::FunctionRef<void()> begin,
    absl::FunctionRef<absl::Status(std::shared_ptr<v1::GetSnapshotResponse>)>
        add) {
  absl::Status broken;
  const absl::Status status =
      connection.Call(options, [&](grpc::ClientContext* context) {
        begin();
        broken = absl::OkStatus();
        const auto reader =
            connection.snapshots().GetSnapshot(context, request);
        for (;;) {
          auto chunk = std::make_shared<v1::GetSnapshotResponse>();
          if (!reader->Read(chunk.get())) break;
          broken = add(std::move(chunk));
          if (!broken.ok()) {
            context->TryCancel();
            reader->Finish();
            return grpc::Status::OK;
          }
        }
        return reader->Finish();
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
  const absl::Status status = ReadChunks(
      *connection_, columns, options, [&] { builder = SnapshotBuilder(); },
      [&](std::shared_ptr<v1::GetSnapshotResponse> chunk) {
        // Owned by the response, shared as its frame.
        const v1::SnapshotFrame* frame = &chunk->frame();
        return builder.Add({std::move(chunk), frame});
      });
  if (!status.ok()) return status;
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
      [&](std::shared_ptr<v1::GetSnapshotResponse> chunk) {
        const v1::SnapshotFrame& frame = chunk->frame();
        if (all.last_chunk()) {
          return client_internal::BrokenSnapshot("more after the last chunk");
        }
        if (frame.restarted()) all.Clear();
        all.MergeFrom(frame);
        return order.Accept(frame);
      });
  if (!status.ok()) return status;
  if (!all.last_chunk()) {
    return client_internal::BrokenSnapshot("it ended before its last chunk");
  }
  if (all.complete() &&
      static_cast<int64_t>(all.expected_count()) != all.counters_size()) {
    return client_internal::BrokenSnapshot("counters are missing");
  }
  all.clear_chunk_index();
  all.clear_restarted();
  return all;
}

std::unique_ptr<SnapshotWatch> Client::WatchSnapshots(
    const v1::WatchSnapshotsRequest& request, const WatchOptions& options) {
  return std::make_unique<SnapshotWatch>(
      std::make_unique<client_internal::SnapshotStream>(connection_, request,
                                                        options));
}

std::unique_ptr<QuotaWatch> Client::WatchQuotaEvents(
    const v1::WatchQuotaEventsRequest& request, const WatchOptions& options) {
  return std::make_unique<QuotaWatch>(
      std::make_unique<client_internal::QuotaStream>(connection_, request,
                                                     options));
}

}  // namespace nfmeter
