// SPDX-License-Identifier: Apache-2.0
#include "client/src/snapshot_builder.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "client/src/proto_time.h"

namespace nfmeter::client_internal {

absl::Status SnapshotBuilder::Add(absl::string_view wire,
                                  std::shared_ptr<const void> storage) {
  if (done_) return BrokenSnapshot("more after the last chunk");
  const size_t before = ids_.size();
  ColumnExtras extras;
  v1::SnapshotFrame frame;
  absl::Status status = DecodeChunk(
      wire, {&ids_, &snapshot_.packets, &snapshot_.bytes}, &extras, &frame);
  if (!status.ok()) return status;
  snapshot_.storage.push_back(std::move(storage));
  if (frame.restarted()) Forget(before);
  status = order_.Accept(frame);
  if (!status.ok()) return status;
  status = TakeRows(frame.restarted() ? 0 : before, extras);
  if (!status.ok()) return status;
  snapshot_.epoch = frame.epoch();
  snapshot_.sequence = frame.sequence();
  snapshot_.wall_time = FromProto(frame.wall_time());
  snapshot_.boottime = FromProto(frame.boottime());
  snapshot_.complete = frame.complete();
  done_ = frame.last_chunk();
  if (done_ && frame.complete() && frame.expected_count() != snapshot_.size()) {
    return BrokenSnapshot(absl::StrCat(
        snapshot_.size(), " counters instead of ", frame.expected_count()));
  }
  return absl::OkStatus();
}

absl::Status SnapshotBuilder::TakeRows(size_t first,
                                       const ColumnExtras& extras) {
  if (snapshot_.packets.size() != ids_.size() ||
      snapshot_.bytes.size() != ids_.size()) {
    return BrokenSnapshot(
        absl::StrCat("columns of different lengths: ", ids_.size(), " ids, ",
                     snapshot_.packets.size(), " packets, ",
                     snapshot_.bytes.size(), " bytes"));
  }
  const auto ids = absl::MakeConstSpan(ids_).subspan(first);
  AppendExceeded(ids, extras.exceeded_ids, &snapshot_.exceeded);
  return AddNames(ids, extras);
}

absl::Status SnapshotBuilder::AddNames(absl::Span<const uint32_t> ids,
                                       const ColumnExtras& extras) {
  absl::Span<const uint32_t> new_ids = extras.new_ids;
  if (new_ids.empty() && !extras.new_names.empty()) new_ids = ids;
  if (!names_by_id_) {
    // All rows are new to the stream and named in their order.
    if (new_ids == ids) {
      return SplitNames(extras.new_names, ids.size(), &snapshot_.names);
    }
    LearnRows();
  }
  std::vector<absl::string_view> new_names;
  absl::Status status =
      SplitNames(extras.new_names, new_ids.size(), &new_names);
  if (!status.ok()) return status;
  for (size_t i = 0; i < new_ids.size(); ++i) names_[new_ids[i]] = new_names[i];
  for (const uint32_t id : ids) {
    const auto name = names_.find(id);
    if (name == names_.end()) {
      return BrokenSnapshot(absl::StrCat("no name for id ", id));
    }
    snapshot_.names.push_back(name->second);
  }
  return absl::OkStatus();
}

void SnapshotBuilder::LearnRows() {
  names_by_id_ = true;
  for (size_t i = 0; i < snapshot_.names.size(); ++i) {
    names_[ids_[i]] = snapshot_.names[i];
  }
}

void SnapshotBuilder::Forget(size_t rows) {
  // Names that the stream has sent, it does not send again.
  LearnRows();
  ids_.erase(ids_.begin(), ids_.begin() + rows);
  snapshot_.packets.erase(snapshot_.packets.begin(),
                          snapshot_.packets.begin() + rows);
  snapshot_.bytes.erase(snapshot_.bytes.begin(),
                        snapshot_.bytes.begin() + rows);
  snapshot_.names.clear();
  snapshot_.exceeded.clear();
}

absl::StatusOr<Snapshot> SnapshotBuilder::Finish() {
  if (!done_) return BrokenSnapshot("it ended before its last chunk");
  return std::move(snapshot_);
}

}  // namespace nfmeter::client_internal
