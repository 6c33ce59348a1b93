// SPDX-License-Identifier: GPL-3.0-or-later
// Reads the counters, and takes none for gone that is still there.
#ifndef NFMETER_ACCOUNTING_SNAPSHOTS_SNAPSHOT_READING_H_
#define NFMETER_ACCOUNTING_SNAPSHOTS_SNAPSHOT_READING_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "accounting/snapshots/snapshot.h"
#include "accounting/snapshots/snapshot_hub.h"
#include "base/clock.h"
#include "kernel/acct_table.h"

namespace nfmeter::accounting {

// The snapshots of one epoch: what was last seen of each counter, and hence
// what has changed, come and gone.
//
// A reading is one or more passes over the kernel's list; the last one becomes
// the snapshot. Not thread-safe; lives on the counter lane.
class SnapshotBuilder {
 public:
  using OnChunk = absl::FunctionRef<void(std::shared_ptr<const SnapshotChunk>)>;

  // Passes over more than `max_counters` records fail. Room for `max_names`
  // names.
  SnapshotBuilder(uint64_t epoch, size_t max_counters, size_t max_names);

  // Begins a pass; what an unpublished one has read is void. The result is an
  // empty snapshot with position and times.
  std::shared_ptr<const Snapshot> BeginPass(absl::Time wall_time,
                                            absl::Duration boottime);

  // The next records of the pass. Full chunks are handed out.
  void Add(absl::Span<const kernel::AcctRecord> records, OnChunk on_chunk);

  // The end of the pass; hands out the rest. RESOURCE_EXHAUSTED: there were
  // too many.
  absl::Status EndPass(OnChunk on_chunk);

  // Counters that are known and were not in this pass.
  std::vector<uint32_t> Missing() const;

  // We have deleted it.
  void NoteDeleted(absl::string_view name);
  bool DeletedByUs(uint32_t id) const { return rows_[id].deleted_by_us; }

  // Makes this pass the next snapshot. `gone` of the missing are known to have
  // been removed.
  std::shared_ptr<const Snapshot> Publish(bool complete,
                                          absl::Span<const uint32_t> gone);

  uint64_t epoch() const { return epoch_; }
  const NameTable& names() const { return *names_; }
  size_t name_count() const { return names_->size(); }
  size_t live_count() const { return live_count_; }
  bool out_of_names() const { return out_of_names_; }

 private:
  struct Row {
    uint64_t packets = 0;
    uint64_t bytes = 0;
    uint64_t quota_limit = 0;  // 0: none
    uint64_t changed_in = 0;
    uint64_t present_since = 0;  // in every snapshot since
    uint64_t last_pass = 0;      // that had it
    uint32_t position = 0;       // in that pass
    bool quota_in_bytes = false;
    bool exceeded = false;
    bool live = false;  // known to exist
    bool deleted_by_us = false;
  };

  std::optional<uint32_t> IdOf(absl::string_view name);
  void Update(uint32_t id, const kernel::AcctRecord& record);
  void Append(uint32_t id, const kernel::AcctRecord& record);
  void HandOutChunk(OnChunk on_chunk);
  std::shared_ptr<const std::vector<uint32_t>> MembersOfChunk() const;
  void UpdateAdditions(uint64_t sequence);
  void UpdateRemovals(uint64_t sequence, absl::Span<const uint32_t> gone);

  const uint64_t epoch_;
  const size_t max_counters_;
  const std::shared_ptr<NameTable> names_;
  std::vector<Row> rows_;  // by id
  // The last snapshot's chunks, and the kernel's order in it. The next record
  // is nearly always the next of these, which saves looking up its name.
  std::vector<std::shared_ptr<const SnapshotChunk>> last_rows_;
  std::vector<uint32_t> order_;
  size_t live_count_ = 0;
  uint64_t sequence_ = 0;        // of the last snapshot
  uint64_t published_pass_ = 0;  // that became it
  MembershipLog additions_;
  MembershipLog removals_;
  bool out_of_names_ = false;

  // The present pass.
  uint64_t pass_ = 0;
  std::shared_ptr<Snapshot> data_;
  std::shared_ptr<SnapshotChunk> chunk_;
  std::vector<uint32_t> pass_order_;
  size_t cursor_ = 0;  // into order_
  size_t seen_live_ = 0;
  bool too_many_ = false;
  // Since the last snapshot, in any pass.
  bool any_added_ = false;
};

// Takes one snapshot after the other, by verified dumps. A known counter that a
// complete dump lacks is looked for by name, or in a second dump when they are
// many: if the kernel gives a deleted object's memory to a new one just while a
// dump's cursor points to it, the dump skips what is between and still looks
// complete. Nothing of this is needed where the kernel guarantees a dump
// (kernel::AcctDumpOutcome).
//
// Not thread-safe but for epoch() and stats(); lives on the counter lane.
class SnapshotReading {
 public:
  SnapshotReading(kernel::AcctTable& table, Clock& clock,
                  const SnapshotHub::Options& options);

  // One snapshot, with `readers` told on the way, but not of the end.
  // Statuses: SnapshotHub::Take().
  absl::StatusOr<std::shared_ptr<const Snapshot>> Take(
      absl::Span<const std::shared_ptr<SnapshotReader>> readers);

  // See SnapshotHub.
  void NoteDeleted(absl::string_view name) { builder_->NoteDeleted(name); }

  uint64_t epoch() const { return epoch_.load(); }
  const SnapshotStats& stats() const { return stats_; }

 private:
  class Pass;
  using Ids = absl::flat_hash_set<uint32_t>;

  absl::StatusOr<std::shared_ptr<const Snapshot>> TakeNow(
      absl::Span<const std::shared_ptr<SnapshotReader>> readers);
  void StartEpochIfDue();
  void StartEpoch();
  bool AllGone(absl::Span<const uint32_t> missing, Ids& suspects);

  kernel::AcctTable& table_;
  Clock& clock_;
  const SnapshotHub::Options options_;
  std::atomic<uint64_t> epoch_ = 0;
  std::unique_ptr<SnapshotBuilder> builder_;
  SnapshotStats stats_;
};

}  // namespace nfmeter::accounting

#endif  // NFMETER_ACCOUNTING_SNAPSHOTS_SNAPSHOT_READING_H_
