// SPDX-License-Identifier: GPL-3.0-or-later
// What every counter has counted in all, kept over resets, restarts and
// reboots.
#ifndef NFMETER_ACCOUNTING_LEDGER_LEDGER_H_
#define NFMETER_ACCOUNTING_LEDGER_LEDGER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "accounting/common/counter_filter.h"
#include "accounting/common/counter_observer.h"
#include "accounting/ledger/book.h"
#include "accounting/ledger/buckets.h"
#include "accounting/ledger/consumers.h"
#include "accounting/ledger/ledger_reader.h"
#include "accounting/ledger/ledger_store.h"
#include "accounting/ledger/record_listeners.h"
#include "accounting/ledger/recoverable_store.h"
#include "accounting/ledger/retention.h"
#include "accounting/snapshots/snapshot_hub.h"
#include "base/clock.h"

namespace nfmeter::accounting {

// How the ledger does, for notices, metrics and health.
struct LedgerStatus {
  bool kept = false;      // in a file; else in memory only
  bool opened = false;    // the file is; else the disk has not taken it yet
  absl::Status writable;  // why the file can't be written now
  absl::Time since;       // of that
  std::string node_id;    // empty: not kept
  uint64_t epoch = 0;
  uint64_t sequence = 0;         // of the newest record
  absl::Time record_time;        // of that; absl::Time(): not known
  uint64_t record_bytes = 0;     // of all records
  uint64_t records_written = 0;  // since the start, as the next ones
  uint64_t failures = 0;
  uint64_t foreign_resets = 0;
  uint64_t gaps = 0;
  size_t live_accounts = 0;
  size_t absent_accounts = 0;
  std::string damaged_file;  // where a damaged ledger was put, if one was
};

// Follows the counters of a domain and appends what changed to the ledger's
// file: one record a tick, and one before a caller hears that a counter was
// reset or deleted. What the ledger tells as usage is durable before.
//
//   counter lane:  OnReset(), OnSnapshot() ... -> Book, in memory, at once
//   nfm-ledger:    Book's changes -> RecoverableStore, one record -> listeners
//
// The counter lane never waits for the disk. While the file can't be written,
// accounting goes on in memory, and writing is tried again each second; nothing
// that was counted gets lost unless the server ends meanwhile, too. A file that
// turns out to be damaged is put aside, and another begun, in a new epoch, with
// all totals; what it had of the past is lost. The same holds at a start: a
// disk that is full or read-only then is read, and the totals that it has go on
// in memory.
//
// Thread-safe.
class Ledger final : public CounterObserver {
 public:
  struct Options {
    std::string path;  // empty: totals are kept in memory only
    std::string vfs;   // see sqlite::Options
    HostIdentity host;
    Retention retention;
    // How often a record is made.
    absl::Duration interval = absl::Seconds(10);
    // Writing has begun to fail, or succeeds again. On the ledger's thread.
    std::function<void(const absl::Status&)> on_writable;
  };

  // Opens or makes the file, or reads what is there until the disk takes
  // something. Statuses: LedgerStore::Open(). A file that is damaged is put
  // aside and a new one begun. `clock` must outlive the ledger.
  static absl::StatusOr<std::unique_ptr<Ledger>> Create(Options options,
                                                        Clock& clock);
  // Writes what is not written yet.
  ~Ledger() override;

  Ledger(const Ledger&) = delete;
  Ledger& operator=(const Ledger&) = delete;

  // Reads `hub`, unless it is null, now and each interval; keeps what `labels`
  // says of a counter (the kernel's bytes) when that goes. Once, before
  // anything is told; both must be good until Stop().
  void Start(SnapshotHub* hub, std::function<Labels(absl::string_view)> labels);
  // No more readings.
  void Stop();

  // Calls `begun` whenever a damaged file has been replaced by a new one, on
  // the ledger's thread: whoever has a connection to it opens another. It must
  // be good as long as the ledger lives.
  void WhenBegunAnew(std::function<void()> begun);

  // --- CounterObserver ---

  // Always OK: see above for a file that can't be written.
  absl::Status BeforeReset(
      absl::Span<const kernel::AcctObject> counters) override;
  absl::Status BeforeDeletion(
      absl::Span<const kernel::AcctObject> counters) override;
  void OnCreated(absl::Span<const kernel::AcctObject> counters) override;
  void OnReset(absl::Span<const kernel::AcctObject> counters) override;
  void OnDeleted(absl::Span<const kernel::AcctObject> counters) override;
  void OnMerged(absl::Span<const kernel::AcctObject> counters) override;
  // A counter has other labels: the next record tells them.
  void OnLabels(absl::string_view counter);
  void OnSnapshot(const std::shared_ptr<const Snapshot>& snapshot) override;
  void CommitSoon() override;
  absl::Status Commit() override;

  // --- Totals ---

  // By rows of the snapshot, chunk after chunk. Immutable, and durable where
  // the ledger is kept and can be written.
  struct Totals {
    std::shared_ptr<const Snapshot> snapshot;
    std::vector<Amount> amounts;
  };
  // Not older than `max_staleness`, or the last ones where no complete reading
  // succeeds. Not on the counter lane. Statuses: SnapshotHub::Take();
  // UNAVAILABLE: not a single reading was complete.
  absl::StatusOr<std::shared_ptr<const Totals>> Take(
      absl::Duration max_staleness);

  // What is known of a counter; see Book. Not durable yet, perhaps.
  std::optional<Book::Position> Find(absl::string_view name) const;
  std::optional<Book::Known> Describe(absl::string_view name, Amount value,
                                      absl::Duration since);

  std::vector<Amount> DescribeTotals(const Snapshot& snapshot,
                                     const SnapshotChunk& chunk);

  // The names of all live and absent counters, the kernel's bytes.
  std::vector<std::string> Names() const;

  // Something may be missing in what a counter (the kernel's bytes) counted.
  void NoteGap(absl::string_view name, GapCause cause, absl::Time from,
               absl::Time to);

  // --- Records ---

  bool kept() const { return store_ != nullptr; }
  // Reads the records. UNAVAILABLE: the disk has taken nothing since the start;
  // else LedgerReader's. Only where it is kept.
  absl::StatusOr<std::unique_ptr<LedgerReader>> OpenReader() const;
  // A damaged file is still in its place, and goes when the disk lets it:
  // nobody can use it, and WhenBegunAnew() will tell.
  bool awaits_new_file() const;
  uint64_t epoch() const;
  std::string node_id() const;
  // Of the newest record.
  uint64_t sequence() const;
  // What was counted in the records after `bucketed`, which no bucket in the
  // file has yet.
  struct Open {
    uint64_t bucketed = 0;
    Buckets buckets;
  };
  Open OpenBuckets() const;
  Consumers& consumers() { return consumers_; }
  // The file may be an older one than readers have seen. Accounts that are made
  // from now on have ids that none had in what it lacks: milliseconds since
  // 1970, which are more than accounts that were ever made.
  void SkipIds();
  // Writes changes of consumers now. UNAVAILABLE: it can't.
  absl::Status CommitConsumers();

  // Calls `on_record` after each record, on the ledger's thread, until the
  // handle goes; it must not block.
  using Subscription = RecordListeners::Subscription;
  std::unique_ptr<Subscription> Subscribe(std::function<void()> on_record) {
    return listeners_.Subscribe(std::move(on_record));
  }

  LedgerStatus status() const;
  const Options& options() const { return options_; }

 private:
  class Ticks;
  // One attempt to write.
  struct Attempt {
    uint64_t told = 0;
    std::shared_ptr<const Totals> read;
    LedgerCommit commit;
    Consumers::Changes consumers;
    Buckets fresh;  // of this record
  };

  Ledger(Options options, Clock& clock, std::unique_ptr<RecoverableStore> store,
         LedgerPast past);

  Moment Now() const { return {clock_.WallTime(), clock_.BootTime()}; }
  absl::Status Announce(bool deletes,
                        absl::Span<const kernel::AcctObject> counters);
  void NoteLastLabels(absl::string_view name)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status AwaitWritten();
  void Loop();
  void Write();
  Attempt Prepare();
  void Publish(Attempt attempt);
  void NoteSuccess(uint64_t told);
  void NoteFailure(const Attempt& attempt, const absl::Status& status);
  void NoteAttempt(uint64_t written);
  void BeginAnew();
  void Tidy();

  const Options options_;
  Clock& clock_;
  const std::unique_ptr<Alarm> alarm_;
  Consumers consumers_;

  // Null: not kept. Never under mutex_, as it waits for the disk.
  const std::unique_ptr<RecoverableStore> store_;
  RecordListeners listeners_;

  mutable absl::Mutex mutex_;
  const std::unique_ptr<Book> book_ ABSL_PT_GUARDED_BY(mutex_);
  // Things told of, how many of them are in the file, and how often writing
  // was tried.
  uint64_t told_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t written_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t attempts_ ABSL_GUARDED_BY(mutex_) = 0;
  bool wanted_ ABSL_GUARDED_BY(mutex_) = false;  // a record, now
  // Calls of Take() that wait. Each OnSnapshot() makes totals for them: the
  // next one may be of a reading that began before the call.
  int takers_ ABSL_GUARDED_BY(mutex_) = 0;
  std::shared_ptr<const Totals> read_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<const Totals> published_ ABSL_GUARDED_BY(mutex_);
  absl::Duration applied_ ABSL_GUARDED_BY(mutex_) = -absl::InfiniteDuration();
  // Of accounts that have closed, until they are in the file.
  std::map<uint64_t, Labels> last_labels_ ABSL_GUARDED_BY(mutex_);
  Open open_ ABSL_GUARDED_BY(mutex_);
  absl::Time last_bucket_ ABSL_GUARDED_BY(mutex_);
  LedgerStatus status_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::function<void()>> when_begun_anew_ ABSL_GUARDED_BY(mutex_);

  // On the ledger's thread.
  BookChanges pending_;  // taken from the book, not in the file
  absl::Duration next_try_ = -absl::InfiniteDuration();
  int records_since_tidying_ = 0;
  bool begun_anew_ = false;  // the next record is the first of a new file

  std::unique_ptr<SnapshotHub::Subscription> ticks_;
  SnapshotHub* hub_ = nullptr;
  std::function<Labels(absl::string_view)> labels_;
  std::thread thread_;  // last: uses all of the above
};

}  // namespace nfmeter::accounting

#endif  // NFMETER_ACCOUNTING_LEDGER_LEDGER_H_
