// SPDX-License-Identifier: Apache-2.0
// PostgreSQL, over libpq, as the collector needs it: calls that end by a
// deadline, parameters and COPY in binary, errors in people's words.
#ifndef NFMETER_COLLECTOR_POSTGRES_H_
#define NFMETER_COLLECTOR_POSTGRES_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/random/random.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "absl/types/span.h"

struct pg_conn;
struct pg_result;

namespace nfmeter::collector::postgres {

// SQLSTATE of an error that the server told; empty: it did not.
std::string SqlState(const absl::Status& status);

// Rows of an answer, as text.
class Rows {
 public:
  explicit Rows(pg_result* result);
  ~Rows();
  Rows(Rows&& other) noexcept;
  Rows& operator=(Rows&&) = delete;

  int size() const;
  std::string Text(int row, int column) const;
  int64_t Int64(int row, int column) const;
  bool IsNull(int row, int column) const;

 private:
  pg_result* result_;
};

// A parameter in binary format, of a type that is named by its object id.
struct Parameter {
  uint32_t type = 0;
  std::optional<std::string> value;  // absent: NULL

  static Parameter Int(int32_t value);
  static Parameter Bigint(int64_t value);
  static Parameter Text(absl::string_view value);
  static Parameter Json(absl::string_view value);  // jsonb
  static Parameter Time(int64_t unix_micros);      // timestamptz
  static Parameter Bigints(absl::Span<const int64_t> values);
  static Parameter Ints(absl::Span<const int32_t> values);
  static Parameter Times(absl::Span<const int64_t> unix_micros);
  static Parameter Texts(absl::Span<const std::string> values);
  static Parameter NullBigint();
  static Parameter NullJson();
};

// Rows in the format of COPY ... WITH (FORMAT binary); see the PostgreSQL
// manual, "COPY", "Binary Format".
class CopyData {
 public:
  CopyData();
  void StartRow(int16_t fields);
  void Int(int32_t value);
  void Bigint(int64_t value);
  void Time(int64_t unix_micros);  // timestamptz
  // All of it, with the end.
  std::string Take();

 private:
  std::string bytes_;
};

// One connection. Errors of all functions:
//   UNAVAILABLE          the server can't be reached, is starting or stopping,
//                        out of connections or disk, or did not answer in time;
//                        the connection is closed then where its state is not
//                        known, and the next call makes another
//   PERMISSION_DENIED    wrong password or rights
//   FAILED_PRECONDITION  anything else that the server refuses
//
// Nothing is kept in the session: a pooler in front of the server may give each
// transaction another one (PgBouncer's transaction pooling). So what a
// transaction needs is set by Begin(), and nothing is prepared by name. BEGIN
// and COMMIT share no message with statements that read or write: a replicator
// (Pgpool-II) would not see where transactions begin and end.
// Not thread-safe.
class Connection {
 public:
  // `url` is a connection string or URL of libpq's.
  explicit Connection(std::string url);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // One statement, which is its own transaction outside of one.
  absl::StatusOr<Rows> Query(const std::string& sql,
                             const std::vector<Parameter>& parameters = {});
  // One or more statements without parameters or rows.
  absl::Status Execute(const std::string& sql);
  // Begins a transaction: with UTC as its time zone, ended by the server when a
  // statement takes longer than `longest`, waits for a lock longer than
  // `lock_timeout`, or none comes for 10 s.
  absl::Status Begin(absl::Duration longest = absl::Minutes(1),
                     absl::Duration lock_timeout = absl::InfiniteDuration());
  // "COPY ... FROM STDIN ..." and its data.
  absl::Status CopyIn(const std::string& sql, const std::string& data);
  // The statement and COMMIT, sent together: a process that is stopped at any
  // time holds none of the locks that the statement takes.
  absl::Status QueryAndCommit(const std::string& sql,
                              const std::vector<Parameter>& parameters);
  // After an error within a transaction.
  void RollBack();

  void set_timeout(absl::Duration timeout) { timeout_ = timeout; }

 private:
  absl::Status Connect();
  absl::Status Wait(bool for_writing, absl::Time deadline);
  absl::StatusOr<pg_result*> NextResult(absl::Time deadline);
  absl::Status Flush(absl::Time deadline);
  absl::Status Drain(absl::Time deadline);
  absl::Status Broken(absl::string_view why);
  absl::Status Refused(pg_result* result);
  absl::Status Send(const std::string& sql,
                    const std::vector<Parameter>& parameters);

  const std::string url_;
  absl::Duration timeout_ = absl::Seconds(15);
  pg_conn* connection_ = nullptr;  // null: none
};

// --- Transactions that the database rolls back so that others can go on

inline const absl::Status& StatusOf(const absl::Status& status) {
  return status;
}
template <typename T>
const absl::Status& StatusOf(const absl::StatusOr<T>& result) {
  return result.status();
}

// serialization_failure and deadlock_detected. One plain PostgreSQL has few; in
// a distributed one, or with SERIALIZABLE as its default, they are everyday.
inline bool IsRolledBackForOthers(const absl::Status& status) {
  const std::string state = SqlState(status);
  return state == "40001" || state == "40P01";
}

// What `attempt` returns, which makes one transaction; again where that was
// rolled back for others, up to eight times in all. It waits longer and longer
// between two, by chance, for a second at most.
template <typename Attempt>
auto Retried(const Attempt& attempt) {
  constexpr int kAttempts = 8;
  absl::BitGen chance;
  absl::Duration longest = absl::Milliseconds(8);
  for (int i = 1;; ++i, longest *= 2) {
    auto result = attempt();
    if (i == kAttempts || !IsRolledBackForOthers(StatusOf(result))) {
      return result;
    }
    absl::SleepFor(longest * absl::Uniform(chance, 0.0, 1.0));
  }
}

}  // namespace nfmeter::collector::postgres

#endif  // NFMETER_COLLECTOR_POSTGRES_H_
