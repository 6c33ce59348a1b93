// SPDX-License-Identifier: GPL-3.0-or-later
#include "service/snapshot/snapshot_rows.h"

#include <utility>

#include "service/gate/counter_message.h"

namespace nfmeter::service {

RowsEncoder::RowsEncoder(Options options, const Context& context,
                         OnMessage on_message)
    : FrameEncoder(std::move(options), std::move(on_message)),
      counters_(context.counters) {}

v1::SnapshotFrame& RowsEncoder::Frame() {
  if (response_ == nullptr) {
    response_ = google::protobuf::Arena::CreateMessage<v1::GetSnapshotResponse>(
        &arena_);
  }
  return *response_->mutable_frame();
}

void RowsEncoder::Add(const RowSelection& selection) {
  const accounting::SnapshotChunk& chunk = *selection.chunk;
  auto quota = chunk.quotas.begin();
  for (size_t i = 0; i < selection.size(); ++i) {
    const uint32_t row =
        selection.rows ? (*selection.rows)[i] : static_cast<uint32_t>(i);
    while (quota != chunk.quotas.end() && quota->row < row) ++quota;
    const bool limited = quota != chunk.quotas.end() && quota->row == row;
    AddRow(chunk, row, limited ? &*quota : nullptr);
  }
}

void RowsEncoder::AddRow(const accounting::SnapshotChunk& chunk, uint32_t row,
                         const accounting::SnapshotChunk::QuotaRow* quota) {
  kernel::AcctObject object = {
      .name = std::string(names().KernelName(chunk.ids()[row])),
      .packets = chunk.packets[row],
      .bytes = chunk.bytes[row],
      .use_count = chunk.use_counts[row]};
  if (quota != nullptr) {
    object.quota = quota->limit;
    object.quota_exceeded = quota->exceeded;
  }
  const accounting::Counter counter = counters_.Describe(
      std::move(object),
      {options_.snapshot->wall_time, options_.snapshot->boottime});

  v1::Counter* const proto = Frame().add_counters();
  ToProto(counter, proto);
  pending_bytes_ += proto->ByteSizeLong() + 4;
  if (pending_bytes_ >= kFrameMessageBytes) Flush();
}

void RowsEncoder::AddRemoved(absl::Span<const uint32_t> ids) {
  for (const uint32_t id : ids) {
    Frame().add_removed_names(std::string(names().Shown(id)));
  }
}

grpc::Slice RowsEncoder::Encode(const v1::SnapshotFrame& header) {
  Frame().MergeFrom(header);
  grpc::Slice message(response_->ByteSizeLong());
  // The slice is ours alone until it is returned.
  response_->SerializeWithCachedSizesToArray(
      const_cast<uint8_t*>(message.begin()));
  response_ = nullptr;
  arena_.Reset();
  pending_bytes_ = 0;
  return message;
}

}  // namespace nfmeter::service
