// SPDX-License-Identifier: Apache-2.0
#include "collector/sqlite_sink.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <limits>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "client/src/status_macros.h"
#include "client/src/words.h"
#include "collector/record.h"
#include "collector/sqlite_schema.h"
#include "google/protobuf/struct.pb.h"
#include "google/protobuf/util/json_util.h"

namespace nfmeter::collector {
namespace {

constexpr int64_t kHour = 12 * kFiveMinutes;
// What Tidy() deletes at once, so that it does not hold up records.
constexpr int kDeletedAtOnce = 50'000;

// {"tenant":"blue"}.
std::string LabelsJson(const v1::UsageCounter& counter) {
  google::protobuf::Struct labels;
  for (const auto& [key, value] : counter.labels()) {
    (*labels.mutable_fields())[key].set_string_value(value);
  }
  std::string json;
  (void)google::protobuf::util::MessageToJsonString(labels, &json);
  return json;
}

}  // namespace

// Compiled once.
class SqliteSink::Statements {
 public:
  static absl::StatusOr<std::unique_ptr<Statements>> Prepare(
      sqlite::Database& db) {
    auto statements = std::make_unique<Statements>();
    for (const auto& [statement, sql] : statements->All()) {
      NFM_ASSIGN_OR_RETURN(auto prepared, db.Prepare(sql));
      statement->emplace(std::move(prepared));
    }
    return statements;
  }

  std::optional<sqlite::Statement> node_by_name, node_by_id, node_key, new_node,
      name_node, cursor, new_cursor, move_cursor, token, describe, count, carry,
      usage, add_record, add_gap, roll_5m, roll_1h, join, keep_lease, report;

 private:
  static constexpr char kNode[] =
      "SELECT n.name, n.node_id, c.epoch, c.sequence, c.record_time FROM nodes "
      "n JOIN cursors c USING (node) WHERE ";

  std::vector<std::pair<std::optional<sqlite::Statement>*, std::string>> All() {
    const auto roll = [](absl::string_view table) {
      return absl::StrCat(
          "INSERT INTO ", table,
          " SELECT node, epoch, counter_id, ?4, packets - base_packets, "
          "bytes - base_bytes FROM counters WHERE node = ?1 AND epoch = ?2 "
          "AND counter_id = ?3 ON CONFLICT DO UPDATE SET "
          "packets = max(packets, excluded.packets), "
          "bytes = max(bytes, excluded.bytes)");
    };
    return {
        {&node_by_name, absl::StrCat(kNode,
                                     "n.name = ?1 ORDER BY c.stored_time DESC "
                                     "LIMIT 1")},
        {&node_by_id, absl::StrCat(kNode, "n.node_id = ?1")},
        {&node_key, "SELECT node FROM nodes WHERE node_id = ?1"},
        {&new_node, "INSERT INTO nodes (node_id, name) VALUES (?1, ?2)"},
        {&name_node,
         "UPDATE nodes SET name = ?2 WHERE node = ?1 AND name <> "
         "?2"},
        {&new_cursor,
         "INSERT OR IGNORE INTO cursors VALUES (?1, ?2, ?3, ?4, "
         "?5)"},
        {&move_cursor,
         "UPDATE cursors SET epoch = ?2, sequence = ?3, "
         "record_time = ?4, stored_time = ?5 WHERE node = ?1 "
         "AND epoch = ?6 AND sequence = ?7"},
        {&token, "SELECT token FROM leases WHERE shard = ?1"},
        // A counter that goes on in a new epoch (p) counts from where it was.
        {&describe,
         "INSERT INTO counters (node, epoch, counter_id, name, generation, "
         "state, labels, create_time, start_time, end_time, packets, bytes, "
         "base_packets, base_bytes) "
         "SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, "
         "coalesce(p.packets, 0), coalesce(p.bytes, 0), "
         "coalesce(p.packets, 0), coalesce(p.bytes, 0) "
         "FROM (SELECT 1) LEFT JOIN counters p ON p.node = ?1 AND p.epoch = "
         "?11 AND p.counter_id = ?3 AND p.create_time = ?8 WHERE true "
         "ON CONFLICT DO UPDATE SET name = excluded.name, generation = "
         "excluded.generation, state = excluded.state, labels = "
         "excluded.labels, start_time = excluded.start_time, end_time = "
         "excluded.end_time"},
        // A total that fell is one of a ledger that was set back: what was
        // counted stays counted.
        {&count,
         "UPDATE counters SET "
         "base_packets = base_packets + min(0, ?4 - packets), packets = ?4, "
         "base_bytes = base_bytes + min(0, ?5 - bytes), bytes = ?5 "
         "WHERE node = ?1 AND epoch = ?2 AND counter_id = ?3"},
        {&carry,
         "UPDATE counters SET carried_packets = packets - "
         "base_packets, carried_bytes = bytes - base_bytes WHERE node "
         "= ?1 AND epoch = ?2"},
        {&add_record,
         "INSERT INTO records VALUES (?1, ?2, ?3, ?4, ?5, ?6, "
         "?7)"},
        {&add_gap,
         "INSERT INTO gaps VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, "
         "?9, ?10, ?11)"},
        {&roll_5m, roll("usage_5m")},
        {&roll_1h, roll("usage_1h")},
        {&join,
         "INSERT INTO collectors VALUES (?1, ?2) ON CONFLICT DO UPDATE "
         "SET expires = excluded.expires"},
        {&keep_lease,
         "INSERT INTO leases VALUES (?1, 1, ?2, ?3) ON CONFLICT DO UPDATE SET "
         "token = token + (holder IS NOT ?2), holder = ?2, expires = ?3 "
         "WHERE holder IS NULL OR holder = ?2 OR expires <= ?4"},
        {&report,
         "INSERT INTO targets VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT "
         "DO UPDATE SET address = ?2, collector = ?3, error = ?4, "
         "since = ?5"},
    };
  }
};

absl::StatusOr<std::unique_ptr<SqliteSink>> SqliteSink::Open(Options options) {
  // NOLINTNEXTLINE(modernize-make-unique): the constructor is private.
  std::unique_ptr<SqliteSink> sink(new SqliteSink(std::move(options)));
  NFM_RETURN_IF_ERROR(sink->Prepare());
  return sink;
}

SqliteSink::SqliteSink(Options options) : options_(std::move(options)) {}

SqliteSink::~SqliteSink() {
  if (lock_fd_ >= 0) close(lock_fd_);
}

absl::Status SqliteSink::Prepare() {
  absl::MutexLock lock(&mutex_);
  if (!options_.only_inspect) {
    const std::string path = absl::StrCat(options_.path, ".lock");
    lock_fd_ = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (lock_fd_ < 0) {
      return absl::UnavailableError(absl::StrCat(
          path, " can't be made: ", std::strerror(errno),
          "; give the collector a folder that it may write, --sink "
          "sqlite:PATH"));
    }
    if (flock(lock_fd_, LOCK_EX | LOCK_NB) != 0) {
      return absl::FailedPreconditionError(absl::StrCat(
          "another nfmeter-collector uses ", options_.path,
          "; a SQLite file is for one collector, several need --sink "
          "postgresql://..."));
    }
  }
  if (options_.only_inspect && access(options_.path.c_str(), F_OK) != 0) {
    return absl::NotFoundError(absl::StrCat(
        "there is no ", options_.path,
        ": nothing was collected into it yet; start nfmeter-collector, or name "
        "another --sink"));
  }
  NFM_ASSIGN_OR_RETURN(db_, sqlite::Database::Open(options_.path));
  NFM_RETURN_IF_ERROR(Migrate());
  NFM_ASSIGN_OR_RETURN(statements_, Statements::Prepare(*db_));
  if (options_.only_inspect) return absl::OkStatus();
  // Who held them is dead: this process has the lock.
  return db_->Execute(
      "UPDATE leases SET holder = NULL; DELETE FROM collectors");
}

absl::Status SqliteSink::Migrate() {
  NFM_ASSIGN_OR_RETURN(const int64_t tables,
                       db_->QueryNumber("SELECT count(*) FROM sqlite_master"));
  NFM_ASSIGN_OR_RETURN(const int64_t application,
                       db_->QueryNumber("PRAGMA application_id"));
  NFM_ASSIGN_OR_RETURN(int64_t version,
                       db_->QueryNumber("PRAGMA user_version"));
  if (tables > 0 && application != kSqliteApplicationId) {
    return absl::FailedPreconditionError(
        absl::StrCat(options_.path,
                     " belongs to another program; give the collector a file "
                     "of its own, --sink sqlite:PATH"));
  }
  const std::vector<std::string> migrations = SqliteMigrations();
  const int64_t newest = static_cast<int64_t>(migrations.size());
  if (version > newest) {
    return absl::FailedPreconditionError(
        absl::StrCat(options_.path, " has schema version ", version,
                     ", this nfmeter-collector knows up to ", newest,
                     "; use the version that made it, or a newer one"));
  }
  if (version < newest && options_.only_inspect) {
    return absl::FailedPreconditionError(absl::StrCat(
        options_.path, " has schema version ", version,
        "; start this nfmeter-collector once, which makes it ", newest));
  }
  for (; version < newest; ++version) {
    NFM_ASSIGN_OR_RETURN(auto transaction, sqlite::Transaction::Begin(*db_));
    NFM_RETURN_IF_ERROR(db_->Execute(migrations[version]));
    NFM_RETURN_IF_ERROR(db_->Execute(
        absl::StrCat("PRAGMA application_id = ", kSqliteApplicationId,
                     "; PRAGMA user_version = ", version + 1)));
    NFM_RETURN_IF_ERROR(transaction.Commit());
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> SqliteSink::Join(
    const std::string& name, absl::Duration ttl) {
  absl::MutexLock lock(&mutex_);
  const int64_t now = Now();
  NFM_RETURN_IF_ERROR(
      statements_->join->Run(name, now + absl::ToInt64Microseconds(ttl)));
  NFM_ASSIGN_OR_RETURN(
      auto all, db_->Prepare("SELECT name FROM collectors WHERE expires > ?1 "
                             "ORDER BY name"));
  all.Bind(1, now);
  std::vector<std::string> names;
  NFM_RETURN_IF_ERROR(all.ForEachRow([&] { names.push_back(all.Text(0)); }));
  return names;
}

absl::Status SqliteSink::Leave(const std::string& name) {
  absl::MutexLock lock(&mutex_);
  NFM_ASSIGN_OR_RETURN(auto transaction, sqlite::Transaction::Begin(*db_));
  NFM_ASSIGN_OR_RETURN(
      auto free, db_->Prepare("UPDATE leases SET holder = NULL WHERE holder = "
                              "?1"));
  NFM_RETURN_IF_ERROR(free.Run(name));
  NFM_ASSIGN_OR_RETURN(auto forget,
                       db_->Prepare("DELETE FROM collectors WHERE name = ?1"));
  NFM_RETURN_IF_ERROR(forget.Run(name));
  return transaction.Commit();
}

absl::StatusOr<std::vector<Lease>> SqliteSink::KeepLeases(
    const std::string& name, absl::Span<const int> shards, absl::Duration ttl) {
  absl::MutexLock lock(&mutex_);
  const int64_t now = Now();
  const int64_t expires = now + absl::ToInt64Microseconds(ttl);
  NFM_ASSIGN_OR_RETURN(auto transaction, sqlite::Transaction::Begin(*db_));
  NFM_ASSIGN_OR_RETURN(
      auto held, db_->Prepare("SELECT shard, token FROM leases WHERE holder = "
                              "?1 ORDER BY shard"));
  held.Bind(1, name);
  NFM_ASSIGN_OR_RETURN(
      auto free, db_->Prepare("UPDATE leases SET holder = NULL WHERE shard = "
                              "?1"));
  const absl::flat_hash_set<int> wanted(shards.begin(), shards.end());
  std::vector<int> given_up;
  NFM_RETURN_IF_ERROR(held.ForEachRow([&] {
    const int shard = static_cast<int>(held.Int64(0));
    if (!wanted.contains(shard)) given_up.push_back(shard);
  }));
  for (const int shard : given_up) NFM_RETURN_IF_ERROR(free.Run(shard));
  for (const int shard : shards) {
    NFM_RETURN_IF_ERROR(
        statements_->keep_lease->Run(shard, name, expires, now));
  }
  std::vector<Lease> leases;
  NFM_RETURN_IF_ERROR(held.ForEachRow([&] {
    leases.push_back({static_cast<int>(held.Int64(0)), held.Int64(1)});
  }));
  NFM_RETURN_IF_ERROR(transaction.Commit());
  return leases;
}

absl::StatusOr<std::optional<KnownNode>> SqliteSink::Find(
    sqlite::Statement& by, const std::string& key) {
  by.Bind(1, key);
  NFM_ASSIGN_OR_RETURN(const bool found, by.Step());
  if (!found) return std::nullopt;
  KnownNode node{by.Text(0),
                 {by.Text(1), static_cast<uint64_t>(by.Int64(2)),
                  static_cast<uint64_t>(by.Int64(3)), by.Int64(4)}};
  by.Reset();
  return node;
}

absl::StatusOr<std::optional<KnownNode>> SqliteSink::FindNode(
    const std::string& name) {
  absl::MutexLock lock(&mutex_);
  return Find(*statements_->node_by_name, name);
}

absl::StatusOr<std::optional<KnownNode>> SqliteSink::FindNodeById(
    const std::string& node_id) {
  absl::MutexLock lock(&mutex_);
  return Find(*statements_->node_by_id, node_id);
}

absl::Status SqliteSink::Store(const Batch& batch) {
  NFM_RETURN_IF_ERROR(CheckTotals(batch));
  absl::MutexLock lock(&mutex_);
  NFM_ASSIGN_OR_RETURN(auto transaction, sqlite::Transaction::Begin(*db_));
  NFM_RETURN_IF_ERROR(CheckLease(batch));
  NFM_ASSIGN_OR_RETURN(const int64_t node, MoveCursor(batch));
  for (const v1::UsageRecord& record : batch.records) {
    NFM_RETURN_IF_ERROR(KeepRecord(batch, node, record));
  }
  if (!batch.expected.has_value()) {
    NFM_RETURN_IF_ERROR(statements_->carry->Run(
        node, batch.records.front().position().epoch()));
  }
  NFM_RETURN_IF_ERROR(KeepGaps(batch, node));
  return transaction.Commit();
}

absl::Status SqliteSink::CheckLease(const Batch& batch) {
  sqlite::Statement& token = *statements_->token;
  token.Bind(1, batch.lease.shard);
  NFM_ASSIGN_OR_RETURN(const bool found, token.Step());
  const bool good = found && token.Int64(0) == batch.lease.token;
  token.Reset();
  return good ? absl::OkStatus() : LeaseLost(batch);
}

// The node's key.
absl::StatusOr<int64_t> SqliteSink::MoveCursor(const Batch& batch) {
  const v1::UsageRecord& last = batch.records.back();
  sqlite::Statement& key = *statements_->node_key;
  key.Bind(1, absl::string_view(last.node_id()));
  NFM_ASSIGN_OR_RETURN(bool known, key.Step());
  if (!known) {
    NFM_RETURN_IF_ERROR(statements_->new_node->Run(last.node_id(), batch.node));
    NFM_ASSIGN_OR_RETURN(known, key.Step());
  }
  const int64_t node = key.Int64(0);
  key.Reset();
  NFM_RETURN_IF_ERROR(statements_->name_node->Run(node, batch.node));
  const uint64_t epoch = last.position().epoch();
  const uint64_t sequence = last.position().sequence();
  if (batch.expected.has_value()) {
    NFM_RETURN_IF_ERROR(statements_->move_cursor->Run(
        node, epoch, sequence, Micros(last.time()), Now(),
        batch.expected->epoch, batch.expected->sequence));
  } else {
    NFM_RETURN_IF_ERROR(statements_->new_cursor->Run(
        node, epoch, sequence, Micros(last.time()), Now()));
  }
  if (db_->changes() != 1) return CursorMoved(batch);
  return node;
}

absl::Status SqliteSink::KeepRecord(const Batch& batch, int64_t node,
                                    const v1::UsageRecord& record) {
  const uint64_t epoch = record.position().epoch();
  const uint64_t old_epoch =
      batch.expected.has_value() ? batch.expected->epoch : epoch;
  for (const v1::UsageCounter& counter : record.counters()) {
    const std::string state = absl::AsciiStrToLower(EnumWord(counter.state()));
    const std::string labels = LabelsJson(counter);
    NFM_RETURN_IF_ERROR(statements_->describe->Run(
        node, epoch, counter.id(), counter.name(), counter.generation(), state,
        labels, Micros(counter.create_time()), Micros(counter.start_time()),
        Micros(counter.end_time()), old_epoch));
  }
  const int64_t time = Micros(record.time());
  for (int i = 0; i < record.counter_ids_size(); ++i) {
    const uint64_t id = record.counter_ids(i);
    NFM_RETURN_IF_ERROR(statements_->count->Run(
        node, epoch, id, record.total_packets(i), record.total_bytes(i)));
    NFM_RETURN_IF_ERROR(statements_->add_record->Run(
        node, time, epoch, record.position().sequence(), id,
        record.total_packets(i), record.total_bytes(i)));
    NFM_RETURN_IF_ERROR(statements_->roll_5m->Run(
        node, epoch, id, BucketOf(time, kFiveMinutes)));
    NFM_RETURN_IF_ERROR(
        statements_->roll_1h->Run(node, epoch, id, BucketOf(time, kHour)));
  }
  return absl::OkStatus();
}

absl::Status SqliteSink::KeepGaps(const Batch& batch, int64_t node) {
  for (const GapRow& gap : GapsOf(batch)) {
    NFM_RETURN_IF_ERROR(statements_->add_gap->Run(
        node, gap.epoch, gap.sequence, gap.counter_id, gap.counter, gap.cause,
        gap.start, gap.end, gap.bounded, gap.max_packets, gap.max_bytes));
  }
  return absl::OkStatus();
}

absl::Status SqliteSink::Report(const std::string& collector,
                                absl::Span<const TargetReport> targets) {
  absl::MutexLock lock(&mutex_);
  NFM_ASSIGN_OR_RETURN(auto transaction, sqlite::Transaction::Begin(*db_));
  for (const TargetReport& target : targets) {
    NFM_RETURN_IF_ERROR(statements_->report->Run(
        target.name, target.address, collector, target.error,
        absl::ToUnixMicros(target.since)));
  }
  return transaction.Commit();
}

absl::StatusOr<FleetStatus> SqliteSink::Inspect() {
  absl::MutexLock lock(&mutex_);
  FleetStatus status;
  NFM_ASSIGN_OR_RETURN(
      auto collectors,
      db_->Prepare("SELECT name FROM collectors WHERE expires > ?1 ORDER BY "
                   "name"));
  collectors.Bind(1, Now());
  NFM_RETURN_IF_ERROR(collectors.ForEachRow(
      [&] { status.collectors.push_back(collectors.Text(0)); }));
  NFM_ASSIGN_OR_RETURN(
      status.shards_held,
      db_->QueryNumber(absl::StrCat("SELECT count(*) FROM leases WHERE holder "
                                    "NOTNULL AND expires > ",
                                    Now())));
  // Targets, each with the node that was stored last under its name; and nodes
  // that are no targets any more.
  NFM_ASSIGN_OR_RETURN(
      auto nodes,
      db_->Prepare(
          "SELECT a.name, t.address, n.node_id, t.collector, t.error, "
          "c.sequence, c.record_time, c.stored_time "
          "FROM (SELECT name FROM targets UNION SELECT name FROM nodes) a "
          "LEFT JOIN targets t ON t.name = a.name "
          "LEFT JOIN nodes n ON n.node = (SELECT m.node FROM nodes m JOIN "
          "cursors k USING (node) WHERE m.name = a.name ORDER BY "
          "k.stored_time DESC LIMIT 1) "
          "LEFT JOIN cursors c ON c.node = n.node ORDER BY a.name"));
  NFM_RETURN_IF_ERROR(nodes.ForEachRow([&] {
    const bool is_stored = nodes.Int64(7) != 0;
    const auto time = [&](int column) {
      return is_stored ? absl::FromUnixMicros(nodes.Int64(column))
                       : absl::InfinitePast();
    };
    status.nodes.push_back({nodes.Text(0), nodes.Text(1), nodes.Text(2),
                            nodes.Text(3), nodes.Text(4),
                            static_cast<uint64_t>(nodes.Int64(5)), time(6),
                            time(7)});
  }));
  return status;
}

absl::Status SqliteSink::Tidy() {
  // What comes after five minutes that are forgotten is counted from them.
  {
    absl::MutexLock lock(&mutex_);
    NFM_ASSIGN_OR_RETURN(
        auto keep_last,
        db_->Prepare(
            "INSERT INTO usage_5m SELECT l.node, l.epoch, l.counter_id, -1, "
            "l.packets, l.bytes FROM counters c CROSS JOIN usage_5m l ON "
            "l.node = c.node AND l.epoch = c.epoch AND l.counter_id = "
            "c.counter_id AND l.bucket = (SELECT max(o.bucket) FROM usage_5m o "
            "WHERE o.node = c.node AND o.epoch = c.epoch AND o.counter_id = "
            "c.counter_id AND o.bucket BETWEEN 0 AND ?1 - 1) WHERE true ON "
            "CONFLICT DO UPDATE SET packets = max(packets, excluded.packets), "
            "bytes = max(bytes, excluded.bytes)"));
    NFM_RETURN_IF_ERROR(keep_last.Run(
        absl::ToUnixMicros(options_.now() - options_.keep_five_minutes)));
  }
  // By counter, as there is no index by time.
  const std::pair<const char*, absl::Duration> kept[] = {
      {"DELETE FROM records WHERE rowid IN (SELECT rowid FROM records WHERE "
       "time < ?1 LIMIT ?2)",
       options_.keep_records},
      {"DELETE FROM usage_5m WHERE (node, epoch, counter_id, bucket) IN "
       "(SELECT u.node, u.epoch, u.counter_id, u.bucket FROM counters c CROSS "
       "JOIN usage_5m u ON u.node = c.node AND u.epoch = c.epoch AND "
       "u.counter_id = c.counter_id AND u.bucket BETWEEN 0 AND ?1 - 1 LIMIT "
       "?2)",
       options_.keep_five_minutes}};
  for (const auto& [sql, age] : kept) {
    int64_t deleted = kDeletedAtOnce;
    while (deleted == kDeletedAtOnce) {
      absl::MutexLock lock(&mutex_);
      NFM_ASSIGN_OR_RETURN(auto statement, db_->Prepare(sql));
      NFM_RETURN_IF_ERROR(statement.Run(
          absl::ToUnixMicros(options_.now() - age), kDeletedAtOnce));
      deleted = db_->changes();
    }
  }
  return absl::OkStatus();
}

}  // namespace nfmeter::collector
