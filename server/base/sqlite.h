// SPDX-License-Identifier: GPL-3.0-or-later
// SQLite in this project's words: statuses with sentences for people,
// statements and transactions that end by themselves, and schemas that grow by
// migrations.
//
// Thread-safety: a Database and all that was made from it belong to one thread
// at a time; whoever shares them brings a mutex. Different Databases are
// independent, also on the same file: one may read while another writes (WAL).
#ifndef NFMETER_BASE_SQLITE_H_
#define NFMETER_BASE_SQLITE_H_

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "base/status_macros.h"

struct sqlite3;
struct sqlite3_stmt;

namespace nfmeter::sqlite {

class FileUse;
class Statement;
class Transaction;

// When a commit waits for the disk.
enum class Durability {
  kFull,    // at every commit: what was committed survives a power loss
  kNormal,  // at checkpoints: a power loss may take the last commits, whole
            // ones
};

struct Options {
  std::string path;
  // What errors call it: "the label store".
  std::string noun;
  // Reasons of the errors of Open(), and of all later ones.
  std::string unusable_reason;
  std::string failed_reason;
  // Tells other programs' databases apart ("NFML" as a number); not 0.
  int32_t application_id = 0;
  // The i-th takes the schema from version i to i + 1, in a transaction of its
  // own; the version is kept as user_version.
  std::vector<std::string> migrations;
  Durability durability = Durability::kFull;
  // Nothing is made, migrated or written; the file must have the newest schema.
  bool read_only = false;
  // A full or read-only disk is no error of Open(): see
  // Database::opened().
  bool patient = false;
  // How long a statement waits for another process's transaction.
  absl::Duration busy_timeout = absl::Seconds(2);
  // How long a transaction waits for its turn among those of this process, each
  // of which is as slow as the disk.
  absl::Duration turn_timeout = absl::Seconds(10);
  // The registered sqlite3_vfs to use, for tests that inject faults; empty: the
  // default.
  std::string vfs;
};

// An open database. Errors of all functions but Open() have `failed_reason` and
// tell no paths, so that they may be shown to callers:
//   UNAVAILABLE     the disk is full, gone or read-only; another process keeps
//                   the database locked; no memory
//   DATA_LOSS       the file is damaged
//   ALREADY_EXISTS  a unique or primary key is there already
//   INTERNAL        the SQL is wrong
class Database {
 public:
  // Opens the file, makes it where there is none, and migrates its schema.
  // Errors have `unusable_reason`, the path in their sentence and metadata, and
  // the code FAILED_PRECONDITION: the file can't be opened or written, is
  // another program's, or its schema is newer than the last migration; or
  // DATA_LOSS: it is damaged, or no database. A file that is refused is left as
  // it was.
  static absl::StatusOr<std::unique_ptr<Database>> Open(Options options);

  // With Options::patient, false while the disk is full or read-only: what
  // the file has can be read (nothing, where there is none), and writing fails
  // with problem(). Each transaction that writes tries to open the file first.
  bool opened() const { return problem_.ok(); }
  // UNAVAILABLE, or OK where it is opened.
  const absl::Status& problem() const { return problem_; }
  // All that had to be read before the file is opened has been. Where several
  // Databases share it, it is opened only after each of them has called this.
  void EndReading();

  // All statements must have gone before.
  ~Database();

  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  // Runs one or more statements and drops the rows that they answer.
  absl::Status Execute(const std::string& sql);

  // Compiles one statement, to be run many times.
  absl::StatusOr<Statement> Prepare(absl::string_view sql);

  // The one number that a query answers, e.g. "SELECT count(*) FROM labels".
  // NOT_FOUND when it answers no row.
  absl::StatusOr<int64_t> QueryNumber(absl::string_view sql);

  // Has the disk take what was committed, by any connection to the file, in
  // transactions that did not wait for it.
  absl::Status Sync();

  // The rows that the last INSERT, UPDATE or DELETE changed.
  int64_t changes() const;

  // False: a transaction is open.
  bool autocommit() const;

 private:
  friend class Statement;
  friend class Transaction;

  struct Close {
    void operator()(sqlite3* db) const;
  };

  explicit Database(Options options);

  absl::Status Connect();
  absl::Status ReadAlone();
  absl::Status TryAgain();
  void Disconnect();
  absl::Status OpenHandle(const std::string& path, int flags, const char* vfs);
  absl::Status CheckSchema(bool may_migrate);
  absl::Status Migrate();
  absl::Status InOpening(const absl::Status& status) const;
  absl::Status Unusable(absl::string_view why) const;
  // How sentences about failures begin.
  std::string Failed() const;
  // The error that the last call of SQLite on this database met.
  absl::Status LastError() const;

  const Options options_;
  absl::Status problem_;
  bool reads_alone_ = false;
  // See sqlite_file_use.h. Released after `db_` is closed.
  std::unique_ptr<FileUse> use_;
  std::unique_ptr<sqlite3, Close> db_;  // null: EndReading()
};

// Bytes that are no text: Blob{name}.
struct Blob {
  absl::string_view bytes;
};

// A compiled statement; ends before its Database. Parameters are numbered from
// 1, columns from 0. Unsigned numbers of 64 bits are kept as the signed number
// of the same bits: compare them in C++, not in SQL.
class Statement {
 public:
  Statement(Statement&&) = default;
  Statement& operator=(Statement&&) = default;

  // Bytes are not copied: they must stay until the statement was reset. A wrong
  // index is reported by the next Step().
  template <std::integral T>
  void Bind(int index, T value) {
    BindNumber(index, static_cast<int64_t>(value));
  }
  void Bind(int index, absl::string_view text);
  void Bind(int index, Blob blob);
  void Bind(int index, std::nullptr_t);

  // Binds parameters 1, 2, ... and runs the statement to its end; for those
  // that answer no rows. It is reset then, whether or not it succeeded.
  template <typename... Values>
  absl::Status Run(const Values&... values) {
    int index = 0;
    (Bind(++index, values), ...);
    return RunBound();
  }

  // Goes to the next row: false when there is none, and the statement is reset.
  absl::StatusOr<bool> Step();

  // Makes it ready to be run again; what was bound stays bound.
  void Reset();

  // Columns of the row that Step() went to; views end with the next Step() or
  // Reset(). NULL reads as 0 or empty.
  int64_t Int64(int column) const;
  uint64_t Uint64(int column) const {
    return static_cast<uint64_t>(Int64(column));
  }
  // Text or blob.
  absl::string_view Bytes(int column) const;
  bool IsNull(int column) const;

 private:
  friend class Database;

  struct Finalize {
    void operator()(sqlite3_stmt* statement) const;
  };

  Statement(Database& db, sqlite3_stmt* statement)
      : db_(&db), statement_(statement) {}

  void BindNumber(int index, int64_t value);
  absl::Status RunBound();

  Database* db_;
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
  int bind_result_ = 0;  // the first error of a Bind(), for Step()
};

// All or nothing: rolled back at its end unless Commit() succeeded.
class Transaction {
 public:
  enum class Kind {
    kWrite,  // takes the writers' lock at once
    kRead,   // what is read belongs together; nothing waits for it
    // As kWrite, and Commit() does not wait for the disk: Sync(), or the next
    // commit of a kWrite to this file, makes it durable, and what was committed
    // before it.
    kWriteLater,
  };

  static absl::StatusOr<Transaction> Begin(Database& db,
                                           Kind kind = Kind::kWrite);
  ~Transaction();
  Transaction(Transaction&& other) noexcept
      : db_(std::exchange(other.db_, nullptr)),
        kind_(other.kind_),
        turn_(other.turn_) {}
  Transaction& operator=(Transaction&&) = delete;

  // After an error nothing has changed. Statements of it that answer rows must
  // have been reset before.
  absl::Status Commit();

 private:
  Transaction(Database& db, Kind kind) : db_(&db), kind_(kind) {}

  absl::Status AwaitTurn();
  void End();

  Database* db_;  // null: over
  Kind kind_;
  FileUse* turn_ = nullptr;  // to be let go of
};

// Calls `visit` for each row from the next one on, while `rows` stands at it.
// `visit` returns nothing or a status; one that is not OK ends it.
template <typename Visit>
absl::Status ForEachRow(Statement& rows, Visit visit) {
  while (true) {
    NFM_ASSIGN_OR_RETURN(const bool found, rows.Step());
    if (!found) return absl::OkStatus();
    if constexpr (std::is_void_v<std::invoke_result_t<Visit>>) {
      visit();
    } else {
      NFM_RETURN_IF_ERROR(visit());
    }
  }
}

}  // namespace nfmeter::sqlite

#endif  // NFMETER_BASE_SQLITE_H_
