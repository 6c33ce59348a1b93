// SPDX-License-Identifier: GPL-3.0-or-later
// SNAPSHOT_VIEW_ROWS.
#ifndef NFMETER_SERVICE_SNAPSHOT_SNAPSHOT_ROWS_H_
#define NFMETER_SERVICE_SNAPSHOT_SNAPSHOT_ROWS_H_

#include <cstddef>

#include "google/protobuf/arena.h"
#include "service/snapshot/snapshot_frame.h"

namespace nfmeter::service {

// Counter messages on an arena.
class RowsEncoder final : public FrameEncoder {
 public:
  RowsEncoder(Options options, const Context& context, OnMessage on_message);

  void Add(const RowSelection& rows) override;

 private:
  bool HasPending() const override {
    return response_ != nullptr &&
           (response_->frame().counters_size() != 0 ||
            response_->frame().removed_names_size() != 0);
  }
  void AddRemoved(absl::Span<const uint32_t> ids) override;
  grpc::Slice Encode(const v1::SnapshotFrame& header) override;

  v1::SnapshotFrame& Frame();
  void AddRow(const accounting::SnapshotChunk& chunk, uint32_t row,
              const accounting::SnapshotChunk::QuotaRow* quota);

  const accounting::Counters& counters_;
  google::protobuf::Arena arena_;
  v1::GetSnapshotResponse* response_ = nullptr;  // what is pending
  size_t pending_bytes_ = 0;
};

}  // namespace nfmeter::service

#endif  // NFMETER_SERVICE_SNAPSHOT_SNAPSHOT_ROWS_H_
