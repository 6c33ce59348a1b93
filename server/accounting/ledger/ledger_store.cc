// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/ledger/ledger_store.h"

#include <algorithm>
#include <random>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "accounting/ledger/ledger_rows.h"
#include "base/error.h"
#include "base/sqlite.h"
#include "base/status_macros.h"

namespace nfmeter::accounting {
namespace {

using sqlite::Blob;
using sqlite::Statement;
using sqlite::Transaction;

uint64_t RandomNumber() {
  std::random_device random;
  return uint64_t{random()} << 32 | random();
}

// Of 63 bits: in the file and in some languages positions are signed numbers.
uint64_t RandomEpoch() {
  uint64_t epoch = 0;
  while (epoch == 0) epoch = RandomNumber() >> 1;
  return epoch;
}

absl::Status OfAnotherNode(const std::string& path) {
  return MakeError(
      absl::StatusCode::kFailedPrecondition,
      absl::StrCat("the ledger ", path,
                   " belongs to another machine: the state directory was "
                   "copied. Give this server a directory of its own, or "
                   "move the file away: totals then begin anew"),
      ErrorDetails{.reason = "LEDGER_OF_ANOTHER_NODE",
                   .metadata = {{"path", path}}});
}

}  // namespace

// --- Opening -----------------------------------------------------------------

absl::StatusOr<std::unique_ptr<LedgerStore>> LedgerStore::Open(
    sqlite::Options options, const HostIdentity& host,
    const std::string& node_id) {
  const std::string path = options.path;
  const bool patient = options.patient;
  NFM_ASSIGN_OR_RETURN(auto db, sqlite::Database::Open(std::move(options)));
  auto store = absl::WrapUnique(new LedgerStore(std::move(db), host));
  NFM_ASSIGN_OR_RETURN(const int64_t known,
                       store->db_->QueryNumber("SELECT count(*) FROM ledger"));
  store->is_new_ = known == 0;
  if (store->is_new_) {
    store->node_id_ = node_id.empty() ? NewNodeId() : node_id;
    store->epoch_ = RandomEpoch();
  } else {
    NFM_RETURN_IF_ERROR(store->Identify(path));
  }
  NFM_RETURN_IF_ERROR(store->Measure());
  if (!store->opened()) return store;
  absl::StatusOr<Transaction> transaction = store->Begin();
  absl::Status settled = transaction.status();
  if (settled.ok()) settled = store->Commit(*std::move(transaction));
  // If the disk can't take it now, the first write settles it.
  if (!settled.ok() && !(patient && absl::IsUnavailable(settled))) {
    return settled;
  }
  return store;
}

std::string LedgerStore::NewNodeId() {
  return absl::StrCat(absl::Hex(RandomNumber(), absl::kZeroPad16),
                      absl::Hex(RandomNumber(), absl::kZeroPad16));
}

std::string LedgerStore::NodeIdOf(sqlite::Options options) {
  options.read_only = true;
  options.patient = true;
  const auto db = sqlite::Database::Open(std::move(options));
  if (!db.ok()) return "";
  auto row = (*db)->Prepare("SELECT node_id FROM ledger");
  if (!row.ok() || !row->Step().value_or(false)) return "";
  return std::string(row->Bytes(0));
}

absl::Status LedgerStore::Identify(const std::string& path) {
  NFM_ASSIGN_OR_RETURN(
      Statement who,
      db_->Prepare("SELECT node_id, machine_id, epoch, backup_of FROM ledger"));
  NFM_RETURN_IF_ERROR(who.Step().status());
  node_id_ = std::string(who.Bytes(0));
  const std::string machine_id(who.Bytes(1));
  const bool foreign = !machine_id.empty() && !host_.machine_id.empty() &&
                       machine_id != host_.machine_id;
  if (foreign) return OfAnotherNode(path);
  epoch_ = stored_epoch_ = who.Uint64(2);
  if (const int64_t backup_of = who.Int64(3); backup_of != 0) {
    restored_from_ = absl::FromUnixNanos(backup_of);
    epoch_ = RandomEpoch();
  }
  return absl::OkStatus();
}

// Begins a transaction; all writes go through this.
absl::StatusOr<Transaction> LedgerStore::Begin() {
  NFM_ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(*db_));
  if (!settled_) NFM_RETURN_IF_ERROR(Settle());
  return transaction;
}

absl::Status LedgerStore::Commit(Transaction transaction) {
  NFM_RETURN_IF_ERROR(transaction.Commit());
  settled_ = true;
  return absl::OkStatus();
}

absl::Status LedgerStore::Settle() {
  NFM_RETURN_IF_ERROR(CheckUnchanged());
  if (is_new_) return Make();
  return restored_from_.has_value() ? BeginEpoch() : absl::OkStatus();
}

// While the disk took nothing it may have been exchanged for another one.
absl::Status LedgerStore::CheckUnchanged() {
  NFM_ASSIGN_OR_RETURN(
      Statement row,
      db_->Prepare("SELECT node_id, epoch, max((SELECT coalesce(max(sequence), "
                   "0) FROM records), (SELECT coalesce(max(sequence), 0) FROM "
                   "checkpoints)) FROM ledger"));
  NFM_ASSIGN_OR_RETURN(const bool found, row.Step());
  const bool same = found ? !is_new_ && row.Bytes(0) == node_id_ &&
                                row.Uint64(1) == stored_epoch_ &&
                                row.Uint64(2) == sequence_
                          : is_new_;
  if (same) return absl::OkStatus();
  return MakeError(absl::StatusCode::kUnavailable, "LEDGER_FAILED",
                   "the ledger failed: its file is another one than when this "
                   "server started; start the server anew to go on with it");
}

absl::Status LedgerStore::Make() {
  NFM_ASSIGN_OR_RETURN(Statement make,
                       db_->Prepare("INSERT INTO ledger VALUES "
                                    "(1, ?1, ?2, ?3, ?4, ?5, 1, 0, 0, 0, 0)"));
  return make.Run(node_id_, host_.machine_id, host_.boot_id,
                  host_.network_namespace, epoch_);
}

// Positions of before are void: what follows may differ from what readers have
// seen.
absl::Status LedgerStore::BeginEpoch() {
  NFM_ASSIGN_OR_RETURN(
      Statement begin,
      db_->Prepare("UPDATE ledger SET machine_id = ?1, epoch = ?2, "
                   "backup_of = 0"));
  return begin.Run(host_.machine_id, epoch_);
}

absl::Status LedgerStore::Measure() {
  NFM_ASSIGN_OR_RETURN(Statement row,
                       db_->Prepare("SELECT bucketed, record_bytes, "
                                    "(SELECT max(sequence) FROM records), "
                                    "(SELECT max(sequence) FROM checkpoints), "
                                    "EXISTS (SELECT 1 FROM intents), "
                                    "(SELECT time FROM records "
                                    "ORDER BY sequence DESC LIMIT 1) "
                                    "FROM ledger"));
  NFM_ASSIGN_OR_RETURN(const bool found, row.Step());
  if (!found) return absl::OkStatus();
  bucketed_ = row.Uint64(0);
  record_bytes_ = row.Uint64(1);
  const uint64_t checkpoint = row.Uint64(3);
  sequence_ = std::max(row.Uint64(2), checkpoint);
  has_intents_ = row.Int64(4) != 0;
  record_time_ = FromStored(row.Int64(5), absl::Time());
  NFM_ASSIGN_OR_RETURN(const int64_t since,
                       db_->QueryNumber(absl::StrCat(
                           "SELECT coalesce(sum(length(body)), 0) FROM records "
                           "WHERE sequence > ",
                           checkpoint)));
  NFM_ASSIGN_OR_RETURN(const int64_t size,
                       db_->QueryNumber(absl::StrCat(
                           "SELECT coalesce(max(length(body)), 0) FROM "
                           "checkpoints WHERE sequence = ",
                           checkpoint)));
  bytes_since_checkpoint_ = static_cast<uint64_t>(since);
  checkpoint_bytes_ = static_cast<uint64_t>(size);
  return absl::OkStatus();
}

// --- Loading -----------------------------------------------------------------

absl::StatusOr<std::map<uint64_t, Amount>> LedgerStore::LoadTotals() {
  std::map<uint64_t, Amount> totals;
  uint64_t from = 0;
  {
    NFM_ASSIGN_OR_RETURN(Statement newest,
                         db_->Prepare("SELECT sequence, body FROM checkpoints "
                                      "ORDER BY sequence DESC LIMIT 1"));
    NFM_ASSIGN_OR_RETURN(const bool found, newest.Step());
    if (found) {
      from = newest.Uint64(0);
      NFM_ASSIGN_OR_RETURN(const Checkpoint checkpoint,
                           DecodeCheckpoint(newest.Bytes(1)));
      for (const Checkpoint::Row& row : checkpoint.rows) {
        totals.emplace_hint(totals.end(), row.account, row.total);
      }
    }
  }
  NFM_RETURN_IF_ERROR(
      ForEachRecordAfter(from, [&](absl::Time, const Record& record) {
        for (const Record::Row& row : record.rows) {
          totals[row.account] += row.delta;
        }
      }));
  return totals;
}

absl::StatusOr<Book::Past> LedgerStore::LoadPast() {
  Book::Past past;
  {
    NFM_ASSIGN_OR_RETURN(Statement row,
                         db_->Prepare("SELECT boot_id, network_namespace, "
                                      "next_account, last_reading "
                                      "FROM ledger"));
    NFM_RETURN_IF_ERROR(row.Step().status());
    past.same_boot = row.Bytes(0) == host_.boot_id;
    past.same_namespace = row.Uint64(1) == host_.network_namespace;
    past.next_id = row.Uint64(2);
    past.last_reading = FromStored(row.Int64(3), absl::InfinitePast());
  }
  NFM_ASSIGN_OR_RETURN(const auto totals, LoadTotals());
  NFM_ASSIGN_OR_RETURN(
      Statement accounts,
      db_->Prepare(absl::StrCat("SELECT ", kAccountColumns,
                                " FROM accounts WHERE state < 3")));
  NFM_RETURN_IF_ERROR(sqlite::ForEachRow(accounts, [&] {
    Account account = ReadAccount(accounts).account;
    const auto total = totals.find(account.id);
    past.accounts.push_back(
        {std::move(account), total == totals.end() ? Amount() : total->second});
  }));
  NFM_ASSIGN_OR_RETURN(Statement intents,
                       db_->Prepare("SELECT account, deletes, packets, bytes, "
                                    "time FROM intents"));
  NFM_RETURN_IF_ERROR(sqlite::ForEachRow(intents, [&] {
    past.intents.push_back({.account = intents.Uint64(0),
                            .deletes = intents.Int64(1) != 0,
                            .value = {intents.Uint64(2), intents.Uint64(3)},
                            .time = absl::FromUnixNanos(intents.Int64(4))});
  }));
  return past;
}

absl::Status LedgerStore::ForEachRecordAfter(
    uint64_t sequence,
    absl::FunctionRef<void(absl::Time, const Record&)> visit) {
  NFM_ASSIGN_OR_RETURN(
      Statement records,
      db_->Prepare("SELECT time, body FROM records WHERE sequence > ?1 "
                   "ORDER BY sequence"));
  records.Bind(1, sequence);
  return sqlite::ForEachRow(records, [&]() -> absl::Status {
    NFM_ASSIGN_OR_RETURN(const Record record, DecodeRecord(records.Bytes(1)));
    visit(absl::FromUnixNanos(records.Int64(0)), record);
    return absl::OkStatus();
  });
}

absl::StatusOr<std::vector<Consumer>> LedgerStore::LoadConsumers() {
  NFM_ASSIGN_OR_RETURN(
      Statement rows,
      db_->Prepare("SELECT name, owner, sequence, created, acknowledged "
                   "FROM consumers"));
  std::vector<Consumer> consumers;
  NFM_RETURN_IF_ERROR(sqlite::ForEachRow(rows, [&] {
    consumers.push_back(
        {.name = std::string(rows.Bytes(0)),
         .owner = std::string(rows.Bytes(1)),
         .sequence = rows.Uint64(2),
         .create_time = absl::FromUnixNanos(rows.Int64(3)),
         .ack_time = FromStored(rows.Int64(4), absl::InfinitePast())});
  }));
  return consumers;
}

// --- Appending ---------------------------------------------------------------

absl::StatusOr<uint64_t> LedgerStore::Append(
    const LedgerCommit& commit, const Consumers::Changes& consumers) {
  const uint64_t sequence = sequence_ + 1;
  const std::string body = Encode(commit.record);
  const std::string checkpoint =
      commit.checkpoint.has_value() ? Encode(*commit.checkpoint) : "";
  const uint64_t bucketed = commit.five_minutes.empty() ? bucketed_ : sequence;
  NFM_ASSIGN_OR_RETURN(Transaction transaction, Begin());
  {
    NFM_ASSIGN_OR_RETURN(
        Statement record,
        db_->Prepare("INSERT INTO records VALUES (?1, ?2, ?3, ?4)"));
    NFM_RETURN_IF_ERROR(record.Run(sequence, absl::ToUnixNanos(commit.time),
                                   absl::ToInt64Nanoseconds(commit.boottime),
                                   Blob{body}));
  }
  NFM_RETURN_IF_ERROR(PutBook(commit, sequence));
  if (commit.checkpoint.has_value()) {
    NFM_ASSIGN_OR_RETURN(Statement put, db_->Prepare("INSERT INTO checkpoints "
                                                     "VALUES (?1, ?2)"));
    NFM_RETURN_IF_ERROR(put.Run(sequence, Blob{checkpoint}));
  }
  NFM_RETURN_IF_ERROR(StoreBuckets(*db_, commit.five_minutes));
  NFM_RETURN_IF_ERROR(PutConsumers(consumers));
  NFM_RETURN_IF_ERROR(PutStanding(commit, bucketed, body.size()));
  NFM_RETURN_IF_ERROR(Commit(std::move(transaction)));
  sequence_ = sequence;
  bucketed_ = bucketed;
  record_bytes_ += body.size();
  bytes_since_checkpoint_ += body.size();
  if (commit.checkpoint.has_value()) {
    bytes_since_checkpoint_ = 0;
    checkpoint_bytes_ = checkpoint.size();
  }
  if (commit.ends_intents) has_intents_ = false;
  return sequence;
}

absl::Status LedgerStore::PutBook(const LedgerCommit& commit,
                                  uint64_t sequence) {
  NFM_RETURN_IF_ERROR(
      PutAccounts(*db_, commit.changes->accounts, commit.last_labels));
  NFM_RETURN_IF_ERROR(PutGaps(*db_, sequence, commit.changes->gaps));
  return EndIntents(commit);
}

absl::Status LedgerStore::EndIntents(const LedgerCommit& commit) {
  if (!has_intents_) return absl::OkStatus();
  if (commit.ends_intents) return db_->Execute("DELETE FROM intents");
  NFM_ASSIGN_OR_RETURN(Statement end,
                       db_->Prepare("DELETE FROM intents WHERE account = ?1"));
  for (const uint64_t account : commit.changes->settled) {
    NFM_RETURN_IF_ERROR(end.Run(account));
  }
  return absl::OkStatus();
}

absl::Status LedgerStore::PutStanding(const LedgerCommit& commit,
                                      uint64_t bucketed, uint64_t bytes) {
  NFM_ASSIGN_OR_RETURN(
      Statement put,
      db_->Prepare("UPDATE ledger SET boot_id = ?1, network_namespace = ?2, "
                   "next_account = ?3, bucketed = ?4, "
                   "record_bytes = record_bytes + ?5, "
                   "last_reading = CASE WHEN ?6 = 0 THEN last_reading "
                   "ELSE ?6 END"));
  const auto& reading = commit.changes->reading;
  return put.Run(host_.boot_id, host_.network_namespace, commit.next_account,
                 bucketed, bytes,
                 reading.has_value() ? ToStored(reading->wall) : 0);
}

absl::Status LedgerStore::Announce(
    absl::Span<const Book::Past::Intent> intents) {
  NFM_ASSIGN_OR_RETURN(Transaction transaction, Begin());
  {
    NFM_ASSIGN_OR_RETURN(Statement put,
                         db_->Prepare("INSERT OR REPLACE INTO intents "
                                      "VALUES (?1, ?2, ?3, ?4, ?5)"));
    for (const Book::Past::Intent& intent : intents) {
      NFM_RETURN_IF_ERROR(put.Run(intent.account, intent.deletes ? 1 : 0,
                                  intent.value.packets, intent.value.bytes,
                                  absl::ToUnixNanos(intent.time)));
    }
  }
  NFM_RETURN_IF_ERROR(Commit(std::move(transaction)));
  has_intents_ = has_intents_ || !intents.empty();
  return absl::OkStatus();
}

absl::Status LedgerStore::StoreConsumers(const Consumers::Changes& consumers) {
  NFM_ASSIGN_OR_RETURN(Transaction transaction, Begin());
  NFM_RETURN_IF_ERROR(PutConsumers(consumers));
  return Commit(std::move(transaction));
}

absl::Status LedgerStore::PutConsumers(const Consumers::Changes& consumers) {
  if (consumers.empty()) return absl::OkStatus();
  NFM_ASSIGN_OR_RETURN(Statement put,
                       db_->Prepare("INSERT OR REPLACE INTO consumers "
                                    "VALUES (?1, ?2, ?3, ?4, ?5)"));
  for (const Consumer& consumer : consumers.put) {
    NFM_RETURN_IF_ERROR(put.Run(
        consumer.name, consumer.owner, consumer.sequence,
        absl::ToUnixNanos(consumer.create_time), ToStored(consumer.ack_time)));
  }
  NFM_ASSIGN_OR_RETURN(Statement remove,
                       db_->Prepare("DELETE FROM consumers WHERE name = ?1"));
  for (const std::string& name : consumers.removed) {
    NFM_RETURN_IF_ERROR(remove.Run(name));
  }
  return absl::OkStatus();
}

absl::StatusOr<Forgotten> LedgerStore::Forget(
    const Retention& retention, absl::Time now,
    std::optional<uint64_t> acknowledged) {
  NFM_ASSIGN_OR_RETURN(
      const Forgotten forgotten,
      ForgetOld(*db_, retention, now, record_bytes_, bucketed_, acknowledged));
  record_bytes_ -= forgotten.record_bytes;
  return forgotten;
}

}  // namespace nfmeter::accounting
