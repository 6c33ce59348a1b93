// SPDX-License-Identifier: GPL-3.0-or-later
// Reads the counters, and takes none for gone that is still there.
#ifndef NFMETER_ACCOUNTING_SNAPSHOTS_SNAPSHOT_READING_H_
#define NFMETER_ACCOUNTING_SNAPSHOTS_SNAPSHOT_READING_H_

#include <atomic>
#include <cstdint>
#include <memory>

#include "absl/container/flat_hash_set.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "accounting/snapshots/snapshot_builder.h"
#include "accounting/snapshots/snapshot_hub.h"
#include "base/clock.h"
#include "kernel/acct_table.h"

namespace nfmeter::accounting {

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
