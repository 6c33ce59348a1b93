// SPDX-License-Identifier: Apache-2.0
#include "client/src/snapshot_table.h"

#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/src/columns.h"
#include "client/src/status_macros.h"

namespace nfmeter::client_internal {

void SnapshotTable::StartStream() {
  std::move(names_.begin(), names_.end(), std::back_inserter(old_names_));
  names_.clear();
  known_.clear();
  local_ids_.clear();
  ids_.assign(rows_.size(), kOrphan);
  Reindex();
  stream_is_new_ = true;
}

absl::Status SnapshotTable::Apply(const Chunks& chunks) {
  Frame frame;
  NFM_RETURN_IF_ERROR(Collect(chunks, &frame));
  if (stream_is_new_ && !frame.full) {
    return BrokenSnapshot("the first frame of a stream is not full");
  }
  stream_is_new_ = false;
  for (const uint32_t row : changed_) {
    rows_[row].previous_packets = rows_[row].packets;
    rows_[row].previous_bytes = rows_[row].bytes;
  }
  changed_.clear();
  removed_.clear();
  // The common case: the same counters in the same order, all known.
  if (frame.full && orphans_.empty() && frame.ids == ids_) {
    ApplyInPlace(frame);
    return absl::OkStatus();
  }
  NFM_RETURN_IF_ERROR(CheckNamed(frame));
  absl::Status status = frame.full ? ApplyFull(frame) : ApplyDelta(frame);
  if (orphans_.empty()) old_names_.clear();
  return status;
}

absl::Status SnapshotTable::Collect(const Chunks& chunks, Frame* frame) {
  for (const auto& chunk : chunks) {
    NFM_RETURN_IF_ERROR(CollectColumns(chunk->columns(), frame));
    CollectRows(chunk, frame);
    frame->full = chunk->full();
    frame->complete = chunk->complete();
  }
  return absl::OkStatus();
}

absl::Status SnapshotTable::CheckNamed(const Frame& frame) const {
  for (const uint32_t id : frame.ids) {
    if (!known_.contains(id) || id == kOrphan) {
      return BrokenSnapshot(absl::StrCat("no name for id ", id));
    }
  }
  return absl::OkStatus();
}

absl::Status SnapshotTable::CollectColumns(const v1::SnapshotColumns& columns,
                                           Frame* frame) {
  NFM_RETURN_IF_ERROR(CheckColumns(columns));
  const auto ids = AsSpan(columns.ids());
  const auto packets = AsSpan(columns.packets());
  const auto bytes = AsSpan(columns.bytes());
  const auto total_packets = AsSpan(columns.total_packets());
  const auto total_bytes = AsSpan(columns.total_bytes());
  const auto removed = AsSpan(columns.removed_ids());
  frame->ids.insert(frame->ids.end(), ids.begin(), ids.end());
  frame->packets.insert(frame->packets.end(), packets.begin(), packets.end());
  frame->bytes.insert(frame->bytes.end(), bytes.begin(), bytes.end());
  frame->total_packets.insert(frame->total_packets.end(), total_packets.begin(),
                              total_packets.end());
  frame->total_bytes.insert(frame->total_bytes.end(), total_bytes.begin(),
                            total_bytes.end());
  frame->removed.insert(frame->removed.end(), removed.begin(), removed.end());
  AppendExceeded(ids, AsSpan(columns.exceeded_ids()), &frame->exceeded);
  if (columns.new_names().empty()) return absl::OkStatus();
  const auto new_ids = IdsOfNewNames(columns);
  std::vector<absl::string_view> names;
  NFM_RETURN_IF_ERROR(
      SplitNames(KeepText(columns.new_names()), new_ids.size(), &names));
  for (size_t i = 0; i < names.size(); ++i) known_[new_ids[i]].name = names[i];
  return absl::OkStatus();
}

void SnapshotTable::CollectRows(
    const std::shared_ptr<const v1::SnapshotFrame>& chunk, Frame* frame) {
  for (const v1::Counter& counter : chunk->counters()) {
    frame->ids.push_back(LocalId(counter.name()));
    frame->packets.push_back(counter.packets());
    frame->bytes.push_back(counter.bytes());
    frame->total_packets.push_back(counter.total_packets());
    frame->total_bytes.push_back(counter.total_bytes());
    frame->exceeded.push_back(counter.quota().exceeded());
    frame->counters.emplace_back(chunk, &counter);
  }
  for (const std::string& name : chunk->removed_names()) {
    frame->removed.push_back(LocalId(name));
  }
}

uint32_t SnapshotTable::LocalId(const std::string& name) {
  if (const auto id = local_ids_.find(name); id != local_ids_.end()) {
    return id->second;
  }
  const uint32_t id = local_ids_.size();
  const absl::string_view kept = KeepText(name);
  local_ids_[kept] = id;
  known_[id].name = kept;
  return id;
}

absl::string_view SnapshotTable::KeepText(const std::string& text) {
  names_.push_back(std::make_unique<const std::string>(text));
  return *names_.back();
}

void SnapshotTable::ApplyInPlace(const Frame& frame) {
  for (size_t i = 0; i < frame.ids.size(); ++i) Update(frame, i, i, false);
}

// Builds the rows anew in the order of the frame.
absl::Status SnapshotTable::ApplyFull(const Frame& frame) {
  ++full_frames_;
  const std::vector<CounterRow> old_rows = std::move(rows_);
  const std::vector<uint32_t> old_ids = std::move(ids_);
  const auto old_counters = std::move(counters_);
  std::vector<bool> gone(old_rows.size(), true);
  rows_.clear();
  counters_.clear();
  ids_ = frame.ids;
  rows_.reserve(frame.ids.size());
  for (size_t i = 0; i < frame.ids.size(); ++i) {
    Known& known = known_[frame.ids[i]];
    if (known.full_frame == full_frames_) {
      return BrokenSnapshot(absl::StrCat("counter ", known.name, " twice"));
    }
    known.full_frame = full_frames_;
    const auto old = known.row.has_value() ? known.row : TakeOrphan(known.name);
    rows_.push_back(old.has_value() ? old_rows[*old] : CounterRow());
    rows_.back().name = known.name;
    if (old.has_value()) gone[*old] = false;
    Update(frame, i, i, !old.has_value());
  }
  for (size_t i = 0; i < old_rows.size(); ++i) {
    if (!gone[i]) continue;
    if (old_ids[i] != kOrphan) known_[old_ids[i]].row.reset();
    if (frame.complete) {
      removed_.emplace_back(old_rows[i].name);
      continue;
    }
    // Absence means nothing: it stays as it was.
    if (!old_counters.empty()) {
      counters_.resize(rows_.size());
      counters_.push_back(old_counters[i]);
    }
    rows_.push_back(old_rows[i]);
    ids_.push_back(old_ids[i]);
  }
  Reindex();
  return absl::OkStatus();
}

absl::Status SnapshotTable::ApplyDelta(const Frame& frame) {
  if (!frame.removed.empty()) {
    std::vector<bool> gone(rows_.size(), false);
    for (const uint32_t id : frame.removed) {
      const auto known = known_.find(id);
      if (known == known_.end() || !known->second.row.has_value()) continue;
      gone[*known->second.row] = true;
      removed_.emplace_back(known->second.name);
      known->second.row.reset();
    }
    RemoveRows(gone);
  }
  for (size_t i = 0; i < frame.ids.size(); ++i) {
    Known& known = known_[frame.ids[i]];
    bool is_new = false;
    if (!known.row.has_value()) known.row = TakeOrphan(known.name);
    if (!known.row.has_value()) {
      known.row = rows_.size();
      rows_.emplace_back();
      ids_.push_back(frame.ids[i]);
      is_new = true;
    }
    ids_[*known.row] = frame.ids[i];
    rows_[*known.row].name = known.name;
    Update(frame, i, *known.row, is_new);
  }
  return absl::OkStatus();
}

std::optional<uint32_t> SnapshotTable::TakeOrphan(absl::string_view name) {
  const auto orphan = orphans_.find(name);
  if (orphan == orphans_.end()) return std::nullopt;
  const uint32_t row = orphan->second;
  orphans_.erase(orphan);
  return row;
}

void SnapshotTable::Update(const Frame& frame, size_t i, uint32_t row,
                           bool is_new) {
  CounterRow& current = rows_[row];
  const bool exceeded = frame.exceeded[i] != 0;
  const bool differs = is_new || current.packets != frame.packets[i] ||
                       current.bytes != frame.bytes[i] ||
                       current.exceeded != exceeded;
  current.previous_packets = is_new ? frame.packets[i] : current.packets;
  current.previous_bytes = is_new ? frame.bytes[i] : current.bytes;
  current.packets = frame.packets[i];
  current.bytes = frame.bytes[i];
  current.exceeded = exceeded;
  if (!frame.total_packets.empty()) {
    current.total_packets = frame.total_packets[i];
    current.total_bytes = frame.total_bytes[i];
  }
  if (differs) changed_.push_back(row);
  if (frame.counters.empty()) return;
  if (counters_.size() < rows_.size()) counters_.resize(rows_.size());
  counters_[row] = frame.counters[i];
  current.counter = counters_[row].get();
}

void SnapshotTable::RemoveRows(const std::vector<bool>& gone) {
  size_t kept = 0;
  for (size_t i = 0; i < rows_.size(); ++i) {
    if (gone[i]) continue;
    rows_[kept] = rows_[i];
    ids_[kept] = ids_[i];
    if (!counters_.empty()) counters_[kept] = std::move(counters_[i]);
    ++kept;
  }
  rows_.resize(kept);
  ids_.resize(kept);
  if (!counters_.empty()) counters_.resize(kept);
  Reindex();
}

void SnapshotTable::Reindex() {
  orphans_.clear();
  for (size_t i = 0; i < rows_.size(); ++i) {
    if (ids_[i] == kOrphan) {
      orphans_[rows_[i].name] = i;
    } else {
      known_[ids_[i]].row = i;
    }
  }
}

}  // namespace nfmeter::client_internal
