// SPDX-License-Identifier: GPL-3.0-or-later
// The values of all counters at one time.
#ifndef NFMETER_ACCOUNTING_SNAPSHOTS_SNAPSHOT_H_
#define NFMETER_ACCOUNTING_SNAPSHOTS_SNAPSHOT_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "kernel/acct_table.h"

namespace nfmeter::accounting {

// Rows of a full chunk.
inline constexpr size_t kSnapshotChunkRows = 4096;

// A consecutive part of a snapshot in the kernel's order, by columns. Immutable
// once handed out.
struct SnapshotChunk {
  // Ids of its counters, see NameTable. Snapshots share them for as long as
  // no counter comes or goes.
  std::shared_ptr<const std::vector<uint32_t>> members;
  std::vector<uint64_t> packets;
  std::vector<uint64_t> bytes;
  std::vector<uint32_t> use_counts;
  // Sequence of the snapshot in which packets, bytes or the quota state were
  // first seen to be what they are; for changed_only.
  std::vector<uint64_t> changed_in;
  // Only rows that have a quota, by increasing row.
  struct QuotaRow {
    uint32_t row;
    kernel::QuotaLimit limit;
    bool exceeded;
  };
  std::vector<QuotaRow> quotas;

  const std::vector<uint32_t>& ids() const { return *members; }
  size_t size() const { return packets.size(); }
};

// Names by id. Ids are given in order from 0, stay with their name for the
// epoch, and are never reused. Grows only. Thread-safe.
class NameTable {
 public:
  virtual ~NameTable() = default;
  // The kernel's bytes / as the API shows it. `id` was given out before.
  virtual absl::string_view KernelName(uint32_t id) const = 0;
  virtual absl::string_view Shown(uint32_t id) const = 0;
  // The id that the name (the kernel's bytes) has, if it was ever seen.
  virtual std::optional<uint32_t> Find(absl::string_view name) const = 0;
};

// One reading of all counters. Immutable and thread-safe.
class Snapshot {
 public:
  virtual ~Snapshot() = default;

  uint64_t epoch = 0;
  uint64_t sequence = 0;
  absl::Time wall_time;
  absl::Duration boottime;
  // Every counter that existed throughout the reading is in.
  bool complete = false;

  virtual size_t size() const = 0;
  virtual const NameTable& names() const = 0;
  virtual const std::vector<std::shared_ptr<const SnapshotChunk>>& chunks()
      const = 0;

  // Ids of counters that are not there any more, and were in the snapshot of
  // `sequence` or in one after it. Known to be gone, not just not read.
  virtual std::vector<uint32_t> RemovedSince(uint64_t sequence) const = 0;

  // Ids of rows that were not in all of the snapshots from `sequence` up to
  // this one: a reader who knows the counters of that one lacks these.
  virtual std::vector<uint32_t> AddedSince(uint64_t sequence) const = 0;

  // Sequence of the last snapshot not after `sequence` that had added rows:
  // AddedSince() of both is the same.
  virtual uint64_t LastAddition(uint64_t sequence) const = 0;

  // The object of that name (the kernel's bytes).
  virtual std::optional<kernel::AcctObject> Find(
      absl::string_view name) const = 0;

  // All objects, sorted by kernel name (bytewise). Built at the first call.
  virtual const std::vector<kernel::AcctObject>& SortedByName() const = 0;
};

}  // namespace nfmeter::accounting

#endif  // NFMETER_ACCOUNTING_SNAPSHOTS_SNAPSHOT_H_
