// SPDX-License-Identifier: GPL-3.0-or-later
// The totals of all counters, in memory.
#ifndef NFMETER_ACCOUNTING_LEDGER_BOOK_H_
#define NFMETER_ACCOUNTING_LEDGER_BOOK_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "accounting/ledger/account.h"
#include "accounting/ledger/book_changes.h"
#include "accounting/ledger/record.h"
#include "accounting/snapshots/snapshot.h"
#include "kernel/acct_table.h"

namespace nfmeter::accounting {

// Follows what happens to counters and keeps a total for each that never falls.
// Pure: no threads, no clock, no disk. Told in the order in which things
// happened, which is that of the counter lane.
//
// What cannot be known, a value that somebody zeroed between two readings, say,
// closes the account's segment and is told as a gap. A reset that was overtaken
// within one interval, so that the value did not go back, is not noticed.
//
// Not thread-safe.
class Book {
 public:
  // How the life before this one ended.
  struct Past {
    struct Entry {
      Account account;
      Amount total;
    };
    // A reset or deletion that was announced, and whose outcome was not told.
    struct Intent {
      uint64_t account = 0;
      bool deletes = false;
      Amount value;  // just before
      absl::Time time;
    };
    std::vector<Entry> accounts;  // live and absent ones
    uint64_t next_id = 1;
    absl::Time last_reading;  // InfinitePast(): there was none
    bool same_boot = true;
    bool same_namespace = true;
    std::vector<Intent> intents;  // at most one an account
  };

  // A new ledger.
  Book() = default;
  // One that goes on. What the past leaves open is settled by the first
  // complete reading.
  explicit Book(Past past);

  Book(const Book&) = delete;
  Book& operator=(const Book&) = delete;

  // --- What happens; names are the kernel's bytes ---

  // We have made these, with the values that they start from.
  void NoteCreated(absl::Span<const kernel::AcctObject> objects, Moment now);
  // We have zeroed these, with the values read in the same step.
  void NoteReset(absl::Span<const kernel::AcctObject> objects, Moment now);
  // We have deleted these, with their last values.
  void NoteDeleted(absl::Span<const kernel::AcctObject> objects, Moment now);
  // Other objects have counted so much for these, while they were made anew. 0:
  // nobody knows how much, as the server ended before it could tell; a gap.
  void NoteMerged(absl::Span<const kernel::AcctObject> objects, Moment now);
  // What people call a counter has changed.
  void NoteLabels(absl::string_view name);
  // A complete reading.
  void NoteSnapshot(const Snapshot& snapshot);
  // Somebody knows that a counter may have missed something.
  void NoteGap(absl::string_view name, GapCause cause, absl::Time from,
               absl::Time to);
  // The same, of all.
  void NoteGap(Gap gap);
  // Closes accounts that have been absent since before `time`.
  void CloseAbsent(absl::Time time);

  // --- What is known ---

  struct Position {
    Account account;
    Amount total;

    // The newest value of the kernel's object that is known.
    Amount value() const { return total - account.base + account.kernel_base; }
  };
  // Of a live or absent counter.
  std::optional<Position> Find(absl::string_view name) const;
  // Of a counter whose kernel value was read, not before `since`. Its total is
  // not below any that was known or told before: a value that went back, or
  // that may be of before a reset, is for NoteSnapshot() to judge, which learns
  // here what was told between two readings. `now` is since boot, as `since`.
  struct Known {
    Amount total;
    absl::Time create_time;  // see Account
    absl::Time start_time;
    absl::Time reset_time = absl::InfinitePast();
  };
  std::optional<Known> Describe(absl::string_view name, Amount value,
                                absl::Duration since, absl::Duration now);
  // The totals of that by rows of a part of a snapshot, whether or not
  // NoteSnapshot() was given it. Of counters that are not known, all that they
  // have counted.
  std::vector<Amount> DescribeTotals(const Snapshot& snapshot,
                                     const SnapshotChunk& chunk,
                                     absl::Duration now);
  // The totals by rows of the snapshot that NoteSnapshot() was given last.
  std::vector<Amount> TotalsOf(const Snapshot& snapshot) const;
  // All live and absent ones, by id.
  std::vector<Past::Entry> All() const;
  // As last taken, for a checkpoint after that.
  Checkpoint Totals() const;

  size_t live_count() const { return live_count_; }
  size_t absent_count() const { return by_name_.size() - live_count_; }
  uint64_t next_id() const { return next_id_; }
  // New accounts get no id before this.
  void SkipIds(uint64_t to) { next_id_ = std::max(next_id_, to); }
  // Since this book was made.
  uint64_t foreign_resets() const { return foreign_resets_; }

  // Adds what changed since the last Take() to `changes`.
  void Take(BookChanges& changes);
  // For a new file: from now on all totals count as changed from 0. So do those
  // in `changes`, which have been taken and written nowhere.
  void TakeAllAgain(BookChanges& changes);

 private:
  static constexpr uint32_t kNone = ~uint32_t{0};

  // What a reading touches, in one cache line each.
  // total = last + offset; offset = base - kernel_base.
  struct Tally {
    Amount offset;
    Amount last;   // the newest kernel value known
    Amount taken;  // the total as taken
    uint32_t snapshot_id = kNone;
    uint32_t pass = 0;  // in which it was last seen
    bool live = false;
    bool moved = false;    // is in moved_
    bool changed = false;  // is in changed_

    Amount total() const { return last + offset; }
  };

  static constexpr absl::Duration kNever = -absl::InfiniteDuration();
  // A kernel value, higher than any reading's, that somebody was told of.
  struct Told {
    Amount value;
    absl::Duration by = kNever;  // it was read by then, since boot
  };

  uint32_t SlotOf(absl::string_view name) const;
  uint32_t SlotOf(const Snapshot& snapshot, uint32_t id);
  uint32_t FindSlot(const Snapshot& snapshot, uint32_t id) const;
  Amount TotalAt(uint32_t slot, Amount value, absl::Duration since,
                 absl::Duration now);
  // The newest kernel value known, told ones included.
  Amount Newest(uint32_t slot) const;
  // A told value becomes one that was read.
  void TakeTold(uint32_t slot);
  uint32_t Open(absl::string_view name, Moment now);
  void Close(uint32_t slot, absl::Time now);
  void BeginSegment(uint32_t slot, Amount kernel_base, Moment now);
  // A new kernel object of a counter that was away.
  void Return(uint32_t slot, Amount kernel_base, Moment now);
  void Lose(uint32_t slot, absl::Time now);
  // `read_after`: since boot; kNever: that can't be told.
  void Observe(uint32_t slot, Amount value, Moment now,
               absl::Duration read_after = kNever);
  void Settle(uint32_t slot, Amount value, Moment now);
  void LookForMissing(absl::Time now);
  void EndFirstReading(absl::Time now);
  void AddGap(Gap gap);
  void MarkMoved(uint32_t slot);
  void MarkChanged(uint32_t slot);

  // By slot. Slots of closed accounts are used again.
  std::vector<Tally> tallies_;
  std::vector<Account> accounts_;
  std::vector<absl::Duration> rebased_;  // when `offset` last changed
  std::vector<Told> told_;
  std::vector<uint32_t> free_slots_;
  absl::flat_hash_map<std::string, uint32_t> by_name_;  // live and absent
  size_t live_count_ = 0;
  uint64_t next_id_ = 1;
  uint64_t foreign_resets_ = 0;

  // Slots by the ids of snapshots of this epoch.
  uint64_t snapshot_epoch_ = 0;
  std::vector<uint32_t> slots_by_id_;
  uint32_t pass_ = 0;

  absl::Time last_reading_ = absl::InfinitePast();
  absl::Duration last_reading_boottime_ = absl::InfiniteDuration();
  // Until the first complete reading of a life that goes on: what the time
  // since the last one is.
  std::optional<GapCause> down_;
  absl::flat_hash_map<uint64_t, Past::Intent> intents_;  // by account

  // Since the last Take().
  std::vector<uint32_t> moved_;
  std::vector<uint32_t> changed_;
  BookChanges closed_;  // accounts that have left, and gaps, readings
};

}  // namespace nfmeter::accounting

#endif  // NFMETER_ACCOUNTING_LEDGER_BOOK_H_
