// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/ledger/ledger_reader.h"

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "accounting/ledger/schema.h"
#include "base/error.h"
#include "base/sqlite.h"
#include "base/status_macros.h"

namespace nfmeter::accounting {

using sqlite::Statement;

absl::StatusOr<std::unique_ptr<LedgerReader>> LedgerReader::Open(
    const std::string& path) {
  sqlite::Options options = LedgerFile(path);
  options.read_only = true;
  NFM_ASSIGN_OR_RETURN(auto db, sqlite::Database::Open(std::move(options)));
  return absl::WrapUnique(new LedgerReader(std::move(db)));
}

absl::StatusOr<uint64_t> LedgerReader::StandStill() {
  NFM_ASSIGN_OR_RETURN(
      sqlite::Transaction transaction,
      sqlite::Transaction::Begin(*db_, sqlite::Transaction::Kind::kRead));
  still_.emplace(std::move(transaction));
  // The first read makes it stand.
  NFM_ASSIGN_OR_RETURN(const int64_t bucketed,
                       db_->QueryNumber("SELECT bucketed FROM ledger"));
  return static_cast<uint64_t>(bucketed);
}

absl::StatusOr<std::optional<LedgerReader::Totals>> LedgerReader::TotalsAfter(
    uint64_t sequence) {
  // One state of the file, while the writer may forget what is old.
  NFM_ASSIGN_OR_RETURN(
      const sqlite::Transaction transaction,
      sqlite::Transaction::Begin(*db_, sqlite::Transaction::Kind::kRead));
  Totals totals;
  uint64_t from = 0;
  {
    NFM_ASSIGN_OR_RETURN(
        Statement nearest,
        db_->Prepare("SELECT sequence, body FROM checkpoints "
                     "WHERE sequence <= ?1 ORDER BY sequence DESC LIMIT 1"));
    nearest.Bind(1, sequence);
    NFM_ASSIGN_OR_RETURN(const bool found, nearest.Step());
    if (found) {
      from = nearest.Uint64(0);
      NFM_ASSIGN_OR_RETURN(const Checkpoint checkpoint,
                           DecodeCheckpoint(nearest.Bytes(1)));
      totals.reserve(checkpoint.rows.size());
      for (const Checkpoint::Row& row : checkpoint.rows) {
        totals[row.account] = row.total;
      }
    }
  }
  NFM_ASSIGN_OR_RETURN(Statement records,
                       db_->Prepare("SELECT sequence, body FROM records "
                                    "WHERE sequence > ?1 AND sequence <= ?2 "
                                    "ORDER BY sequence"));
  records.Bind(1, from);
  records.Bind(2, sequence);
  while (from < sequence) {
    NFM_ASSIGN_OR_RETURN(const bool found, records.Step());
    if (!found || records.Uint64(0) != from + 1) {
      return std::optional<Totals>();
    }
    ++from;
    NFM_ASSIGN_OR_RETURN(const Record record, DecodeRecord(records.Bytes(1)));
    for (const Record::Row& row : record.rows) totals[row.account] += row.delta;
  }
  records.Reset();
  // Totals of long ago are of use only with what came after.
  NFM_ASSIGN_OR_RETURN(
      const int64_t oldest,
      db_->QueryNumber("SELECT coalesce(min(sequence), 0) FROM records"));
  if (static_cast<uint64_t>(oldest) > sequence + 1) {
    return std::optional<Totals>();
  }
  return totals;
}

absl::StatusOr<std::optional<LedgerReader::Step>> LedgerReader::Next(
    uint64_t sequence) {
  if (!next_.has_value()) {
    NFM_ASSIGN_OR_RETURN(
        next_, db_->Prepare("SELECT sequence, time, body FROM records "
                            "WHERE sequence > ?1 ORDER BY sequence LIMIT 1"));
  }
  next_->Bind(1, sequence);
  const absl::StatusOr<bool> found = next_->Step();
  if (!found.ok()) return found.status();
  if (!*found) return std::optional<Step>();
  Step step = {.sequence = next_->Uint64(0),
               .time = absl::FromUnixNanos(next_->Int64(1))};
  absl::StatusOr<Record> record = DecodeRecord(next_->Bytes(2));
  next_->Reset();
  if (!record.ok()) return record.status();
  if (step.sequence != sequence + 1) {
    return MakeError(absl::StatusCode::kDataLoss, "RECORDS_DROPPED",
                     absl::StrCat("record ", sequence + 1, " is gone"));
  }
  step.record = *std::move(record);
  if (step.record.gaps == 0) return step;
  NFM_ASSIGN_OR_RETURN(step.gaps, GapsOfRecords(step.sequence, step.sequence));
  return step;
}

absl::StatusOr<std::vector<Gap>> LedgerReader::GapsOfRecords(uint64_t first,
                                                             uint64_t last) {
  NFM_ASSIGN_OR_RETURN(
      Statement rows,
      db_->Prepare(absl::StrCat("SELECT ", kGapColumns,
                                " FROM gaps WHERE sequence BETWEEN ?1 AND ?2 "
                                "ORDER BY id")));
  rows.Bind(1, first);
  rows.Bind(2, last);
  std::vector<Gap> gaps;
  NFM_RETURN_IF_ERROR(
      sqlite::ForEachRow(rows, [&] { gaps.push_back(ReadGap(rows)); }));
  return gaps;
}

absl::StatusOr<absl::Time> LedgerReader::TimeOf(uint64_t sequence) {
  NFM_ASSIGN_OR_RETURN(Statement row, db_->Prepare("SELECT time FROM records "
                                                   "WHERE sequence = ?1"));
  row.Bind(1, sequence);
  NFM_ASSIGN_OR_RETURN(const bool found, row.Step());
  return found ? absl::FromUnixNanos(row.Int64(0)) : absl::UnixEpoch();
}

absl::StatusOr<uint64_t> LedgerReader::NewestSequence() {
  NFM_ASSIGN_OR_RETURN(
      const int64_t newest,
      db_->QueryNumber("SELECT coalesce(max(sequence), 0) FROM records"));
  return static_cast<uint64_t>(newest);
}

absl::StatusOr<std::optional<StoredAccount>> LedgerReader::FindAccount(
    uint64_t id) {
  NFM_ASSIGN_OR_RETURN(Statement row,
                       db_->Prepare(absl::StrCat("SELECT ", kAccountColumns,
                                                 " FROM accounts "
                                                 "WHERE id = ?1")));
  row.Bind(1, id);
  NFM_ASSIGN_OR_RETURN(const bool found, row.Step());
  if (!found) return std::optional<StoredAccount>();
  return ReadAccount(row);
}

absl::Status LedgerReader::ForEachAccount(
    absl::FunctionRef<void(const StoredAccount&)> visit) {
  NFM_ASSIGN_OR_RETURN(
      Statement rows, db_->Prepare(absl::StrCat("SELECT ", kAccountColumns,
                                                " FROM accounts ORDER BY id")));
  return sqlite::ForEachRow(rows, [&] { visit(ReadAccount(rows)); });
}

absl::StatusOr<std::vector<LedgerReader::NumberedGap>> LedgerReader::Gaps(
    absl::Time from, absl::Time to, uint64_t after, size_t limit) {
  NFM_ASSIGN_OR_RETURN(
      Statement rows,
      db_->Prepare(absl::StrCat("SELECT ", kGapColumns,
                                ", id FROM gaps "
                                "WHERE to_time >= ?1 AND from_time <= ?2 "
                                "AND id > ?3 ORDER BY id LIMIT ?4")));
  rows.Bind(1, absl::ToUnixNanos(from));
  rows.Bind(2, absl::ToUnixNanos(to));
  rows.Bind(3, after);
  rows.Bind(4, limit);
  std::vector<NumberedGap> gaps;
  NFM_RETURN_IF_ERROR(sqlite::ForEachRow(
      rows, [&] { gaps.emplace_back(rows.Uint64(6), ReadGap(rows)); }));
  return gaps;
}

absl::StatusOr<absl::Time> LedgerReader::FiveMinutesSince() {
  NFM_ASSIGN_OR_RETURN(
      const int64_t start,
      db_->QueryNumber("SELECT coalesce(min(start), -1) FROM five_minutes"));
  return start < 0 ? absl::InfiniteFuture() : absl::FromUnixSeconds(start);
}

}  // namespace nfmeter::accounting
