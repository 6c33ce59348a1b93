// SPDX-License-Identifier: GPL-3.0-or-later
// The ledger's file, for its one writer.
#ifndef NFMETER_ACCOUNTING_LEDGER_LEDGER_STORE_H_
#define NFMETER_ACCOUNTING_LEDGER_LEDGER_STORE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "accounting/common/counter_filter.h"
#include "accounting/ledger/book.h"
#include "accounting/ledger/buckets.h"
#include "accounting/ledger/consumers.h"
#include "accounting/ledger/record.h"
#include "accounting/ledger/retention.h"
#include "base/sqlite.h"

namespace nfmeter::accounting {

// Where a server runs.
struct HostIdentity {
  std::string machine_id;  // empty: this machine has none
  std::string boot_id;
  uint64_t network_namespace = 0;  // its cookie, unique in a boot
};

// What goes into the file together, or not at all.
struct LedgerCommit {
  absl::Time time;
  absl::Duration boottime;
  Record record;
  const BookChanges* changes = nullptr;  // those of the record
  uint64_t next_account = 1;
  // Of accounts that close with it.
  std::map<uint64_t, Labels> last_labels;
  // A full one is due.
  std::optional<Checkpoint> checkpoint;
  // Buckets that are over, by start; they hold all records up to and with this
  // one. Added to what is there.
  Buckets five_minutes;
  // All intents end, not only those of `changes->settled`.
  bool ends_intents = false;
};

// Owns the connection that writes. All times are the wall clock's.
//
// After an error nothing has changed, and the same may be tried again; on
// DATA_LOSS the file is damaged. Not thread-safe.
class LedgerStore {
 public:
  // Opens or makes the file. FAILED_PRECONDITION: LedgerFile() can't be opened,
  // or (LEDGER_OF_ANOTHER_NODE) belongs to another machine. `options` as of
  // LedgerFile(); if patient, it opens also on a full or read-only disk: then
  // what is there can be loaded, and each write tries to open the file. A file
  // that is made gets `node_id`; empty: a new one.
  static absl::StatusOr<std::unique_ptr<LedgerStore>> Open(
      sqlite::Options options, const HostIdentity& host,
      const std::string& node_id = "");
  static std::string NewNodeId();
  // The node id of a damaged file; empty where it can't be read.
  static std::string NodeIdOf(sqlite::Options options);

  // See sqlite::Database.
  bool opened() const { return db_->opened(); }
  const absl::Status& problem() const { return db_->problem(); }
  // Nothing more will be loaded.
  void EndLoading() { db_->EndReading(); }

  const std::string& node_id() const { return node_id_; }
  uint64_t epoch() const { return epoch_; }
  // Of the newest record; 0: none.
  uint64_t sequence() const { return sequence_; }
  // When that was written, as of the opening; absl::Time(): it is not kept.
  absl::Time record_time() const { return record_time_; }
  // The records up to this are in buckets.
  uint64_t bucketed() const { return bucketed_; }
  // The file was made just now; or it is a backup, copied at that time.
  bool is_new() const { return is_new_; }
  std::optional<absl::Time> restored_from() const { return restored_from_; }
  uint64_t record_bytes() const { return record_bytes_; }
  // Of the records since the newest checkpoint, and of that itself.
  uint64_t bytes_since_checkpoint() const { return bytes_since_checkpoint_; }
  uint64_t checkpoint_bytes() const { return checkpoint_bytes_; }

  // Everything that a book needs to go on.
  absl::StatusOr<Book::Past> LoadPast();
  // Records after `sequence`, in order.
  absl::Status ForEachRecordAfter(
      uint64_t sequence,
      absl::FunctionRef<void(absl::Time time, const Record& record)> visit);
  absl::StatusOr<std::vector<Consumer>> LoadConsumers();

  // The next record, durable when this returns its sequence. Host and changes
  // of consumers go with it.
  absl::StatusOr<uint64_t> Append(const LedgerCommit& commit,
                                  const Consumers::Changes& consumers);
  // Changes of consumers alone: no record.
  absl::Status StoreConsumers(const Consumers::Changes& consumers);

  // Notes durably which resets or deletions are about to happen, with the
  // values of now. The record that tells of one ends its intent.
  absl::Status Announce(absl::Span<const Book::Past::Intent> intents);

  // See retention.h. `acknowledged` as there.
  absl::StatusOr<Forgotten> Forget(const Retention& retention, absl::Time now,
                                   std::optional<uint64_t> acknowledged);

 private:
  LedgerStore(std::unique_ptr<sqlite::Database> db, const HostIdentity& host)
      : db_(std::move(db)), host_(host) {}

  absl::Status Identify(const std::string& path);
  absl::StatusOr<sqlite::Transaction> Begin();
  absl::Status Commit(sqlite::Transaction transaction);
  absl::Status Settle();
  absl::Status CheckUnchanged();
  absl::Status Make();
  absl::Status BeginEpoch();
  absl::Status Measure();
  absl::StatusOr<std::map<uint64_t, Amount>> LoadTotals();
  absl::Status PutConsumers(const Consumers::Changes& consumers);
  absl::Status PutBook(const LedgerCommit& commit, uint64_t sequence);
  absl::Status EndIntents(const LedgerCommit& commit);
  absl::Status PutStanding(const LedgerCommit& commit, uint64_t bucketed,
                           uint64_t bytes);

  const std::unique_ptr<sqlite::Database> db_;
  const HostIdentity host_;
  // The file says whose it is, and it is the one that was loaded.
  bool settled_ = false;
  std::string node_id_;
  uint64_t epoch_ = 0;
  uint64_t stored_epoch_ = 0;
  uint64_t sequence_ = 0;
  absl::Time record_time_;
  uint64_t bucketed_ = 0;
  uint64_t record_bytes_ = 0;
  uint64_t bytes_since_checkpoint_ = 0;
  uint64_t checkpoint_bytes_ = 0;
  bool is_new_ = false;
  bool has_intents_ = false;
  std::optional<absl::Time> restored_from_;
};

}  // namespace nfmeter::accounting

#endif  // NFMETER_ACCOUNTING_LEDGER_LEDGER_STORE_H_
