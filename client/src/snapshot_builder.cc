// SPDX-License-Identifier: Apache-2.0
#include "client/src/snapshot_builder.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/src/proto_time.h"
#include "client/src/status_macros.h"

namespace nfmeter::client_internal {

absl::Status SnapshotBuilder::Add(absl::string_view wire,
                                  std::shared_ptr<const void> storage) {
  if (done_) return BrokenSnapshot("more after the last chunk");
  const size_t before = ids_.size();
  ColumnExtras extras;
  v1::SnapshotFrame frame;
  absl::Status status = DecodeChunk(wire,
                                    {.ids = &ids_,
                                     .packets = &snapshot_.packets,
                                     .bytes = &snapshot_.bytes,
                                     .total_packets = &snapshot_.total_packets,
                                     .total_bytes = &snapshot_.total_bytes},
                                    &extras, &frame);
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

absl::Status SnapshotBuilder::CheckLengths() const {
  const auto fits = [&](const std::vector<uint64_t>& values) {
    return values.size() == ids_.size();
  };
  const bool no_totals =
      snapshot_.total_packets.empty() && snapshot_.total_bytes.empty();
  if (fits(snapshot_.packets) && fits(snapshot_.bytes) &&
      (no_totals ||
       (fits(snapshot_.total_packets) && fits(snapshot_.total_bytes)))) {
    return absl::OkStatus();
  }
  return BrokenSnapshot(absl::StrCat(
      "columns of different lengths: ", ids_.size(), " ids, ",
      snapshot_.packets.size(), " packets, ", snapshot_.bytes.size(),
      " bytes, ", snapshot_.total_packets.size(), " and ",
      snapshot_.total_bytes.size(), " totals"));
}

absl::Status SnapshotBuilder::TakeRows(size_t first,
                                       const ColumnExtras& extras) {
  NFM_RETURN_IF_ERROR(CheckLengths());
  const auto ids = absl::MakeConstSpan(ids_).subspan(first);
  AppendExceeded(ids, extras.exceeded_ids, &snapshot_.exceeded);
  return AddNames(ids, extras);
}

absl::Status SnapshotBuilder::AddNames(absl::Span<const uint32_t> ids,
                                       const ColumnExtras& extras) {
  absl::Span<const uint32_t> new_ids = extras.new_ids;
  if (new_ids.empty() && !extras.new_names.empty()) new_ids = ids;
  absl::Status status = CheckLabels(extras, new_ids.size());
  if (!status.ok()) return status;
  if (!knows_ids_) {
    // All rows are new to the stream and named in their order.
    if (new_ids == ids) {
      for (size_t i = 0; i < extras.labels.size(); ++i) {
        auto& values = snapshot_.labels[i].values;
        values.insert(values.end(), extras.labels[i].values.begin(),
                      extras.labels[i].values.end());
      }
      return SplitNames(extras.new_names, ids.size(), &snapshot_.names);
    }
    LearnRows();
  }
  std::vector<absl::string_view> new_names;
  status = SplitNames(extras.new_names, new_ids.size(), &new_names);
  if (!status.ok()) return status;
  for (size_t i = 0; i < new_ids.size(); ++i) {
    Known& known = known_[new_ids[i]] = {.name = new_names[i]};
    for (const ColumnExtras::Label& label : extras.labels) {
      known.labels.push_back(label.values[i]);
    }
  }
  for (const uint32_t id : ids) {
    const auto known = known_.find(id);
    if (known == known_.end()) {
      return BrokenSnapshot(absl::StrCat("no name for id ", id));
    }
    snapshot_.names.push_back(known->second.name);
    for (size_t i = 0; i < snapshot_.labels.size(); ++i) {
      const auto& labels = known->second.labels;
      snapshot_.labels[i].values.push_back(
          i < labels.size() ? labels[i] : absl::string_view());
    }
  }
  return absl::OkStatus();
}

absl::Status SnapshotBuilder::CheckLabels(const ColumnExtras& extras,
                                          size_t names) {
  // The first chunk that names counters says which labels there are.
  if (snapshot_.labels.empty() && snapshot_.names.empty()) {
    for (const ColumnExtras::Label& label : extras.labels) {
      snapshot_.labels.push_back({.key = std::string(label.key)});
    }
  }
  bool fit = names == 0 || extras.labels.size() == snapshot_.labels.size();
  for (size_t i = 0; fit && i < extras.labels.size(); ++i) {
    fit = i < snapshot_.labels.size() &&
          extras.labels[i].key == snapshot_.labels[i].key &&
          extras.labels[i].values.size() == names;
  }
  return fit ? absl::OkStatus()
             : BrokenSnapshot("labels that do not fit the names");
}

void SnapshotBuilder::LearnRows() {
  knows_ids_ = true;
  for (size_t i = 0; i < snapshot_.names.size(); ++i) {
    Known& known = known_[ids_[i]] = {.name = snapshot_.names[i]};
    for (const Snapshot::LabelColumn& label : snapshot_.labels) {
      known.labels.push_back(label.values[i]);
    }
  }
}

void SnapshotBuilder::Forget(size_t rows) {
  // Names that the stream has sent, it does not send again.
  LearnRows();
  const auto forget = [rows](auto& values) {
    values.erase(values.begin(),
                 values.begin() + std::min(rows, values.size()));
  };
  forget(ids_);
  forget(snapshot_.packets);
  forget(snapshot_.bytes);
  forget(snapshot_.total_packets);
  forget(snapshot_.total_bytes);
  for (Snapshot::LabelColumn& label : snapshot_.labels) label.values.clear();
  snapshot_.names.clear();
  snapshot_.exceeded.clear();
}

absl::StatusOr<Snapshot> SnapshotBuilder::Finish() {
  if (!done_) return BrokenSnapshot("it ended before its last chunk");
  return std::move(snapshot_);
}

}  // namespace nfmeter::client_internal
