// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "base/error.h"
#include "base/sqlite_file_use.h"
#include "base/status_macros.h"
#include "base/unique_fd.h"

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
      return absl::StrCat(
          "the disk can't be read or written", detail,
          "; check the disk, and make room in the server's state directory");
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

// SQLite takes a null pointer for NULL.
const char* DataOf(absl::string_view bytes) {
  return bytes.data() == nullptr ? "" : bytes.data();
}

// A disk with less room counts as full.
constexpr size_t kRoom = 256 << 10;

// Why nothing can be written to the disk that the file is on; empty: it can be,
// or the reason is not the disk.
std::string WhyDiskRefuses(const std::string& path) {
  std::string probe =
      (std::filesystem::path(path).parent_path() / ".room-XXXXXX").string();
  const UniqueFd file(mkostemp(probe.data(), O_CLOEXEC));
  int error = file.valid() ? 0 : errno;
  if (file.valid()) {
    unlink(probe.c_str());
    error = posix_fallocate(file.get(), 0, kRoom);
  }
  switch (error) {
    case ENOSPC:
    case EDQUOT:
      return "the disk is full; make room in the server's state directory";
    case EROFS:
      return "the disk of the server's state directory is read-only";
    case EIO:
      return "the disk of the server's state directory can't be written; check "
             "it";
    default:
      return "";
  }
}

// The path as it is written in a URI.
std::string Escaped(const std::string& path) {
  return absl::StrReplaceAll(path, {{"%", "%25"}, {"?", "%3f"}, {"#", "%23"}});
}

}  // namespace

void Database::Close::operator()(sqlite3* db) const { sqlite3_close(db); }

Database::Database(Options options) : options_(std::move(options)) {}

Database::~Database() = default;

absl::StatusOr<std::unique_ptr<Database>> Database::Open(Options options) {
  // NOLINTNEXTLINE(modernize-make-unique): the constructor is private.
  std::unique_ptr<Database> db(new Database(std::move(options)));
  const absl::Status status = db->Connect();
  if (status.ok()) return db;
  db->Disconnect();
  if (!db->options_.patient || absl::IsDataLoss(status)) return status;
  const std::string why = WhyDiskRefuses(db->options_.path);
  if (why.empty()) return status;
  db->reads_alone_ = true;
  NFM_RETURN_IF_ERROR(db->ReadAlone());
  db->problem_ = MakeError(absl::StatusCode::kUnavailable,
                           db->options_.failed_reason, db->Failed() + why);
  return db;
}

absl::Status Database::Connect() {
  use_ = FileUse::Begin(options_.path, FileUse::Way::kLocked);
  if (use_ == nullptr) return Unusable("it is read until the disk takes it");
  const int flags = options_.read_only
                        ? SQLITE_OPEN_READONLY
                        : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
  NFM_RETURN_IF_ERROR(
      OpenHandle(options_.path, flags,
                 options_.vfs.empty() ? nullptr : options_.vfs.c_str()));
  // SQLite falls back to reading where it may not write, and stays with it.
  const bool wrongly_read_only =
      !options_.read_only && sqlite3_db_readonly(db_.get(), "main") == 1;
  if (wrongly_read_only) return Unusable(Why(db_.get(), SQLITE_READONLY));
  return InOpening(CheckSchema(!options_.read_only));
}

// Takes no lock and writes nothing, as nobody else writes meanwhile; the index
// of a write-ahead log is kept in memory.
absl::Status Database::ReadAlone() {
  std::error_code error;
  const auto size = std::filesystem::file_size(options_.path, error);
  if (error || size == 0) {
    if (options_.read_only) return Unusable("there is nothing in it");
    NFM_RETURN_IF_ERROR(OpenHandle(
        ":memory:", SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, nullptr));
    NFM_RETURN_IF_ERROR(InOpening(CheckSchema(/*may_migrate=*/true)));
    return Execute("PRAGMA query_only = ON");
  }
  use_ = FileUse::Begin(options_.path, FileUse::Way::kAlone);
  if (use_ == nullptr) return Unusable("the disk is full or read-only");
  if (std::filesystem::exists(options_.path + "-wal", error)) {
    NFM_RETURN_IF_ERROR(
        OpenHandle(options_.path, SQLITE_OPEN_READONLY, "unix-none"));
    NFM_RETURN_IF_ERROR(Execute("PRAGMA locking_mode = EXCLUSIVE"));
  } else {
    NFM_RETURN_IF_ERROR(OpenHandle(
        absl::StrCat("file:", Escaped(options_.path), "?immutable=1"),
        SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, nullptr));
  }
  return InOpening(CheckSchema(/*may_migrate=*/false));
}

absl::Status Database::TryAgain() {
  if (opened()) return absl::OkStatus();
  const bool in_use =
      db_ != nullptr && sqlite3_next_stmt(db_.get(), nullptr) != nullptr;
  if (in_use) return problem_;
  Disconnect();
  const absl::Status before = std::exchange(problem_, absl::OkStatus());
  const absl::Status status = Connect();
  if (status.ok()) return status;
  Disconnect();
  if (reads_alone_ && !ReadAlone().ok()) Disconnect();
  if (absl::IsDataLoss(status)) {
    problem_ = before;
    return MakeError(status.code(), options_.failed_reason,
                     Failed() + "the file is damaged");
  }
  const std::string why = WhyDiskRefuses(options_.path);
  problem_ =
      MakeError(absl::StatusCode::kUnavailable, options_.failed_reason,
                Failed() + (why.empty() ? "the file can't be opened" : why));
  return problem_;
}

void Database::EndReading() {
  if (opened()) return;
  reads_alone_ = false;
  Disconnect();
}

void Database::Disconnect() {
  db_.reset();
  use_.reset();
}

absl::Status Database::OpenHandle(const std::string& path, int flags,
                                  const char* vfs) {
  sqlite3* opened = nullptr;
  const int result =
      sqlite3_open_v2(path.c_str(), &opened, flags | SQLITE_OPEN_NOMUTEX, vfs);
  db_.reset(opened);
  if (result != SQLITE_OK) {
    return Unusable(opened == nullptr ? sqlite3_errstr(result)
                                      : Why(opened, result));
  }
  sqlite3_extended_result_codes(opened, 1);
  sqlite3_busy_timeout(
      opened,
      static_cast<int>(absl::ToInt64Milliseconds(options_.busy_timeout)));
  return absl::OkStatus();
}

// A status of SQLite's as Open() returns it.
absl::Status Database::InOpening(const absl::Status& status) const {
  if (status.ok() ||
      GetErrorDetails(status).reason == options_.unusable_reason) {
    return status;
  }
  const absl::Status unusable =
      Unusable(absl::StripPrefix(status.message(), Failed()));
  if (!absl::IsDataLoss(status)) return unusable;
  return MakeError(status.code(), unusable.message(),
                   GetErrorDetails(unusable));
}

absl::Status Database::CheckSchema(bool may_migrate) {
  NFM_ASSIGN_OR_RETURN(const int64_t tables,
                       QueryNumber("SELECT count(*) FROM sqlite_master"));
  NFM_ASSIGN_OR_RETURN(const int64_t application,
                       QueryNumber("PRAGMA application_id"));
  NFM_ASSIGN_OR_RETURN(const int64_t version,
                       QueryNumber("PRAGMA user_version"));
  const bool is_new = tables == 0 && application == 0;
  // Before anything is written: the journal's mode stays in the file.
  if (!is_new && application != options_.application_id) {
    return Unusable("it belongs to another program");
  }
  const int64_t newest = static_cast<int64_t>(options_.migrations.size());
  if (version > newest || (version < newest && !may_migrate)) {
    return Unusable(absl::StrCat("its format is of version ", version,
                                 ", this server knows ", newest));
  }
  return may_migrate ? Migrate() : absl::OkStatus();
}

absl::Status Database::Migrate() {
  NFM_RETURN_IF_ERROR(Execute("PRAGMA journal_mode = WAL"));
  NFM_RETURN_IF_ERROR(Execute(options_.durability == Durability::kFull
                                  ? "PRAGMA synchronous = FULL"
                                  : "PRAGMA synchronous = NORMAL"));
  const int64_t newest = static_cast<int64_t>(options_.migrations.size());
  NFM_ASSIGN_OR_RETURN(int64_t version, QueryNumber("PRAGMA user_version"));
  while (version < newest) {
    NFM_ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(*this));
    // Another connection may have been faster.
    NFM_ASSIGN_OR_RETURN(version, QueryNumber("PRAGMA user_version"));
    if (version >= newest) break;
    NFM_RETURN_IF_ERROR(Execute(options_.migrations[version]));
    NFM_RETURN_IF_ERROR(Execute(
        absl::StrCat("PRAGMA application_id = ", options_.application_id,
                     "; PRAGMA user_version = ", ++version)));
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
  if (db_ == nullptr) NFM_RETURN_IF_ERROR(TryAgain());
  const int result =
      sqlite3_exec(db_.get(), sql.c_str(), nullptr, nullptr, nullptr);
  return result == SQLITE_OK ? absl::OkStatus() : LastError();
}

absl::StatusOr<Statement> Database::Prepare(absl::string_view sql) {
  if (db_ == nullptr) NFM_RETURN_IF_ERROR(TryAgain());
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

absl::Status Database::Sync() {
  if (db_ == nullptr) NFM_RETURN_IF_ERROR(TryAgain());
  sqlite3_file* log = nullptr;
  sqlite3_file_control(db_.get(), "main", SQLITE_FCNTL_JOURNAL_POINTER, &log);
  if (log == nullptr || log->pMethods == nullptr) return absl::OkStatus();
  const int result = log->pMethods->xSync(log, SQLITE_SYNC_NORMAL);
  if (result == SQLITE_OK) return absl::OkStatus();
  return MakeError(CodeOf(result), options_.failed_reason,
                   absl::StrCat(Failed(), Why(db_.get(), result)));
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
  if (kind == Kind::kRead) {
    NFM_RETURN_IF_ERROR(db.Execute("BEGIN"));
    return Transaction(db, kind);
  }
  NFM_RETURN_IF_ERROR(db.TryAgain());
  const bool later =
      kind == Kind::kWriteLater && db.options_.durability == Durability::kFull;
  Transaction transaction(db, later ? kind : Kind::kWrite);
  NFM_RETURN_IF_ERROR(transaction.AwaitTurn());
  if (later) NFM_RETURN_IF_ERROR(db.Execute("PRAGMA synchronous = NORMAL"));
  NFM_RETURN_IF_ERROR(db.Execute("BEGIN IMMEDIATE"));
  return transaction;
}

absl::Status Transaction::AwaitTurn() {
  const bool shared = db_->use_ != nullptr && db_->options_.path != ":memory:";
  if (!shared) return absl::OkStatus();
  if (db_->use_->AwaitTurn(db_->options_.turn_timeout)) {
    turn_ = db_->use_.get();
    return absl::OkStatus();
  }
  return MakeError(absl::StatusCode::kUnavailable, db_->options_.failed_reason,
                   absl::StrCat(db_->Failed(),
                                "it is being written already, "
                                "and the disk is slow"));
}

Transaction::~Transaction() {
  if (db_ == nullptr) return;
  // Some errors, a full disk among them, have rolled it back already.
  if (!db_->autocommit()) db_->Execute("ROLLBACK").IgnoreError();
  End();
}

void Transaction::End() {
  // The next ones wait for the disk.
  if (kind_ == Kind::kWriteLater) {
    db_->Execute("PRAGMA synchronous = FULL").IgnoreError();
  }
  if (turn_ != nullptr) turn_->EndTurn();
  db_ = nullptr;
}

absl::Status Transaction::Commit() {
  NFM_RETURN_IF_ERROR(db_->Execute("COMMIT"));
  End();
  return absl::OkStatus();
}

}  // namespace nfmeter::sqlite
