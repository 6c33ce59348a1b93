// SPDX-License-Identifier: Apache-2.0
// SQLite as the collector needs it: statuses, statements, transactions.
//
// Thread-safety: a Database and what was made from it belong to one thread at a
// time.
#ifndef NFMETER_COLLECTOR_SQLITE_H_
#define NFMETER_COLLECTOR_SQLITE_H_

#include <concepts>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

struct sqlite3;
struct sqlite3_stmt;

namespace nfmeter::collector::sqlite {

class Statement;

// UNAVAILABLE: the disk is full, gone or read-only, or another process has the
// file locked; DATA_LOSS: the file is damaged; FAILED_PRECONDITION: it is not
// ours or newer than this program; INTERNAL: the SQL is wrong.
class Database {
 public:
  // Opens the file, or makes it. What is committed survives a power loss.
  static absl::StatusOr<std::unique_ptr<Database>> Open(
      const std::string& path);
  ~Database() = default;
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  // One or more statements whose rows nobody wants.
  absl::Status Execute(const std::string& sql);
  absl::StatusOr<Statement> Prepare(absl::string_view sql);
  // The one number that a query answers; 0 when it answers none.
  absl::StatusOr<int64_t> QueryNumber(absl::string_view sql);
  // Rows that the last statement changed.
  int64_t changes() const;

 private:
  friend class Statement;
  friend class Transaction;
  struct Close {
    void operator()(sqlite3* db) const;
  };

  Database(std::string path, sqlite3* db) : path_(std::move(path)), db_(db) {}
  absl::Status LastError() const;

  const std::string path_;
  const std::unique_ptr<sqlite3, Close> db_;
};

// Parameters are numbered from 1, columns from 0.
class Statement {
 public:
  Statement(Statement&&) = default;

  template <std::integral T>
  void Bind(int index, T value) {
    BindNumber(index, static_cast<int64_t>(value));
  }
  // Not copied: it must stay until the statement was reset.
  void Bind(int index, absl::string_view text);

  // Binds all and runs the statement to its end.
  template <typename... Values>
  absl::Status Run(const Values&... values) {
    int index = 0;
    (Bind(++index, values), ...);
    return ForEachRow([] {});
  }

  // False: there are no more rows, and the statement is reset.
  absl::StatusOr<bool> Step();
  void Reset();
  // Calls `take` with each row that is left.
  absl::Status ForEachRow(absl::FunctionRef<void()> take);

  int64_t Int64(int column) const;
  std::string Text(int column) const;

 private:
  friend class Database;
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const;
  };

  Statement(Database& db, sqlite3_stmt* statement)
      : db_(&db), statement_(statement) {}
  void BindNumber(int index, int64_t value);

  Database* db_;
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
};

// A transaction that writes; taken back at its end unless Commit() succeeded.
class Transaction {
 public:
  static absl::StatusOr<Transaction> Begin(Database& db);
  ~Transaction();
  Transaction(Transaction&& other) noexcept
      : db_(std::exchange(other.db_, nullptr)) {}

  absl::Status Commit();

 private:
  explicit Transaction(Database& db) : db_(&db) {}

  Database* db_;  // null: over
};

}  // namespace nfmeter::collector::sqlite

#endif  // NFMETER_COLLECTOR_SQLITE_H_
