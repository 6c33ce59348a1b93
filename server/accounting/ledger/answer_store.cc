// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/ledger/answer_store.h"

#include "absl/memory/memory.h"
#include "accounting/ledger/schema.h"
#include "base/sqlite.h"
#include "base/status_macros.h"

namespace nfmeter::accounting {

using sqlite::Blob;
using sqlite::Statement;
using sqlite::Transaction;

absl::StatusOr<std::unique_ptr<AnswerStore>> AnswerStore::Open(
    const std::string& ledger_path, bool awaits_new_file) {
  if (awaits_new_file) {
    return absl::WrapUnique(new AnswerStore(ledger_path, nullptr));
  }
  sqlite::Options file = LedgerFile(ledger_path);
  file.patient = true;
  NFM_ASSIGN_OR_RETURN(auto db, sqlite::Database::Open(std::move(file)));
  return absl::WrapUnique(new AnswerStore(ledger_path, std::move(db)));
}

absl::Status AnswerStore::BeginAnew() {
  {
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(
        +[](bool* writing) { return !*writing; }, &writing_));
    writing_ = true;
  }
  db_.reset();
  const absl::Status status = Reopen();
  absl::MutexLock lock(&mutex_);
  writing_ = false;
  return status;
}

absl::Status AnswerStore::Reopen() {
  NFM_ASSIGN_OR_RETURN(db_, sqlite::Database::Open(LedgerFile(path_)));
  return absl::OkStatus();
}

// One caller writes for all that wait, as each transaction waits for the disk.
absl::Status AnswerStore::Put(StoredAnswer answer, std::vector<Key> forgotten) {
  Waiting call{.answer = &answer, .forgotten = &forgotten};
  std::vector<Waiting*> calls;
  {
    absl::MutexLock lock(&mutex_);
    waiting_.push_back(&call);
    const auto served = [&] {
      mutex_.AssertReaderHeld();
      return call.done || !writing_;
    };
    mutex_.Await(absl::Condition(&served));
    if (call.done) return call.status;
    writing_ = true;
    calls.swap(waiting_);
  }
  const absl::Status status = Write(calls);
  absl::MutexLock lock(&mutex_);
  writing_ = false;
  for (Waiting* each : calls) {
    each->status = status;
    each->done = true;
  }
  return status;
}

absl::Status AnswerStore::Write(const std::vector<Waiting*>& calls) {
  if (db_ == nullptr) NFM_RETURN_IF_ERROR(Reopen());
  NFM_ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(*db_));
  {
    NFM_ASSIGN_OR_RETURN(Statement put,
                         db_->Prepare("INSERT OR REPLACE INTO answers "
                                      "VALUES (?1, ?2, ?3, ?4, ?5)"));
    NFM_ASSIGN_OR_RETURN(Statement forget,
                         db_->Prepare("DELETE FROM answers WHERE method = ?1 "
                                      "AND request_id = ?2"));
    for (const Waiting* call : calls) {
      for (const auto& [method, request_id] : *call->forgotten) {
        NFM_RETURN_IF_ERROR(forget.Run(method, request_id));
      }
    }
    for (const Waiting* call : calls) {
      const StoredAnswer& answer = *call->answer;
      NFM_RETURN_IF_ERROR(put.Run(answer.method, answer.request_id,
                                  answer.fingerprint, Blob{answer.answer},
                                  absl::ToUnixNanos(answer.time)));
    }
  }
  return transaction.Commit();
}

absl::StatusOr<std::vector<StoredAnswer>> AnswerStore::Load(absl::Time since) {
  if (db_ == nullptr) return std::vector<StoredAnswer>();
  NFM_ASSIGN_OR_RETURN(std::vector<StoredAnswer> answers, Read(since));
  db_->EndReading();
  return answers;
}

absl::StatusOr<std::vector<StoredAnswer>> AnswerStore::Read(absl::Time since) {
  if (db_->opened()) {
    NFM_ASSIGN_OR_RETURN(Statement forget,
                         db_->Prepare("DELETE FROM answers WHERE time < ?1"));
    const absl::Status forgotten = forget.Run(absl::ToUnixNanos(since));
    // A full disk keeps them a while longer.
    if (!forgotten.ok() && !absl::IsUnavailable(forgotten)) return forgotten;
  }
  NFM_ASSIGN_OR_RETURN(
      Statement rows,
      db_->Prepare("SELECT method, request_id, fingerprint, answer, time "
                   "FROM answers WHERE time >= ?1 ORDER BY time, rowid"));
  rows.Bind(1, absl::ToUnixNanos(since));
  std::vector<StoredAnswer> answers;
  NFM_RETURN_IF_ERROR(sqlite::ForEachRow(rows, [&] {
    answers.push_back({.method = std::string(rows.Bytes(0)),
                       .request_id = std::string(rows.Bytes(1)),
                       .fingerprint = rows.Uint64(2),
                       .answer = std::string(rows.Bytes(3)),
                       .time = absl::FromUnixNanos(rows.Int64(4))});
  }));
  return answers;
}

}  // namespace nfmeter::accounting
