// What counters have counted in all, whoever reset them meanwhile.
#ifndef NFMETER_ACCOUNTING_LEDGER_COUNTER_TOTALS_H_
#define NFMETER_ACCOUNTING_LEDGER_COUNTER_TOTALS_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "accounting/common/counter_observer.h"
#include "accounting/snapshots/snapshot.h"
#include "accounting/snapshots/snapshot_hub.h"
#include "kernel/acct_table.h"

namespace nfmeter::accounting {

// Totals of packets and bytes that never go back while a counter lives: its
// value, and what resets read. Resets through the server lose nothing, as they
// are told in the order in which they and the readings happened, which is that
// of the counter lane. A value that went back otherwise was reset by somebody
// else, or the counter deleted and made again between two totals: the total
// goes on from where it was, and what was counted between the last reading and
// that reset is not in it.
//
// Costs nothing but a note a reset until totals are asked for; then a pass over
// the snapshot. Memory for one tally an id of the epoch.
//
// Thread-safe.
class CounterTotals : public CounterObserver {
 public:
  // By rows of the snapshot, chunk after chunk. Immutable.
  struct Totals {
    std::shared_ptr<const Snapshot> snapshot;  // a complete one
    std::vector<uint64_t> packets;
    std::vector<uint64_t> bytes;
  };

  // `hub` must outlive this. Notes of single resets that are kept; beyond it
  // they are added up, and older snapshots are not good any more.
  explicit CounterTotals(SnapshotHub& hub, size_t max_notes = 16'384);

  void OnReset(absl::Span<const kernel::AcctObject> counters) override;
  // Counters of the same names that come later begin at 0.
  void OnDeleted(absl::Span<const kernel::AcctObject> counters) override;

  // Totals not older than `max_staleness`, or, where no complete reading
  // succeeds, the last ones. Not on the counter lane. Statuses:
  // SnapshotHub::Take(); UNAVAILABLE: not a single reading was complete.
  absl::StatusOr<std::shared_ptr<const Totals>> Take(
      absl::Duration max_staleness);

  // Times that a value was seen to have gone back.
  uint64_t foreign_resets() const { return foreign_resets_.load(); }

 private:
  struct Amount {
    uint64_t packets = 0;
    uint64_t bytes = 0;

    Amount& operator+=(const Amount& other) {
      packets += other.packets;
      bytes += other.bytes;
      return *this;
    }
    // Not what came after `other` of a counter that was not reset.
    bool WentBackFrom(const Amount& other) const {
      return packets < other.packets || bytes < other.bytes;
    }
  };
  // total = base + last.
  struct Tally {
    Amount base;
    Amount last;
  };
  // Of one or more resets in a row, perhaps after a deletion.
  struct Change {
    bool deleted = false;
    bool reset = false;
    Amount first;  // that was read
    Amount sum;    // of all that was
  };
  struct Note {
    uint64_t epoch = 0;  // of the last snapshot before it
    uint64_t sequence = 0;
    std::string name;
    Change change;
  };

  void Add(std::vector<Note> notes);
  void AddUp() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Null: notes that came after the snapshot have been added up already.
  std::shared_ptr<const Totals> At(std::shared_ptr<const Snapshot> snapshot);
  void EnterEpoch(const Snapshot& snapshot)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ForgetRemoved(const Snapshot& snapshot)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ApplyNotes(const Snapshot& snapshot)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Apply(const Snapshot& snapshot, const std::string& name,
             const Change& change) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::shared_ptr<const Totals> Read(std::shared_ptr<const Snapshot> snapshot)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Observe(Tally& tally, const Amount& value);
  Tally& TallyOf(uint32_t id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  SnapshotHub& hub_;
  const size_t max_notes_;
  std::atomic<uint64_t> foreign_resets_ = 0;

  absl::Mutex mutex_;
  std::shared_ptr<const Totals> last_ ABSL_GUARDED_BY(mutex_);
  std::vector<Tally> tallies_ ABSL_GUARDED_BY(mutex_);  // by id in last_
  std::vector<Note> notes_ ABSL_GUARDED_BY(mutex_);     // in order
  // Before all of these; and the position of the newest in it.
  absl::flat_hash_map<std::string, Change> added_up_ ABSL_GUARDED_BY(mutex_);
  uint64_t added_up_epoch_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t added_up_sequence_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace nfmeter::accounting

#endif  // NFMETER_ACCOUNTING_LEDGER_COUNTER_TOTALS_H_
