// SPDX-License-Identifier: Apache-2.0
#include "collector/postgres.h"

#include <libpq-fe.h>
#include <poll.h>

#include <cstdlib>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/cord.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "client/src/status_macros.h"

namespace nfmeter::collector::postgres {
namespace {

constexpr char kStatePayload[] = "nfmeter.collector/sqlstate";

// Object ids of types; src/include/catalog/pg_type.dat of PostgreSQL.
constexpr uint32_t kInt4 = 23;
constexpr uint32_t kInt8 = 20;
constexpr uint32_t kText = 25;
constexpr uint32_t kJsonb = 3802;
constexpr uint32_t kTimestamptz = 1184;
constexpr uint32_t kInt4Array = 1007;
constexpr uint32_t kInt8Array = 1016;
constexpr uint32_t kTextArray = 1009;
constexpr uint32_t kTimestamptzArray = 1185;

// timestamptz counts microseconds since 2000.
constexpr int64_t kPostgresEpoch = int64_t{946'684'800} * 1'000'000;

template <typename Int>
void Append(Int value, std::string* out) {
  for (int shift = 8 * (sizeof(Int) - 1); shift >= 0; shift -= 8) {
    out->push_back(static_cast<char>(static_cast<uint64_t>(value) >> shift));
  }
}

template <typename Int>
std::string Bytes(Int value) {
  std::string bytes;
  Append(value, &bytes);
  return bytes;
}

// One dimension, without NULLs; array_recv() in PostgreSQL reads it. `append`
// writes an element's length and bytes.
template <typename Value, typename AppendValue>
std::string Array(uint32_t type, absl::Span<const Value> values,
                  const AppendValue& append) {
  std::string bytes;
  Append(int32_t{values.empty() ? 0 : 1}, &bytes);  // dimensions
  Append(int32_t{0}, &bytes);                       // NULLs
  Append(type, &bytes);
  if (values.empty()) return bytes;
  Append(static_cast<int32_t>(values.size()), &bytes);
  Append(int32_t{1}, &bytes);  // the first index
  for (const Value& value : values) append(value, &bytes);
  return bytes;
}

template <typename Int>
std::string IntArray(uint32_t type, absl::Span<const Int> values,
                     int64_t offset = 0) {
  return Array(type, values, [offset](Int value, std::string* bytes) {
    Append(static_cast<int32_t>(sizeof(Int)), bytes);
    Append(static_cast<Int>(value - offset), bytes);
  });
}

// What the class of a SQLSTATE means here.
absl::StatusCode CodeOf(absl::string_view state) {
  if (absl::StartsWith(state, "28") || state == "42501") {
    return absl::StatusCode::kPermissionDenied;
  }
  // A standby that is to become the main server yet.
  if (state == "25006") return absl::StatusCode::kUnavailable;
  // Connections, resources, operators, system errors; and transactions that
  // were rolled back so that others could go on.
  for (const absl::string_view passing : {"08", "53", "57", "58", "40", "55"}) {
    if (absl::StartsWith(state, passing)) return absl::StatusCode::kUnavailable;
  }
  return absl::StatusCode::kFailedPrecondition;
}

absl::Status Error(absl::string_view state, absl::string_view message) {
  absl::Status status(
      CodeOf(state), absl::StrCat("the database: ",
                                  absl::StripTrailingAsciiWhitespace(message)));
  status.SetPayload(kStatePayload, absl::Cord(state));
  return status;
}

}  // namespace

std::string SqlState(const absl::Status& status) {
  const auto state = status.GetPayload(kStatePayload);
  return state.has_value() ? std::string(*state) : "";
}

Rows::Rows(pg_result* result) : result_(result) {}
Rows::~Rows() { PQclear(result_); }
Rows::Rows(Rows&& other) noexcept
    : result_(std::exchange(other.result_, nullptr)) {}
int Rows::size() const { return PQntuples(result_); }
std::string Rows::Text(int row, int column) const {
  return std::string(PQgetvalue(result_, row, column),
                     PQgetlength(result_, row, column));
}
int64_t Rows::Int64(int row, int column) const {
  return std::strtoll(PQgetvalue(result_, row, column), nullptr, 10);
}
bool Rows::IsNull(int row, int column) const {
  return PQgetisnull(result_, row, column) != 0;
}

Parameter Parameter::Int(int32_t value) { return {kInt4, Bytes(value)}; }
Parameter Parameter::Bigint(int64_t value) { return {kInt8, Bytes(value)}; }
Parameter Parameter::Text(absl::string_view value) {
  return {kText, std::string(value)};
}
Parameter Parameter::Json(absl::string_view value) {
  return {kJsonb, absl::StrCat("\x01", value)};  // the format's version
}
Parameter Parameter::Time(int64_t unix_micros) {
  return {kTimestamptz, Bytes(unix_micros - kPostgresEpoch)};
}
Parameter Parameter::Bigints(absl::Span<const int64_t> values) {
  return {kInt8Array, IntArray(kInt8, values)};
}
Parameter Parameter::Ints(absl::Span<const int32_t> values) {
  return {kInt4Array, IntArray(kInt4, values)};
}
Parameter Parameter::Times(absl::Span<const int64_t> unix_micros) {
  return {kTimestamptzArray,
          IntArray(kTimestamptz, unix_micros, kPostgresEpoch)};
}
Parameter Parameter::Texts(absl::Span<const std::string> values) {
  return {kTextArray,
          Array(kText, values, [](absl::string_view value, std::string* bytes) {
            Append(static_cast<int32_t>(value.size()), bytes);
            absl::StrAppend(bytes, value);
          })};
}
Parameter Parameter::NullBigint() { return {kInt8, std::nullopt}; }
Parameter Parameter::NullJson() { return {kJsonb, std::nullopt}; }

CopyData::CopyData() {
  bytes_.assign("PGCOPY\n\377\r\n\0", 11);
  Append(int32_t{0}, &bytes_);  // flags
  Append(int32_t{0}, &bytes_);  // length of the header's extension
}
void CopyData::StartRow(int16_t fields) { Append(fields, &bytes_); }
void CopyData::Int(int32_t value) {
  Append(int32_t{4}, &bytes_);
  Append(value, &bytes_);
}
void CopyData::Bigint(int64_t value) {
  Append(int32_t{8}, &bytes_);
  Append(value, &bytes_);
}
void CopyData::Time(int64_t unix_micros) {
  Bigint(unix_micros - kPostgresEpoch);
}
std::string CopyData::Take() {
  Append(int16_t{-1}, &bytes_);
  return std::move(bytes_);
}

Connection::Connection(std::string url) : url_(std::move(url)) {}

Connection::~Connection() {
  if (connection_ != nullptr) PQfinish(connection_);
}

absl::Status Connection::Broken(absl::string_view why) {
  // `why` may be the connection's own.
  absl::Status status = absl::UnavailableError(
      absl::StrCat("the database: ", absl::StripTrailingAsciiWhitespace(why)));
  if (connection_ != nullptr) PQfinish(std::exchange(connection_, nullptr));
  return status;
}

absl::Status Connection::Connect() {
  if (connection_ != nullptr && PQstatus(connection_) == CONNECTION_OK) {
    return absl::OkStatus();
  }
  if (connection_ != nullptr) PQfinish(std::exchange(connection_, nullptr));
  // Both sides notice a dead network.
  const char* const keywords[] = {"dbname",
                                  "connect_timeout",
                                  "keepalives_idle",
                                  "keepalives_interval",
                                  "keepalives_count",
                                  "tcp_user_timeout",
                                  "fallback_application_name",
                                  nullptr};
  const char* const values[] = {
      url_.c_str(), "5", "5", "2", "3", "10000", "nfmeter-collector", nullptr};
  PGconn* const opened = PQconnectdbParams(keywords, values, /*expand*/ 1);
  if (PQstatus(opened) == CONNECTION_OK) {
    connection_ = opened;
    PQsetnonblocking(connection_, 1);
    PQsetNoticeProcessor(
        connection_, [](void*, const char*) {}, nullptr);
    return absl::OkStatus();
  }
  const std::string why = PQerrorMessage(opened);
  PQfinish(opened);
  // libpq keeps no SQLSTATE of a connection that was refused.
  if (absl::StrContains(why, "authentication failed") ||
      absl::StrContains(why, "no pg_hba.conf entry") ||
      absl::StrContains(why, "no password supplied")) {
    return Error("28000", why);
  }
  if (absl::StrContains(why, "\" does not exist")) {
    return Error(absl::StrContains(why, "role \"") ? "28000" : "3D000", why);
  }
  if (absl::StrContains(why, "invalid") && absl::StrContains(why, "option")) {
    return absl::InvalidArgumentError(
        absl::StrCat("--sink: ", absl::StripTrailingAsciiWhitespace(why)));
  }
  return Broken(why);
}

absl::Status Connection::Wait(bool for_writing, absl::Time deadline) {
  pollfd socket = {
      .fd = PQsocket(connection_),
      .events = static_cast<short>(POLLIN | (for_writing ? POLLOUT : 0))};
  const absl::Duration left = deadline - absl::Now();
  if (left <= absl::ZeroDuration() ||
      poll(&socket, 1, static_cast<int>(absl::ToInt64Milliseconds(left)) + 1) ==
          0) {
    return Broken("it did not answer in time");
  }
  if (PQconsumeInput(connection_) != 1) {
    return Broken(PQerrorMessage(connection_));
  }
  return absl::OkStatus();
}

absl::Status Connection::Flush(absl::Time deadline) {
  for (;;) {
    const int left = PQflush(connection_);
    if (left == 0) return absl::OkStatus();
    if (left < 0) return Broken(PQerrorMessage(connection_));
    NFM_RETURN_IF_ERROR(Wait(/*for_writing=*/true, deadline));
  }
}

// Null: there is no more.
absl::StatusOr<pg_result*> Connection::NextResult(absl::Time deadline) {
  NFM_RETURN_IF_ERROR(Flush(deadline));
  while (PQisBusy(connection_)) {
    NFM_RETURN_IF_ERROR(Wait(/*for_writing=*/false, deadline));
  }
  return PQgetResult(connection_);
}

absl::Status Connection::Refused(pg_result* result) {
  const char* state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
  const char* message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
  absl::Status status =
      state == nullptr ? absl::UnavailableError(absl::StrCat(
                             "the database: ", PQresultErrorMessage(result)))
                       : Error(state, message == nullptr ? "" : message);
  PQclear(result);
  return status;
}

// Reads what is left of an answer; the first error in it.
absl::Status Connection::Drain(absl::Time deadline) {
  absl::Status status;
  for (;;) {
    NFM_ASSIGN_OR_RETURN(pg_result* const result, NextResult(deadline));
    if (result == nullptr) break;
    switch (PQresultStatus(result)) {
      case PGRES_COMMAND_OK:
      case PGRES_TUPLES_OK:
      case PGRES_EMPTY_QUERY:
        PQclear(result);
        break;
      default:
        status.Update(Refused(result));
        if (PQstatus(connection_) != CONNECTION_OK) {
          return Broken(status.message());
        }
    }
  }
  return status;
}

absl::Status Connection::Send(const std::string& sql,
                              const std::vector<Parameter>& parameters) {
  std::vector<Oid> types;
  std::vector<const char*> values;
  std::vector<int> lengths;
  const std::vector<int> formats(parameters.size(), 1);
  for (const Parameter& parameter : parameters) {
    types.push_back(parameter.type);
    values.push_back(parameter.value.has_value() ? parameter.value->data()
                                                 : nullptr);
    lengths.push_back(parameter.value.has_value()
                          ? static_cast<int>(parameter.value->size())
                          : 0);
  }
  if (PQsendQueryParams(connection_, sql.c_str(),
                        static_cast<int>(parameters.size()), types.data(),
                        values.data(), lengths.data(), formats.data(),
                        /*resultFormat=*/0) != 1) {
    return Broken(PQerrorMessage(connection_));
  }
  return absl::OkStatus();
}

absl::StatusOr<Rows> Connection::Query(
    const std::string& sql, const std::vector<Parameter>& parameters) {
  NFM_RETURN_IF_ERROR(Connect());
  const absl::Time deadline = absl::Now() + timeout_;
  NFM_RETURN_IF_ERROR(Send(sql, parameters));
  NFM_ASSIGN_OR_RETURN(pg_result* const result, NextResult(deadline));
  if (result == nullptr) return Broken(PQerrorMessage(connection_));
  const ExecStatusType kind = PQresultStatus(result);
  if (kind != PGRES_TUPLES_OK && kind != PGRES_COMMAND_OK) {
    absl::Status refused = Refused(result);
    NFM_RETURN_IF_ERROR(Drain(deadline));
    return refused;
  }
  Rows rows(result);
  NFM_RETURN_IF_ERROR(Drain(deadline));
  return rows;
}

absl::Status Connection::Execute(const std::string& sql) {
  NFM_RETURN_IF_ERROR(Connect());
  if (PQsendQuery(connection_, sql.c_str()) != 1) {
    return Broken(PQerrorMessage(connection_));
  }
  return Drain(absl::Now() + timeout_);
}

// A server whose client is stopped, or lost, gives up what that held.
absl::Status Connection::Begin(absl::Duration longest,
                               absl::Duration lock_timeout) {
  std::string sql = absl::StrCat(
      "BEGIN; SET LOCAL timezone = 'UTC'; "
      "SET LOCAL idle_in_transaction_session_timeout = '10s'; "
      "SET LOCAL statement_timeout = '",
      absl::ToInt64Milliseconds(longest), "ms'");
  if (lock_timeout < absl::InfiniteDuration()) {
    absl::StrAppend(&sql, "; SET LOCAL lock_timeout = '",
                    absl::ToInt64Milliseconds(lock_timeout), "ms'");
  }
  return Execute(sql);
}

absl::Status Connection::CopyIn(const std::string& sql,
                                const std::string& data) {
  NFM_RETURN_IF_ERROR(Connect());
  const absl::Time deadline = absl::Now() + timeout_;
  if (PQsendQuery(connection_, sql.c_str()) != 1) {
    return Broken(PQerrorMessage(connection_));
  }
  for (;;) {
    NFM_ASSIGN_OR_RETURN(pg_result* const result, NextResult(deadline));
    if (result == nullptr) return Broken("it takes no data");
    const ExecStatusType kind = PQresultStatus(result);
    if (kind == PGRES_COMMAND_OK || kind == PGRES_COPY_IN) {
      PQclear(result);
      if (kind == PGRES_COPY_IN) break;
      continue;
    }
    absl::Status refused = Refused(result);
    NFM_RETURN_IF_ERROR(Drain(deadline));
    return refused;
  }
  constexpr size_t kChunk = 64 << 10;
  for (size_t at = 0; at < data.size(); at += kChunk) {
    const int size = static_cast<int>(std::min(kChunk, data.size() - at));
    while (PQputCopyData(connection_, data.data() + at, size) == 0) {
      NFM_RETURN_IF_ERROR(Wait(/*for_writing=*/true, deadline));
    }
    NFM_RETURN_IF_ERROR(Flush(deadline));
  }
  while (PQputCopyEnd(connection_, nullptr) == 0) {
    NFM_RETURN_IF_ERROR(Wait(/*for_writing=*/true, deadline));
  }
  return Drain(deadline);
}

absl::Status Connection::QueryAndCommit(
    const std::string& sql, const std::vector<Parameter>& parameters) {
  const absl::Time deadline = absl::Now() + timeout_;
  if (connection_ == nullptr || PQenterPipelineMode(connection_) != 1) {
    return Broken("the connection is gone");
  }
  NFM_RETURN_IF_ERROR(Send(sql, parameters));
  NFM_RETURN_IF_ERROR(Send("COMMIT", {}));
  if (PQpipelineSync(connection_) != 1) {
    return Broken(PQerrorMessage(connection_));
  }
  absl::Status status;
  for (bool synced = false; !synced;) {
    NFM_ASSIGN_OR_RETURN(pg_result* const result, NextResult(deadline));
    if (result == nullptr) continue;  // between two statements
    switch (PQresultStatus(result)) {
      case PGRES_PIPELINE_SYNC:
        synced = true;
        PQclear(result);
        break;
      case PGRES_COMMAND_OK:
      case PGRES_TUPLES_OK:
      case PGRES_PIPELINE_ABORTED:
        PQclear(result);
        break;
      default:
        status.Update(Refused(result));
        if (PQstatus(connection_) != CONNECTION_OK) {
          return Broken(status.message());
        }
    }
  }
  PQexitPipelineMode(connection_);
  return status;
}

void Connection::RollBack() {
  if (connection_ == nullptr) return;
  if (PQtransactionStatus(connection_) != PQTRANS_IDLE &&
      !Execute("ROLLBACK").ok() && connection_ != nullptr) {
    PQfinish(std::exchange(connection_, nullptr));
  }
}

}  // namespace nfmeter::collector::postgres
