// SPDX-License-Identifier: GPL-3.0-or-later
#include "service/snapshot/snapshot_filter.h"

#include <algorithm>
#include <utility>

namespace nfmeter::service {

using accounting::Snapshot;
using accounting::SnapshotChunk;

RowSelection MatchedIds::Select(std::shared_ptr<const SnapshotChunk> chunk,
                                uint64_t changed_since, size_t* matched) const {
  const size_t size = chunk->size();
  if (all() && changed_since == 0) {
    *matched += size;
    return {std::move(chunk), std::nullopt};
  }
  std::vector<uint32_t> rows;
  for (uint32_t row = 0; row < size; ++row) {
    if (!contains(chunk->ids()[row])) continue;
    ++*matched;
    if (chunk->changed_in[row] > changed_since) rows.push_back(row);
  }
  return {std::move(chunk), std::move(rows)};
}

SnapshotFilter::SnapshotFilter(accounting::CounterFilter filter,
                               const accounting::LabelStore& labels)
    : filter_(std::move(filter)), labels_(labels) {}

MatchedIds SnapshotFilter::Match(
    const Snapshot& snapshot,
    absl::Span<const std::shared_ptr<const SnapshotChunk>> chunks) {
  if (filter_ == accounting::CounterFilter{}) return MatchedIds();
  size_t needed = 0;
  for (const auto& chunk : chunks) {
    for (const uint32_t id : chunk->ids()) {
      needed = std::max<size_t>(needed, id + 1);
    }
  }
  // Read before the labels: if they change meanwhile, the version does, too.
  const bool by_labels = filter_.needs_labels();
  const uint64_t version = by_labels ? labels_.version() + 1 : 0;

  absl::MutexLock lock(&mutex_);
  if (matches_ == nullptr || epoch_ != snapshot.epoch ||
      labels_version_ != version) {
    matches_ = std::make_shared<const std::vector<uint8_t>>();
    epoch_ = snapshot.epoch;
    labels_version_ = version;
  }
  if (matches_->size() < needed) {
    auto grown = std::make_shared<std::vector<uint8_t>>(*matches_);
    const accounting::NameTable& names = snapshot.names();
    for (uint32_t id = matches_->size(); id < needed; ++id) {
      grown->push_back(filter_.Matches(std::string(names.Shown(id)),
                                       by_labels
                                           ? labels_.Get(names.KernelName(id))
                                           : accounting::Labels()));
    }
    matches_ = std::move(grown);
  }
  return MatchedIds(matches_, labels_version_);
}

std::shared_ptr<SnapshotFilter> SnapshotFilters::Get(
    const accounting::CounterFilter& filter) {
  absl::MutexLock lock(&mutex_);
  if (auto shared = filters_[filter].lock()) return shared;
  absl::erase_if(filters_,
                 [](const auto& entry) { return entry.second.expired(); });
  auto made = std::make_shared<SnapshotFilter>(filter, labels_);
  filters_[filter] = made;
  return made;
}

}  // namespace nfmeter::service
