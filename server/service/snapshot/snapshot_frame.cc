// SPDX-License-Identifier: GPL-3.0-or-later
#include "service/snapshot/snapshot_frame.h"

#include <algorithm>
#include <utility>

#include "service/gate/time_message.h"
#include "service/snapshot/snapshot_columns.h"
#include "service/snapshot/snapshot_rows.h"

namespace nfmeter::service {
namespace {

// At most so many removals a message.
constexpr size_t kRemovalsPerMessage = 4096;

v1::SnapshotFrame MakeHeader(const FrameEncoder::Options& options) {
  const accounting::Snapshot& snapshot = *options.snapshot;
  v1::SnapshotFrame header;
  header.set_epoch(snapshot.epoch);
  header.set_sequence(snapshot.sequence);
  ToProto(snapshot.wall_time, header.mutable_wall_time());
  ToProto(snapshot.boottime, header.mutable_boottime());
  header.set_full(options.full);
  header.set_restarted(options.restarted);
  return header;
}

}  // namespace

std::unique_ptr<FrameEncoder> FrameEncoder::Create(v1::SnapshotView view,
                                                   Options options,
                                                   const Context& context,
                                                   OnMessage on_message) {
  if (view == v1::SNAPSHOT_VIEW_COLUMNS) {
    return std::make_unique<ColumnsEncoder>(std::move(options), context,
                                            std::move(on_message));
  }
  return std::make_unique<RowsEncoder>(std::move(options), context,
                                       std::move(on_message));
}

FrameEncoder::FrameEncoder(Options options, OnMessage on_message)
    : options_(std::move(options)),
      on_message_(std::move(on_message)),
      header_(MakeHeader(options_)) {}

void FrameEncoder::Flush() {
  if (HasPending()) Write(/*last=*/false);
}

void FrameEncoder::Finish(bool complete, size_t matched,
                          absl::Span<const uint32_t> removed_ids) {
  while (removed_ids.size() > kRemovalsPerMessage) {
    AddRemoved(removed_ids.subspan(0, kRemovalsPerMessage));
    removed_ids.remove_prefix(kRemovalsPerMessage);
    Flush();
  }
  AddRemoved(removed_ids);
  header_.set_complete(complete);
  header_.set_expected_count(static_cast<uint32_t>(matched));
  header_.set_last_chunk(true);
  Write(/*last=*/true);
}

void FrameEncoder::Write(bool last) {
  on_message_(Encode(header_));
  if (last) return;
  header_.set_chunk_index(header_.chunk_index() + 1);
  header_.set_restarted(false);
}

}  // namespace nfmeter::service
