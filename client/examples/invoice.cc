// SPDX-License-Identifier: Apache-2.0
// Bills what counters have counted, exactly: collects usage into a database of
// SQLite and prints what each tenant has used since the database was made.
//
//   invoice DATABASE [ADDRESS]     (default: $NFMETER_SERVER, or the local
//   socket)
//
// Each record of the server is stored in one transaction together with the
// position after it. Killed at any moment, the database has a record and its
// position, or neither, and the next run goes on from there: nothing is billed
// twice, nothing is left out.
#include <sqlite3.h>

#include <cstdio>
#include <memory>
#include <optional>
#include <string>

#include "nfmeter/client.h"

namespace {

constexpr char kConsumer[] = "invoice";

constexpr char kSchema[] = R"(
  PRAGMA journal_mode = WAL;
  PRAGMA synchronous = FULL;
  -- Where the next run goes on: after this record.
  CREATE TABLE IF NOT EXISTS position (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    epoch INTEGER NOT NULL, sequence INTEGER NOT NULL,
    seconds INTEGER NOT NULL, nanos INTEGER NOT NULL);
  -- What counters are, and their totals in the newest record. A node never
  -- gives an id to another counter.
  CREATE TABLE IF NOT EXISTS counters (
    node TEXT, id INTEGER, name TEXT, tenant TEXT,
    packets INTEGER NOT NULL DEFAULT 0, bytes INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (node, id));
  -- What was counted, by the time of the record that told it.
  CREATE TABLE IF NOT EXISTS used (
    time INTEGER, node TEXT, id INTEGER, packets INTEGER, bytes INTEGER);
  -- When something may be missing.
  CREATE TABLE IF NOT EXISTS gaps (
    node TEXT, counter TEXT, cause TEXT, start INTEGER, end INTEGER);)";

// One run of a statement. SQLite's numbers are signed; packets and bytes of a
// counter stay below 2^63.
class Statement {
 public:
  template <typename... Values>
  Statement(sqlite3* database, const char* sql, const Values&... values) {
    sqlite3_prepare_v2(database, sql, -1, &statement_, nullptr);
    (Bind(values), ...);
  }
  ~Statement() { sqlite3_finalize(statement_); }
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  // Whether there is a row.
  bool Step() {
    result_ = sqlite3_step(statement_);
    return result_ == SQLITE_ROW;
  }
  // There are no more rows, and nothing has failed.
  bool done() const { return result_ == SQLITE_DONE; }
  int64_t Number(int column) {
    return sqlite3_column_int64(statement_, column);
  }
  std::string Text(int column) {
    const auto* text = sqlite3_column_text(statement_, column);
    return text == nullptr ? "" : reinterpret_cast<const char*>(text);
  }

 private:
  void Bind(int64_t number) {
    sqlite3_bind_int64(statement_, ++bound_, number);
  }
  void Bind(uint64_t number) { Bind(static_cast<int64_t>(number)); }
  void Bind(const std::string& text) {
    sqlite3_bind_text(statement_, ++bound_, text.data(),
                      static_cast<int>(text.size()), SQLITE_TRANSIENT);
  }

  sqlite3_stmt* statement_ = nullptr;
  int bound_ = 0;
  int result_ = SQLITE_OK;
};

class Database {
 public:
  explicit Database(const char* path) {
    if (sqlite3_open(path, &database_) == SQLITE_OK) Execute(kSchema);
  }
  ~Database() { sqlite3_close(database_); }
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  const absl::Status& status() const { return status_; }

  // None: nothing was stored yet.
  std::optional<nfmeter::v1::UsagePosition> Position() {
    Statement select(database_,
                     "SELECT epoch, sequence, seconds, nanos FROM position");
    if (!select.Step()) return std::nullopt;
    nfmeter::v1::UsagePosition position;
    position.set_epoch(static_cast<uint64_t>(select.Number(0)));
    position.set_sequence(static_cast<uint64_t>(select.Number(1)));
    position.mutable_time()->set_seconds(select.Number(2));
    position.mutable_time()->set_nanos(static_cast<int32_t>(select.Number(3)));
    return position;
  }

  // The record and the position after it, or neither.
  absl::Status Store(const nfmeter::CollectedRecord& collected) {
    const nfmeter::v1::UsageRecord& record = collected.record;
    const bool first = !Position().has_value();
    Execute("BEGIN IMMEDIATE");
    for (const auto& counter : record.counters()) Describe(record, counter);
    for (int i = 0; i < record.counter_ids_size(); ++i) {
      StoreTotal(record, i, first);
    }
    for (const auto& gap : record.gaps()) StoreGap(record, gap);
    const nfmeter::v1::UsagePosition& position = record.position();
    Write("INSERT OR REPLACE INTO position VALUES (1, ?, ?, ?, ?)",
          position.epoch(), position.sequence(), position.time().seconds(),
          int64_t{position.time().nanos()});
    Execute(status_.ok() ? "COMMIT" : "ROLLBACK");
    return status_;
  }

  void PrintInvoice() {
    Statement sums(database_,
                   "SELECT tenant, sum(used.packets), sum(used.bytes) "
                   "FROM used JOIN counters USING (node, id) "
                   "GROUP BY tenant ORDER BY tenant");
    while (sums.Step()) {
      std::printf("%s: %lld packets, %lld bytes\n",
                  sums.Text(0).empty() ? "(nobody)" : sums.Text(0).c_str(),
                  static_cast<long long>(sums.Number(1)),
                  static_cast<long long>(sums.Number(2)));
    }
    Statement gaps(database_,
                   "SELECT cause, count(*) FROM gaps GROUP BY cause");
    while (gaps.Step()) {
      std::printf("something may be missing: %s, %lld times\n",
                  gaps.Text(0).c_str(), static_cast<long long>(gaps.Number(1)));
    }
  }

 private:
  // The first failure stays.
  void Check(bool succeeded) {
    if (succeeded || !status_.ok()) return;
    status_ = absl::InternalError(sqlite3_errmsg(database_));
  }
  void Execute(const char* sql) {
    Check(sqlite3_exec(database_, sql, nullptr, nullptr, nullptr) == SQLITE_OK);
  }
  template <typename... Values>
  void Write(const char* sql, const Values&... values) {
    Statement statement(database_, sql, values...);
    while (statement.Step()) {
    }
    Check(statement.done());
  }

  void Describe(const nfmeter::v1::UsageRecord& record,
                const nfmeter::v1::UsageCounter& counter) {
    const auto tenant = counter.labels().find("tenant");
    Write(
        "INSERT INTO counters (node, id, name, tenant) "
        "VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
        "name = excluded.name, tenant = excluded.tenant",
        record.node_id(), counter.id(), counter.name(),
        tenant == counter.labels().end() ? std::string() : tenant->second);
  }

  // Totals are cumulative, so what was used is the difference to the total
  // before. A counter that is new has counted all of it since then; but those
  // of the very first record had counted before this invoice began.
  void StoreTotal(const nfmeter::v1::UsageRecord& record, int row, bool first) {
    const uint64_t id = record.counter_ids(row);
    const uint64_t packets = record.total_packets(row);
    const uint64_t bytes = record.total_bytes(row);
    if (!first) {
      Write(
          "INSERT INTO used SELECT ?1, node, id, "
          "max(?4 - packets, 0), max(?5 - bytes, 0) "
          "FROM counters WHERE node = ?2 AND id = ?3",
          record.time().seconds(), record.node_id(), id, packets, bytes);
    }
    Write(
        "UPDATE counters SET packets = ?1, bytes = ?2 "
        "WHERE node = ?3 AND id = ?4",
        packets, bytes, record.node_id(), id);
  }

  void StoreGap(const nfmeter::v1::UsageRecord& record,
                const nfmeter::v1::UsageGap& gap) {
    Write("INSERT INTO gaps VALUES (?, ?, ?, ?, ?)", record.node_id(),
          gap.counter(), nfmeter::v1::UsageGapCause_Name(gap.cause()),
          gap.start_time().seconds(), gap.end_time().seconds());
  }

  sqlite3* database_ = nullptr;
  absl::Status status_;
};

// Collects what the server has now.
absl::Status Collect(nfmeter::Client& client, Database& database) {
  const auto consumers = client.ListConsumers();
  if (!consumers.ok()) return consumers.status();
  const uint64_t newest = consumers->newest().sequence();
  nfmeter::v1::CollectUsageStart start;
  start.set_consumer(kConsumer);
  if (const auto position = database.Position()) {
    if (position->epoch() == consumers->newest().epoch() &&
        position->sequence() >= newest) {
      return absl::OkStatus();
    }
    *start.mutable_resume_after() = *position;
  }
  // A ledger that was restored from a backup goes on with a full record.
  nfmeter::CollectOptions options;
  options.start_anew = true;
  const auto collector = client.CollectUsage(start, options);
  for (;;) {
    const auto collected = collector->Next();
    if (!collected.ok()) return collected.status();
    absl::Status stored = database.Store(*collected);
    if (!stored.ok()) return stored;
    collector->Acknowledge(collected->record.position());
    if (collected->record.position().sequence() >= newest) {
      return absl::OkStatus();
    }
  }
}

int Fail(const absl::Status& status) {
  std::fprintf(stderr, "%s\n%s\n", std::string(status.message()).c_str(),
               nfmeter::ErrorHint(status).c_str());
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: invoice DATABASE [ADDRESS]\n");
    return 2;
  }
  Database database(argv[1]);
  if (!database.status().ok()) return Fail(database.status());
  nfmeter::ClientOptions options;
  if (argc > 2) options.address = argv[2];
  auto client = nfmeter::Client::Connect(options);
  if (!client.ok()) return Fail(client.status());
  if (absl::Status status = Collect(**client, database); !status.ok()) {
    return Fail(status);
  }
  database.PrintInvoice();
  return 0;
}
