// SPDX-License-Identifier: GPL-3.0-or-later
// Which counters of a snapshot a stream gets.
#ifndef NFMETER_SERVICE_SNAPSHOT_SNAPSHOT_FILTER_H_
#define NFMETER_SERVICE_SNAPSHOT_SNAPSHOT_FILTER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "accounting/common/counter_filter.h"
#include "accounting/counters/label_store.h"
#include "accounting/snapshots/snapshot.h"

namespace nfmeter::service {

// Consecutive rows of a snapshot's chunk, or some of them.
struct RowSelection {
  std::shared_ptr<const accounting::SnapshotChunk> chunk;
  std::optional<std::vector<uint32_t>> rows;  // absent: all

  size_t size() const { return rows ? rows->size() : chunk->size(); }
};

// Which ids a filter matches, as of one version of the labels.
class MatchedIds {
 public:
  MatchedIds() = default;  // all
  MatchedIds(std::shared_ptr<const std::vector<uint8_t>> matches,
             uint64_t labels_version)
      : matches_(std::move(matches)), labels_version_(labels_version) {}

  bool all() const { return matches_ == nullptr; }
  // False for ids that SnapshotFilter::Match() was never asked about.
  bool contains(uint32_t id) const {
    return all() || (id < matches_->size() && (*matches_)[id] != 0);
  }
  // 0 when the filter is not about labels.
  uint64_t labels_version() const { return labels_version_; }

  // Rows of the chunk that match and have changed since the snapshot of
  // sequence `changed_since`. Adds the number of all that match to `*matched`.
  RowSelection Select(std::shared_ptr<const accounting::SnapshotChunk> chunk,
                      uint64_t changed_since, size_t* matched) const;

 private:
  std::shared_ptr<const std::vector<uint8_t>> matches_;  // by id
  uint64_t labels_version_ = 0;
};

// A filter that evaluates each name once, for all streams that have it.
// Thread-safe.
class SnapshotFilter {
 public:
  SnapshotFilter(accounting::CounterFilter filter,
                 const accounting::LabelStore& labels);

  // Covers at least the ids of `chunks`, which are of `snapshot` or of its
  // reading.
  MatchedIds Match(
      const accounting::Snapshot& snapshot,
      absl::Span<const std::shared_ptr<const accounting::SnapshotChunk>>
          chunks);

 private:
  const accounting::CounterFilter filter_;
  const accounting::LabelStore& labels_;
  absl::Mutex mutex_;
  uint64_t epoch_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t labels_version_ ABSL_GUARDED_BY(mutex_) = 0;
  std::shared_ptr<const std::vector<uint8_t>> matches_ ABSL_GUARDED_BY(mutex_);
};

// The filters in use. Thread-safe.
class SnapshotFilters {
 public:
  explicit SnapshotFilters(const accounting::LabelStore& labels)
      : labels_(labels) {}

  // One object for equal filters, for as long as somebody holds it.
  std::shared_ptr<SnapshotFilter> Get(const accounting::CounterFilter& filter);

 private:
  const accounting::LabelStore& labels_;
  absl::Mutex mutex_;
  absl::flat_hash_map<accounting::CounterFilter, std::weak_ptr<SnapshotFilter>>
      filters_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace nfmeter::service

#endif  // NFMETER_SERVICE_SNAPSHOT_SNAPSHOT_FILTER_H_
