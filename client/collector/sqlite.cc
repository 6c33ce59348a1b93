// SPDX-License-Identifier: Apache-2.0
#include "collector/sqlite.h"

#include <sqlite3.h>

#include <cstring>

#include "absl/strings/str_cat.h"
#include "client/src/status_macros.h"

namespace nfmeter::collector::sqlite {
namespace {

constexpr int kBusyMilliseconds = 5'000;

std::string Why(sqlite3* db, int code) {
  // The unix VFS keeps the errno of what it could not do.
  const int error = sqlite3_system_errno(db);
  const std::string detail =
      error == 0 ? "" : absl::StrCat(": ", std::strerror(error));
  switch (code & 0xff) {
    case SQLITE_FULL:
      return "the disk is full; make room";
    case SQLITE_READONLY:
      return "the file, its folder or its file system is read-only";
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
      return absl::StrCat("the file can't be opened", detail);
    case SQLITE_CORRUPT:
      return "the file is damaged; restore a backup, the nodes send again what "
             "it lacks";
    case SQLITE_NOTADB:
      return "the file is not a database; move it away";
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return "another process keeps it locked";
    case SQLITE_IOERR:
      return absl::StrCat("the disk can't be read or written", detail);
    default:
      return sqlite3_errmsg(db);
  }
}

absl::StatusCode CodeOf(int code) {
  switch (code & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return absl::StatusCode::kDataLoss;
    case SQLITE_ERROR:
    case SQLITE_MISUSE:
    case SQLITE_RANGE:
    case SQLITE_CONSTRAINT:
      return absl::StatusCode::kInternal;
    default:
      return absl::StatusCode::kUnavailable;
  }
}

}  // namespace

void Database::Close::operator()(sqlite3* db) const { sqlite3_close(db); }

absl::StatusOr<std::unique_ptr<Database>> Database::Open(
    const std::string& path) {
  sqlite3* opened = nullptr;
  const int result = sqlite3_open_v2(
      path.c_str(), &opened,
      SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE,
      nullptr);
  // NOLINTNEXTLINE(modernize-make-unique): the constructor is private.
  std::unique_ptr<Database> db(new Database(path, opened));
  if (result != SQLITE_OK) return db->LastError();
  sqlite3_busy_timeout(opened, kBusyMilliseconds);
  NFM_RETURN_IF_ERROR(
      db->Execute("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
                  "PRAGMA foreign_keys = OFF"));
  return db;
}

absl::Status Database::LastError() const {
  const int code = sqlite3_extended_errcode(db_.get());
  return absl::Status(CodeOf(code),
                      absl::StrCat(path_, ": ", Why(db_.get(), code)));
}

absl::Status Database::Execute(const std::string& sql) {
  const int result =
      sqlite3_exec(db_.get(), sql.c_str(), nullptr, nullptr, nullptr);
  return result == SQLITE_OK ? absl::OkStatus() : LastError();
}

absl::StatusOr<Statement> Database::Prepare(absl::string_view sql) {
  sqlite3_stmt* statement = nullptr;
  const int result =
      sqlite3_prepare_v3(db_.get(), sql.data(), static_cast<int>(sql.size()),
                         SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
  if (result != SQLITE_OK) return LastError();
  return Statement(*this, statement);
}

absl::StatusOr<int64_t> Database::QueryNumber(absl::string_view sql) {
  NFM_ASSIGN_OR_RETURN(Statement statement, Prepare(sql));
  NFM_ASSIGN_OR_RETURN(const bool found, statement.Step());
  return found ? statement.Int64(0) : 0;
}

int64_t Database::changes() const { return sqlite3_changes64(db_.get()); }

void Statement::Finalize::operator()(sqlite3_stmt* statement) const {
  sqlite3_finalize(statement);
}

void Statement::BindNumber(int index, int64_t value) {
  sqlite3_bind_int64(statement_.get(), index, value);
}

void Statement::Bind(int index, absl::string_view text) {
  sqlite3_bind_text(statement_.get(), index,
                    text.data() == nullptr ? "" : text.data(),
                    static_cast<int>(text.size()), SQLITE_STATIC);
}

absl::StatusOr<bool> Statement::Step() {
  const int result = sqlite3_step(statement_.get());
  if (result == SQLITE_ROW) return true;
  const absl::Status status =
      result == SQLITE_DONE ? absl::OkStatus() : db_->LastError();
  Reset();
  if (!status.ok()) return status;
  return false;
}

void Statement::Reset() { sqlite3_reset(statement_.get()); }

absl::Status Statement::ForEachRow(absl::FunctionRef<void()> take) {
  for (;;) {
    NFM_ASSIGN_OR_RETURN(const bool more, Step());
    if (!more) return absl::OkStatus();
    take();
  }
}

int64_t Statement::Int64(int column) const {
  return sqlite3_column_int64(statement_.get(), column);
}

std::string Statement::Text(int column) const {
  const auto* text = sqlite3_column_text(statement_.get(), column);
  return std::string(text == nullptr ? "" : reinterpret_cast<const char*>(text),
                     sqlite3_column_bytes(statement_.get(), column));
}

absl::StatusOr<Transaction> Transaction::Begin(Database& db) {
  NFM_RETURN_IF_ERROR(db.Execute("BEGIN IMMEDIATE"));
  return Transaction(db);
}

Transaction::~Transaction() {
  if (db_ != nullptr && !sqlite3_get_autocommit(db_->db_.get())) {
    (void)db_->Execute("ROLLBACK");
  }
}

absl::Status Transaction::Commit() {
  absl::Status status = db_->Execute("COMMIT");
  if (status.ok()) db_ = nullptr;
  return status;
}

}  // namespace nfmeter::collector::sqlite
