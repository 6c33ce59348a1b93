// SPDX-License-Identifier: GPL-3.0-or-later
// Reads the counters once for everybody.
#ifndef NFMETER_ACCOUNTING_SNAPSHOTS_SNAPSHOT_HUB_H_
#define NFMETER_ACCOUNTING_SNAPSHOTS_SNAPSHOT_HUB_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "accounting/common/counter_observer.h"
#include "accounting/common/lane.h"
#include "accounting/snapshots/snapshot.h"
#include "base/clock.h"
#include "base/duration_histogram.h"
#include "kernel/acct_table.h"

namespace nfmeter::accounting {

// Follows one reading while it happens. Called on the counter lane, in order;
// must not block.
class SnapshotReader {
 public:
  virtual ~SnapshotReader() = default;
  // The reading begins, or begins again after it was cut short: what came
  // before is void. `begun` has epoch, sequence, times and names, and no rows.
  virtual void OnBegin(std::shared_ptr<const Snapshot> begun) = 0;
  // All chunks but the last have kSnapshotChunkRows rows.
  virtual void OnChunk(std::shared_ptr<const SnapshotChunk> chunk) = 0;
  // The whole snapshot, or why there is none. Exactly once, last.
  virtual void OnEnd(
      absl::StatusOr<std::shared_ptr<const Snapshot>> snapshot) = 0;
};

// A reading that is waited for later. Thread-safe.
class WaitingReader final : public SnapshotReader {
 public:
  void OnBegin(std::shared_ptr<const Snapshot>) override {}
  void OnChunk(std::shared_ptr<const SnapshotChunk>) override {}
  void OnEnd(
      absl::StatusOr<std::shared_ptr<const Snapshot>> snapshot) override {
    snapshot_ = std::move(snapshot);
    done_.Notify();
  }

  // Statuses: SnapshotHub::Take(). Once.
  absl::StatusOr<std::shared_ptr<const Snapshot>> Wait() {
    done_.WaitForNotification();
    return std::move(snapshot_);
  }

 private:
  absl::StatusOr<std::shared_ptr<const Snapshot>> snapshot_;
  absl::Notification done_;
};

// Gets snapshots as they fall due. Called on the counter lane, or where the
// lane was full on another thread of the hub's; must not block.
class SnapshotSubscriber {
 public:
  virtual ~SnapshotSubscriber() = default;
  virtual void OnSnapshot(std::shared_ptr<const Snapshot> snapshot) = 0;
  // A due reading failed; the next one comes at its time.
  virtual void OnError(const absl::Status& status) = 0;
  // Whether it wants the snapshot that falls due at `boottime`. None is taken
  // that nobody wants. On the hub's ticker; must not block.
  virtual bool Wants(absl::Duration) { return true; }
};

// How readings ended, since the start. Written on the counter lane.
struct SnapshotStats {
  std::atomic<uint64_t> complete = 0;
  std::atomic<uint64_t> incomplete = 0;
  std::atomic<uint64_t> failed = 0;
  // Passes over the kernel's list beyond the first of a reading.
  std::atomic<uint64_t> repeated_passes = 0;
  DurationHistogram durations;
};

// Takes snapshots on the counter lane: when asked, and by a clock for
// subscribers. Readings that are asked for while another waits its turn share
// it. Ticks lie on multiples of each interval, so that subscribers with equal
// or multiple intervals share theirs. Takes none when nobody wants any.
//
// Thread-safe. Nothing of it may be waited for on the counter lane.
class SnapshotHub : public CounterObserver {
 public:
  struct Options {
    absl::Duration min_interval = absl::Milliseconds(100);
    // More in the kernel: readings fail with RESOURCE_EXHAUSTED.
    size_t max_counters = 1'000'000;
    // Names that may have been seen in one epoch, or four times as many as
    // there are counters if that is more. Beyond it a new epoch begins, so
    // that names that come and go do not fill the memory.
    size_t max_names = 100'000;
  };

  // What it works with, all of which must outlive it.
  struct Parts {
    kernel::AcctTable& table;
    Lane& lane;                         // of counters
    const CounterObservers& observers;  // are told of complete snapshots
    Clock& clock;
  };
  static std::unique_ptr<SnapshotHub> Create(const Parts& parts,
                                             const Options& options);

  // A snapshot not older than `max_staleness`; at 0 one whose reading began
  // after this call. Waits for it.
  // RESOURCE_EXHAUSTED: more than max_counters, or the lane is full; else the
  // statuses of kernel::AcctTable. An incomplete snapshot is no error.
  virtual absl::StatusOr<std::shared_ptr<const Snapshot>> Take(
      absl::Duration max_staleness) = 0;

  // The same, followed while it happens; returns at once. Where no reading is
  // needed, or none can be queued, `reader` is called on this thread.
  virtual void Read(absl::Duration max_staleness,
                    std::shared_ptr<SnapshotReader> reader) = 0;

  // Delivers a snapshot at once and then one each `interval` (min_interval if
  // that is longer) until the returned handle is destroyed, which waits for a
  // delivery under way.
  class Subscription {
   public:
    virtual ~Subscription() = default;
  };
  virtual std::unique_ptr<Subscription> Subscribe(
      absl::Duration interval,
      std::shared_ptr<SnapshotSubscriber> subscriber) = 0;

  // Their absence needs no second look.
  void OnDeleted(absl::Span<const kernel::AcctObject> counters) override = 0;

  // The newest snapshot, or null before the first.
  virtual std::shared_ptr<const Snapshot> Latest() const = 0;
  virtual uint64_t epoch() const = 0;
  virtual size_t subscriber_count() const = 0;
  virtual const SnapshotStats& stats() const = 0;
};

}  // namespace nfmeter::accounting

#endif  // NFMETER_ACCOUNTING_SNAPSHOTS_SNAPSHOT_HUB_H_
