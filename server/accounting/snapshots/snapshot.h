// SPDX-License-Identifier: GPL-3.0-or-later
// The values of all counters at one time.
#ifndef NFMETER_ACCOUNTING_SNAPSHOTS_SNAPSHOT_H_
#define NFMETER_ACCOUNTING_SNAPSHOTS_SNAPSHOT_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/call_once.h"
#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "kernel/acct_names.h"
#include "kernel/acct_table.h"

namespace nfmeter::accounting {

// Names by id. Ids are given in order from 0, stay with their name for the
// epoch, and are never reused. Grows only.
//
// One thread at a time adds names. Others may read those whose id has been
// handed to them, and Find().
class NameTable {
 public:
  // Room for `capacity` names.
  explicit NameTable(size_t capacity);

  // The id of the name, new if need be; nullopt: it would be new, and there is
  // no room. The name must satisfy kernel::IsAcctName.
  std::optional<uint32_t> Intern(absl::string_view name);

  // For the thread that adds.
  size_t size() const { return size_; }

  // The kernel's bytes / as the API shows it. `id` was given out before.
  absl::string_view KernelName(uint32_t id) const { return Get(id).name(); }
  absl::string_view Shown(uint32_t id) const {
    const Entry& entry = Get(id);
    return entry.shown ? absl::string_view(*entry.shown) : entry.name();
  }
  // The id that the name (the kernel's bytes) has, if it was ever seen.
  std::optional<uint32_t> Find(absl::string_view name) const;

 private:
  // Names lie in the entries themselves, but for long ones: a pass reads all of
  // them in a row.
  struct Entry {
    std::array<char, kernel::kNfacctNameMaxBytes> text;
    uint8_t length = 0;
    std::unique_ptr<const std::string> whole;  // null: `text` is
    std::unique_ptr<const std::string> shown;  // null: the name itself

    absl::string_view name() const {
      if (whole != nullptr) return *whole;
      return {text.data(), length};
    }
  };
  // Entries never move, so that readers need no lock.
  static constexpr size_t kBlockSize = 1024;

  const Entry& Get(uint32_t id) const {
    return blocks_[id / kBlockSize][id % kBlockSize];
  }

  const size_t capacity_;
  size_t size_ = 0;
  std::vector<std::unique_ptr<Entry[]>> blocks_;  // never grows
  mutable absl::Mutex mutex_;
  // Keys point into the entries.
  absl::flat_hash_map<absl::string_view, uint32_t> ids_ ABSL_GUARDED_BY(mutex_);
};

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

// That a counter came or went in the snapshot of `sequence`.
struct Membership {
  uint64_t sequence;
  uint32_t id;
};
// By increasing sequence. Shared by all snapshots between two changes.
using MembershipLog = std::shared_ptr<const std::vector<Membership>>;

// One reading of all counters. Immutable and thread-safe once handed out.
class Snapshot {
 public:
  explicit Snapshot(std::shared_ptr<const NameTable> names);

  // Filled by SnapshotBuilder.
  uint64_t epoch = 0;
  uint64_t sequence = 0;
  absl::Time wall_time;
  absl::Duration boottime;
  // Every counter that existed throughout the reading is in.
  bool complete = false;
  std::vector<std::shared_ptr<const SnapshotChunk>> rows;
  MembershipLog additions;
  MembershipLog removals;
  size_t row_count = 0;

  size_t size() const { return row_count; }
  const NameTable& names() const { return *names_; }
  const std::vector<std::shared_ptr<const SnapshotChunk>>& chunks() const {
    return rows;
  }

  // Ids of counters that are not there any more, and were in the snapshot of
  // `sequence` or in one after it. Known to be gone, not just not read.
  std::vector<uint32_t> RemovedSince(uint64_t sequence) const;

  // Ids of rows that were not in all of the snapshots from `sequence` up to
  // this one: a reader who knows the counters of that one lacks these.
  std::vector<uint32_t> AddedSince(uint64_t sequence) const;

  // Sequence of the last snapshot not after `sequence` that had added rows:
  // AddedSince() of both is the same.
  uint64_t LastAddition(uint64_t sequence) const;

  // The object of that name (the kernel's bytes).
  std::optional<kernel::AcctObject> Find(absl::string_view name) const;

  // All objects, sorted by kernel name (bytewise). Built at the first call.
  const std::vector<kernel::AcctObject>& SortedByName() const;

 private:
  struct Place {
    uint32_t chunk;
    uint32_t row;
  };
  kernel::AcctObject At(Place place) const;

  const std::shared_ptr<const NameTable> names_;
  // Made when first asked for.
  mutable absl::once_flag indexed_;
  mutable std::vector<Place> places_;  // by id
  mutable absl::once_flag sorted_once_;
  mutable std::vector<kernel::AcctObject> sorted_;
};

}  // namespace nfmeter::accounting

#endif  // NFMETER_ACCOUNTING_SNAPSHOTS_SNAPSHOT_H_
