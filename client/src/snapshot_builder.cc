#include "client/src/snapshot_builder.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/src/proto_time.h"

namespace nfmeter::client_internal {

absl::Status SnapshotBuilder::Add(
    std::shared_ptr<const v1::SnapshotFrame> chunk) {
  if (done_) return BrokenSnapshot("more after the last chunk");
  if (chunk->restarted()) StartAgain();
  if (absl::Status status = order_.Accept(*chunk); !status.ok()) return status;
  const v1::SnapshotColumns& columns = chunk->columns();
  if (absl::Status status = CheckColumns(columns); !status.ok()) return status;
  if (absl::Status status = AddNames(columns); !status.ok()) return status;
  const auto ids = AsSpan(columns.ids());
  ids_.insert(ids_.end(), ids.begin(), ids.end());
  snapshot_.packets.insert(snapshot_.packets.end(), columns.packets().begin(),
                           columns.packets().end());
  snapshot_.bytes.insert(snapshot_.bytes.end(), columns.bytes().begin(),
                         columns.bytes().end());
  AppendExceeded(ids, AsSpan(columns.exceeded_ids()), &snapshot_.exceeded);
  snapshot_.epoch = chunk->epoch();
  snapshot_.sequence = chunk->sequence();
  snapshot_.wall_time = FromProto(chunk->wall_time());
  snapshot_.boottime = FromProto(chunk->boottime());
  snapshot_.complete = chunk->complete();
  done_ = chunk->last_chunk();
  if (done_ && chunk->complete() &&
      chunk->expected_count() != snapshot_.size()) {
    return BrokenSnapshot(absl::StrCat(
        snapshot_.size(), " counters instead of ", chunk->expected_count()));
  }
  snapshot_.storage.push_back(std::move(chunk));
  return absl::OkStatus();
}

absl::Status SnapshotBuilder::AddNames(const v1::SnapshotColumns& columns) {
  const auto ids = AsSpan(columns.ids());
  const auto new_ids = IdsOfNewNames(columns);
  if (!names_by_id_) {
    // All rows are new to the stream and named in their order.
    if (new_ids == ids) {
      return SplitNames(columns.new_names(), ids.size(), &snapshot_.names);
    }
    LearnRows();
  }
  std::vector<absl::string_view> new_names;
  absl::Status status =
      SplitNames(columns.new_names(), new_ids.size(), &new_names);
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
  for (size_t i = 0; i < ids_.size(); ++i) {
    names_.emplace(ids_[i], snapshot_.names[i]);
  }
}

void SnapshotBuilder::StartAgain() {
  // Names that the stream has sent, it does not send again.
  LearnRows();
  auto storage = std::move(snapshot_.storage);
  snapshot_ = Snapshot();
  snapshot_.storage = std::move(storage);
  ids_.clear();
}

absl::StatusOr<Snapshot> SnapshotBuilder::Finish() {
  if (!done_) return BrokenSnapshot("it ended before its last chunk");
  return std::move(snapshot_);
}

}  // namespace nfmeter::client_internal
