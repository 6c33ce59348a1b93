// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/sqlite.h"

#include <sqlite3.h>

#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "base/error.h"
#include "base/status_macros.h"

namespace nfmeter::sqlite {
namespace {

// What the error `code` of `db` means to whoever runs the server.
std::string Why(sqlite3* db, int code) {
  // The unix VFS keeps the errno of what it could not do.
  const int error = sqlite3_system_errno(db);
  const std::string detail =
      error == 0 ? "" : absl::StrCat(": ", std::strerror(error));
  switch (code & 0xff) {
    case SQLITE_FULL:
      return "the disk is full; make room in the server's state directory";
    case SQLITE_READONLY:
      return "the file, its folder or its file system is read-only";
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
      return absl::StrCat("the file can't be opened", detail);
    case SQLITE_CORRUPT:
      return "the file is damaged";
    case SQLITE_NOTADB:
      return "the file is not a database";
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return "another process keeps it locked";
    case SQLITE_IOERR:
      return absl::StrCat("the disk can't be read or written", detail,
                          "; see to it, and to room in the server's state "
                          "directory");
    case SQLITE_NOMEM:
      return "there is no memory for it";
    default:
      return sqlite3_errmsg(db);
  }
}

absl::StatusCode CodeOf(int code) {
  switch (code & 0xff) {
    case SQLITE_FULL:
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_IOERR:
    case SQLITE_NOMEM:
      return absl::StatusCode::kUnavailable;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return absl::StatusCode::kDataLoss;
    case SQLITE_CONSTRAINT:
      return absl::StatusCode::kAlreadyExists;
    default:
      return absl::StatusCode::kInternal;
  }
}

// Null would bind NULL.
const char* DataOf(absl::string_view bytes) {
  return bytes.data() == nullptr ? "" : bytes.data();
}

}  // namespace

void Database::Close::operator()(sqlite3* db) const { sqlite3_close(db); }

Database::Database(std::unique_ptr<sqlite3, Close> db, Options options)
    : db_(std::move(db)), options_(std::move(options)) {}

Database::~Database() = default;

absl::StatusOr<std::unique_ptr<Database>> Database::Open(Options options) {
  sqlite3* opened = nullptr;
  const int flags =
      SQLITE_OPEN_NOMUTEX |
      (options.read_only ? SQLITE_OPEN_READONLY
                         : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
  const int result =
      sqlite3_open_v2(options.path.c_str(), &opened, flags,
                      options.vfs.empty() ? nullptr : options.vfs.c_str());
  // NOLINTNEXTLINE(modernize-make-unique): the constructor is private.
  std::unique_ptr<Database> db(new Database(
      std::unique_ptr<sqlite3, Close>(opened), std::move(options)));
  if (result != SQLITE_OK) {
    return db->Unusable(opened == nullptr ? sqlite3_errstr(result)
                                          : Why(opened, result));
  }
  sqlite3_extended_result_codes(opened, 1);
  sqlite3_busy_timeout(
      opened,
      static_cast<int>(absl::ToInt64Milliseconds(db->options_.busy_timeout)));
  if (const absl::Status status = db->Migrate(); !status.ok()) {
    if (GetErrorDetails(status).reason == db->options_.unusable_reason) {
      return status;
    }
    const absl::Status unusable =
        db->Unusable(absl::StripPrefix(status.message(), db->Failed()));
    if (!absl::IsDataLoss(status)) return unusable;
    return MakeError(status.code(), unusable.message(),
                     GetErrorDetails(unusable));
  }
  return db;
}

absl::Status Database::Migrate() {
  NFM_ASSIGN_OR_RETURN(const int64_t tables,
                       QueryNumber("SELECT count(*) FROM sqlite_master"));
  NFM_ASSIGN_OR_RETURN(const int64_t application,
                       QueryNumber("PRAGMA application_id"));
  NFM_ASSIGN_OR_RETURN(int64_t version, QueryNumber("PRAGMA user_version"));
  const bool is_new = tables == 0 && application == 0;
  // Before anything is written: the journal's mode stays in the file.
  if (!is_new && application != options_.application_id) {
    return Unusable("it belongs to another program");
  }
  const int64_t newest = static_cast<int64_t>(options_.migrations.size());
  if (version > newest || (version < newest && options_.read_only)) {
    return Unusable(absl::StrCat("its format is of version ", version,
                                 ", this server knows ", newest));
  }
  if (options_.read_only) return absl::OkStatus();
  NFM_RETURN_IF_ERROR(Execute("PRAGMA journal_mode = WAL"));
  NFM_RETURN_IF_ERROR(Execute(options_.durability == Durability::kFull
                                  ? "PRAGMA synchronous = FULL"
                                  : "PRAGMA synchronous = NORMAL"));
  for (; version < newest; ++version) {
    NFM_ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(*this));
    NFM_RETURN_IF_ERROR(Execute(options_.migrations[version]));
    NFM_RETURN_IF_ERROR(Execute(
        absl::StrCat("PRAGMA application_id = ", options_.application_id,
                     "; PRAGMA user_version = ", version + 1)));
    NFM_RETURN_IF_ERROR(transaction.Commit());
  }
  return absl::OkStatus();
}

absl::Status Database::Unusable(absl::string_view why) const {
  return MakeError(
      absl::StatusCode::kFailedPrecondition,
      absl::StrCat(options_.noun, " ", options_.path, " can't be used: ", why,
                   "; give the server another state directory, "
                   "or move the file away"),
      ErrorDetails{.reason = options_.unusable_reason,
                   .metadata = {{"path", options_.path}}});
}

std::string Database::Failed() const {
  return absl::StrCat(options_.noun, " failed: ");
}

absl::Status Database::LastError() const {
  const int code = sqlite3_extended_errcode(db_.get());
  return MakeError(CodeOf(code), options_.failed_reason,
                   absl::StrCat(Failed(), Why(db_.get(), code)));
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
  if (!found) {
    return MakeError(absl::StatusCode::kNotFound, options_.failed_reason,
                     absl::StrCat(options_.noun, " has no such row"));
  }
  return statement.Int64(0);
}

int64_t Database::changes() const { return sqlite3_changes64(db_.get()); }

bool Database::autocommit() const {
  return sqlite3_get_autocommit(db_.get()) != 0;
}

void Statement::Finalize::operator()(sqlite3_stmt* statement) const {
  sqlite3_finalize(statement);
}

void Statement::BindNumber(int index, int64_t value) {
  const int result = sqlite3_bind_int64(statement_.get(), index, value);
  if (bind_result_ == SQLITE_OK) bind_result_ = result;
}

void Statement::Bind(int index, absl::string_view text) {
  const int result =
      sqlite3_bind_text64(statement_.get(), index, DataOf(text), text.size(),
                          SQLITE_STATIC, SQLITE_UTF8);
  if (bind_result_ == SQLITE_OK) bind_result_ = result;
}

void Statement::Bind(int index, Blob blob) {
  const int result =
      sqlite3_bind_blob64(statement_.get(), index, DataOf(blob.bytes),
                          blob.bytes.size(), SQLITE_STATIC);
  if (bind_result_ == SQLITE_OK) bind_result_ = result;
}

void Statement::Bind(int index, std::nullptr_t) {
  const int result = sqlite3_bind_null(statement_.get(), index);
  if (bind_result_ == SQLITE_OK) bind_result_ = result;
}

absl::StatusOr<bool> Statement::Step() {
  if (const int bound = std::exchange(bind_result_, SQLITE_OK);
      bound != SQLITE_OK) {
    Reset();
    return MakeError(
        CodeOf(bound), db_->options_.failed_reason,
        absl::StrCat(db_->options_.noun, " failed: ", sqlite3_errstr(bound)));
  }
  const int result = sqlite3_step(statement_.get());
  if (result == SQLITE_ROW) return true;
  // sqlite3_reset() answers the same error again, which is known already.
  absl::StatusOr<bool> end = false;
  if (result != SQLITE_DONE) end = db_->LastError();
  Reset();
  return end;
}

absl::Status Statement::RunBound() {
  absl::StatusOr<bool> row = true;
  while (row.ok() && *row) row = Step();
  return row.status();
}

void Statement::Reset() { sqlite3_reset(statement_.get()); }

int64_t Statement::Int64(int column) const {
  return sqlite3_column_int64(statement_.get(), column);
}

absl::string_view Statement::Bytes(int column) const {
  const void* bytes = sqlite3_column_blob(statement_.get(), column);
  return absl::string_view(
      static_cast<const char*>(bytes),
      static_cast<size_t>(sqlite3_column_bytes(statement_.get(), column)));
}

bool Statement::IsNull(int column) const {
  return sqlite3_column_type(statement_.get(), column) == SQLITE_NULL;
}

absl::StatusOr<Transaction> Transaction::Begin(Database& db, Kind kind) {
  NFM_RETURN_IF_ERROR(
      db.Execute(kind == Kind::kWrite ? "BEGIN IMMEDIATE" : "BEGIN"));
  return Transaction(db);
}

Transaction::~Transaction() {
  // Some errors, a full disk among them, have rolled it back already.
  if (db_ == nullptr || db_->autocommit()) return;
  db_->Execute("ROLLBACK").IgnoreError();
}

absl::Status Transaction::Commit() {
  NFM_RETURN_IF_ERROR(db_->Execute("COMMIT"));
  db_ = nullptr;
  return absl::OkStatus();
}

}  // namespace nfmeter::sqlite
