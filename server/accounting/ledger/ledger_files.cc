// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/ledger/ledger_files.h"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <optional>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "accounting/ledger/record.h"
#include "accounting/ledger/schema.h"
#include "base/error.h"
#include "base/sqlite.h"
#include "base/status_macros.h"

namespace nfmeter::accounting {
namespace {

using sqlite::Database;
using sqlite::Statement;

// One file and what was found in it. After the first damage that SQLite meets
// the rest is not read.
class LedgerCheck {
 public:
  explicit LedgerCheck(Database& db) : db_(db) {}

  absl::Status Run(const std::string& machine_id) {
    NFM_RETURN_IF_ERROR(CheckPages());
    NFM_RETURN_IF_ERROR(ReadStanding(machine_id));
    NFM_RETURN_IF_ERROR(ReadCheckpoints());
    NFM_RETURN_IF_ERROR(ReadRecords());
    NFM_RETURN_IF_ERROR(ReadBuckets("five_minutes", false));
    NFM_RETURN_IF_ERROR(ReadBuckets("hours", true));
    return Count();
  }

  LedgerReport& report() { return report_; }

 private:
  using Totals = std::map<uint64_t, Amount>;

  void Fault(std::string sentence) {
    report_.faults.push_back(std::move(sentence));
  }

  absl::Status CheckPages() {
    NFM_ASSIGN_OR_RETURN(Statement rows, db_.Prepare("PRAGMA integrity_check"));
    return sqlite::ForEachRow(rows, [&] {
      if (rows.Bytes(0) == "ok") return;
      Fault(absl::StrCat("SQLite finds: ",
                         absl::StrReplaceAll(rows.Bytes(0), {{"\n", "; "}})));
    });
  }

  absl::Status ReadStanding(const std::string& machine_id) {
    NFM_ASSIGN_OR_RETURN(
        Statement row,
        db_.Prepare(
            "SELECT node_id, machine_id, epoch, record_bytes, backup_of "
            "FROM ledger"));
    NFM_ASSIGN_OR_RETURN(const bool found, row.Step());
    if (!found) {
      Fault("it does not say whose it is");
      return absl::OkStatus();
    }
    report_.node_id = std::string(row.Bytes(0));
    report_.epoch = row.Uint64(2);
    report_.record_bytes = row.Uint64(3);
    const bool foreign = !row.Bytes(1).empty() && !machine_id.empty() &&
                         row.Bytes(1) != machine_id;
    if (foreign) {
      Fault("it belongs to another machine, and no server here would take it");
    }
    return absl::OkStatus();
  }

  absl::Status ReadCheckpoints() {
    NFM_ASSIGN_OR_RETURN(Statement rows,
                         db_.Prepare("SELECT sequence, body FROM checkpoints "
                                     "ORDER BY sequence"));
    return sqlite::ForEachRow(rows, [&] {
      ++report_.checkpoints;
      const auto checkpoint = DecodeCheckpoint(rows.Bytes(1));
      if (!checkpoint.ok()) {
        Fault(absl::StrCat("checkpoint ", rows.Uint64(0), " can't be read"));
        return;
      }
      Totals& totals = checkpoints_[rows.Uint64(0)];
      for (const Checkpoint::Row& each : checkpoint->rows) {
        totals[each.account] = each.total;
      }
    });
  }

  absl::Status ReadRecords() {
    NFM_ASSIGN_OR_RETURN(Statement rows,
                         db_.Prepare("SELECT sequence, time, body FROM records "
                                     "ORDER BY sequence"));
    uint64_t bytes = 0;
    NFM_RETURN_IF_ERROR(sqlite::ForEachRow(rows, [&] {
      const uint64_t sequence = rows.Uint64(0);
      if (report_.records > 0 && sequence != report_.sequence + 1) {
        Fault(absl::StrCat("records ", report_.sequence + 1, " to ",
                           sequence - 1, " are missing"));
        totals_.reset();
      }
      report_.sequence = sequence;
      ++report_.records;
      bytes += rows.Bytes(2).size();
      const absl::Time time = absl::FromUnixNanos(rows.Int64(1));
      report_.oldest = std::min(report_.oldest, time);
      report_.newest = std::max(report_.newest, time);
      TakeRecord(sequence, DecodeRecord(rows.Bytes(2)));
    }));
    if (bytes != report_.record_bytes) {
      Fault(absl::StrCat("its records have ", bytes, " bytes, it says ",
                         report_.record_bytes));
    }
    return absl::OkStatus();
  }

  // Adds a record up, and compares with the checkpoint behind it.
  void TakeRecord(uint64_t sequence, const absl::StatusOr<Record>& record) {
    if (!record.ok()) {
      Fault(absl::StrCat("record ", sequence, " can't be read"));
      totals_.reset();
    } else if (totals_.has_value()) {
      for (const Record::Row& row : record->rows) {
        (*totals_)[row.account] += row.delta;
      }
    }
    const auto checkpoint = checkpoints_.find(sequence);
    if (checkpoint == checkpoints_.end()) return;
    // Accounts that have closed are in no checkpoint any more.
    for (const auto& [account, total] : checkpoint->second) {
      if (!totals_.has_value()) break;
      const auto sum = totals_->find(account);
      if ((sum == totals_->end() ? Amount() : sum->second) == total) continue;
      Fault(absl::StrCat("account ", account, " has another total at record ",
                         sequence, " than its records add up to"));
    }
    totals_ = checkpoint->second;
  }

  absl::Status ReadBuckets(const std::string& table, bool with_peaks) {
    NFM_ASSIGN_OR_RETURN(Statement rows,
                         db_.Prepare(absl::StrCat("SELECT start, body FROM ",
                                                  table, " ORDER BY start")));
    return sqlite::ForEachRow(rows, [&] {
      if (DecodeBucket(rows.Bytes(1), with_peaks).ok()) return;
      Fault(absl::StrCat("usage since ",
                         absl::FormatTime(absl::RFC3339_sec,
                                          absl::FromUnixSeconds(rows.Int64(0)),
                                          absl::UTCTimeZone()),
                         " (", table, ") can't be read"));
    });
  }

  absl::Status Count() {
    NFM_ASSIGN_OR_RETURN(
        const int64_t accounts,
        db_.QueryNumber("SELECT count(*) FROM accounts WHERE state < 3"));
    NFM_ASSIGN_OR_RETURN(const int64_t gaps,
                         db_.QueryNumber("SELECT count(*) FROM gaps"));
    report_.accounts = static_cast<uint64_t>(accounts);
    report_.gaps = static_cast<uint64_t>(gaps);
    return absl::OkStatus();
  }

  Database& db_;
  LedgerReport report_;
  std::map<uint64_t, Totals> checkpoints_;
  std::optional<Totals> totals_;  // since the last checkpoint; none: not known
};

absl::Status NoBackup(const std::string& copy, absl::string_view why) {
  return MakeError(absl::StatusCode::kFailedPrecondition, "LEDGER_UNUSABLE",
                   absl::StrCat("no backup is made in ", copy, ": ", why));
}

// What tells the server that is given the copy what it is.
absl::Status MarkAsBackup(const std::string& copy, absl::Time now) {
  NFM_ASSIGN_OR_RETURN(const auto db, Database::Open(LedgerFile(copy)));
  NFM_ASSIGN_OR_RETURN(
      Statement mark,
      db->Prepare("UPDATE ledger SET backup_of = ?1, machine_id = ''"));
  NFM_RETURN_IF_ERROR(mark.Run(absl::ToUnixNanos(now)));
  // One file, without a log beside it.
  return db->Execute("PRAGMA wal_checkpoint(TRUNCATE)");
}

}  // namespace

absl::StatusOr<LedgerReport> CheckLedger(const std::string& path,
                                         const std::string& machine_id) {
  sqlite::Options options = LedgerFile(path);
  options.read_only = true;
  options.patient = true;
  NFM_ASSIGN_OR_RETURN(const auto db, Database::Open(std::move(options)));
  // One state of the file, whatever its server does meanwhile.
  NFM_ASSIGN_OR_RETURN(
      const sqlite::Transaction still,
      sqlite::Transaction::Begin(*db, sqlite::Transaction::Kind::kRead));
  LedgerCheck check(*db);
  const absl::Status status = check.Run(machine_id);
  if (absl::IsDataLoss(status)) {
    check.report().faults.push_back(std::string(status.message()));
  } else if (!status.ok()) {
    return status;
  }
  return std::move(check.report());
}

absl::Status BackUpLedger(const std::string& path, const std::string& copy,
                          absl::Time now) {
  std::error_code error;
  if (std::filesystem::exists(copy, error)) {
    return NoBackup(copy, "there is such a file already");
  }
  sqlite::Options options = LedgerFile(path);
  options.read_only = true;
  options.patient = true;
  NFM_ASSIGN_OR_RETURN(const auto db, Database::Open(std::move(options)));
  // A copy that was cut short has another name.
  const std::string part = absl::StrCat(copy, ".part");
  std::filesystem::remove(part, error);
  const mode_t mask = umask(077);
  absl::Status status = db->Execute(absl::StrCat(
      "VACUUM INTO '", absl::StrReplaceAll(part, {{"'", "''"}}), "'"));
  if (status.ok()) status = MarkAsBackup(part, now);
  umask(mask);
  if (status.ok()) std::filesystem::rename(part, copy, error);
  if (status.ok() && error) status = absl::UnavailableError(error.message());
  if (status.ok()) return status;
  std::filesystem::remove(part, error);
  return NoBackup(copy, status.message());
}

}  // namespace nfmeter::accounting
