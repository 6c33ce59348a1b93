// SPDX-License-Identifier: GPL-3.0-or-later
// The ledger's store, through what can happen to its file.
#ifndef NFMETER_ACCOUNTING_LEDGER_RECOVERABLE_STORE_H_
#define NFMETER_ACCOUNTING_LEDGER_RECOVERABLE_STORE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "accounting/ledger/account.h"
#include "accounting/ledger/book.h"
#include "accounting/ledger/buckets.h"
#include "accounting/ledger/consumers.h"
#include "accounting/ledger/ledger_store.h"
#include "accounting/ledger/retention.h"
#include "base/clock.h"

namespace nfmeter::accounting {

// What the lives before this one have left in the file.
struct LedgerPast {
  std::optional<Book::Past> book;  // none: the file is new
  std::vector<Consumer> consumers;
  // What was counted in the records that no bucket in the file has yet, and
  // the bucket of the newest of them.
  Buckets buckets;
  absl::Time last_bucket;
  absl::Time record_time;  // of the newest; absl::Time(): none is kept
  std::vector<Gap> gaps;   // which the state of the file makes
};

// A LedgerStore that does without its file for a while. Where the disk takes
// nothing when it is opened, the past is read and writing is tried again; a
// file that is damaged is put aside, and another begun in its place. Until that
// succeeds there is none, and all that writes fails with DATA_LOSS.
//
// Thread-safe; a call waits for the disk writes of others.
class RecoverableStore {
 public:
  struct Options {
    std::string path;
    std::string vfs;  // see sqlite::Options
    HostIdentity host;
  };
  struct Opened {
    std::unique_ptr<RecoverableStore> store;
    LedgerPast past;
  };

  // Opens or makes the file, or reads what is there. Statuses:
  // LedgerStore::Open(). `clock` must outlive the store.
  static absl::StatusOr<Opened> Open(Options options, Clock& clock);

  struct State {
    bool opened = false;   // the file is; else the disk has not taken it yet
    absl::Status problem;  // why it is not
    std::string node_id;
    uint64_t epoch = 0;
    uint64_t sequence = 0;  // of the newest record
    uint64_t bucketed = 0;  // the records up to this are in buckets
    uint64_t record_bytes = 0;
    std::string damaged_file;  // where a damaged one was put, if one was
  };
  State state() const;
  // A damaged file is still in its place.
  bool awaits_new_file() const;
  // The last record failed as the file is damaged: BeginAnew() is due.
  bool damaged() const;
  // The next record is to have a checkpoint, so that reading from the newest
  // one stays short.
  bool checkpoint_due() const;

  // Puts the damaged file aside and makes another, in a new epoch.
  absl::Status BeginAnew();

  // See LedgerStore.
  absl::Status Append(const LedgerCommit& commit,
                      const Consumers::Changes& consumers);
  absl::Status StoreConsumers(const Consumers::Changes& consumers);
  absl::Status Announce(absl::Span<const Book::Past::Intent> intents);
  absl::StatusOr<Forgotten> Forget(const Retention& retention, absl::Time now,
                                   std::optional<uint64_t> acknowledged);

 private:
  RecoverableStore(Options options, Clock& clock)
      : options_(std::move(options)), clock_(clock) {}

  absl::StatusOr<LedgerPast> OpenFile();
  absl::StatusOr<LedgerPast> LoadPast() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool PutAside() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void TakeState() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Written(absl::Status status)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Options options_;
  Clock& clock_;

  // Held over disk writes.
  mutable absl::Mutex mutex_;
  // Null: the file is damaged, and there is no other yet.
  std::unique_ptr<LedgerStore> store_ ABSL_GUARDED_BY(mutex_);
  State state_ ABSL_GUARDED_BY(mutex_);
  bool damaged_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace nfmeter::accounting

#endif  // NFMETER_ACCOUNTING_LEDGER_RECOVERABLE_STORE_H_
