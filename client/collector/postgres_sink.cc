// SPDX-License-Identifier: Apache-2.0
#include "collector/postgres_sink.h"

#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/src/status_macros.h"
#include "collector/postgres_schema.h"
#include "collector/record.h"

namespace nfmeter::collector {
namespace {

using postgres::Connection;
using postgres::Parameter;
using postgres::Retried;
using postgres::Rows;

// Lease of Tidy(), beside those of the shards.
constexpr int kTidyShard = -1;
constexpr absl::Duration kTidyLease = absl::Minutes(5);
// What a step of it, or of a migration, takes at most.
constexpr absl::Duration kTidyTime = absl::Minutes(10);
constexpr absl::Duration kTidyLock = absl::Seconds(5);

// A statement that is a transaction of its own.
absl::StatusOr<Rows> QueryRetried(
    Connection& connection, const std::string& sql,
    const std::vector<Parameter>& parameters = {}) {
  return Retried([&] { return connection.Query(sql, parameters); });
}

// The database's clock. It is asked for, and goes into statements as a
// parameter: where a replicator runs each statement on several servers, all of
// them decide by the same time. It is a little old then, so that leases end
// early rather than late.
absl::StatusOr<absl::Time> Clock(Connection& connection) {
  NFM_ASSIGN_OR_RETURN(
      const Rows rows,
      QueryRetried(
          connection,
          "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint"));
  return absl::FromUnixMicros(rows.Int64(0, 0));
}

Parameter TimeParameter(absl::Time time) {
  return Parameter::Time(absl::ToUnixMicros(time));
}

absl::Time TimeOf(const Rows& rows, int row, int column) {
  return rows.IsNull(row, column)
             ? absl::InfinitePast()
             : absl::FromUnixMicros(rows.Int64(row, column));
}

}  // namespace

// A connection from the pool, for as long as it lives.
class PostgresSink::Borrowed {
 public:
  explicit Borrowed(PostgresSink& sink) : sink_(sink) {
    absl::MutexLock lock(&sink_.mutex_);
    sink_.mutex_.Await(absl::Condition(
        +[](std::vector<std::unique_ptr<Connection>>* idle) {
          return !idle->empty();
        },
        &sink_.idle_));
    connection_ = std::move(sink_.idle_.back());
    sink_.idle_.pop_back();
  }
  ~Borrowed() {
    connection_->RollBack();
    absl::MutexLock lock(&sink_.mutex_);
    sink_.idle_.push_back(std::move(connection_));
  }
  Connection& operator*() { return *connection_; }
  Connection* operator->() { return connection_.get(); }

 private:
  PostgresSink& sink_;
  std::unique_ptr<Connection> connection_;
};

PostgresSink::PostgresSink(Options options)
    : options_(std::move(options)),
      tidier_(absl::StrCat("tidy-", absl::Hex(std::random_device()()))),
      leases_connection_(options_.url),
      tidy_connection_(options_.url) {
  for (int i = 0; i < options_.connections; ++i) {
    idle_.push_back(std::make_unique<Connection>(options_.url));
  }
  tidy_connection_.set_timeout(kTidyTime);
}

absl::StatusOr<std::unique_ptr<PostgresSink>> PostgresSink::Open(
    Options options) {
  // NOLINTNEXTLINE(modernize-make-unique): the constructor is private.
  std::unique_ptr<PostgresSink> sink(new PostgresSink(std::move(options)));
  NFM_RETURN_IF_ERROR(sink->CheckSchema());
  return sink;
}

absl::Status PostgresSink::CheckSchema() {
  Borrowed connection(*this);
  NFM_ASSIGN_OR_RETURN(
      const Rows exists,
      connection->Query("SELECT to_regclass('nfmeter.schema_version')"));
  int64_t version = 0;
  if (!exists.IsNull(0, 0)) {
    NFM_ASSIGN_OR_RETURN(
        const Rows rows,
        connection->Query("SELECT version FROM nfmeter.schema_version"));
    version = rows.size() == 0 ? 0 : rows.Int64(0, 0);
  }
  const int64_t newest = static_cast<int64_t>(PostgresMigrations().size());
  if (version > newest) {
    return absl::FailedPreconditionError(
        absl::StrCat("the database has schema version ", version,
                     ", this nfmeter-collector knows up to ", newest,
                     "; use the version that made it, or a newer one"));
  }
  if (version == 0 && options_.only_inspect) {
    return absl::NotFoundError(
        "the database has no usage: nothing was collected into it yet; start "
        "nfmeter-collector, or name another --sink");
  }
  if (version < newest && !options_.only_inspect) {
    Connection migrating(options_.url);
    migrating.set_timeout(kTidyTime);
    NFM_RETURN_IF_ERROR(MigratePostgres(migrating, version));
  }
  if (options_.only_inspect && !options_.check_rights) return absl::OkStatus();
  NFM_RETURN_IF_ERROR(connection->Begin());
  for (const char* changing_nothing :
       {"UPDATE nfmeter.leases SET expires = expires WHERE false",
        "INSERT INTO nfmeter.records SELECT * FROM nfmeter.records WHERE "
        "false"}) {
    NFM_RETURN_IF_ERROR(connection->Execute(changing_nothing));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> PostgresSink::Join(
    const std::string& name, absl::Duration ttl) {
  absl::MutexLock lock(&leases_mutex_);
  NFM_ASSIGN_OR_RETURN(const absl::Time now, Clock(leases_connection_));
  NFM_ASSIGN_OR_RETURN(
      const Rows rows,
      QueryRetried(
          leases_connection_,
          "WITH me AS (INSERT INTO nfmeter.collectors VALUES ($1, $3) "
          "ON CONFLICT (name) DO UPDATE SET expires = excluded.expires), "
          "gone AS (DELETE FROM nfmeter.collectors WHERE name <> $1 AND "
          "expires < $2::timestamptz - interval '1 hour') "
          "SELECT name FROM nfmeter.collectors WHERE name <> $1 AND "
          "expires > $2 UNION SELECT $1 ORDER BY 1",
          {Parameter::Text(name), TimeParameter(now),
           TimeParameter(now + ttl)}));
  std::vector<std::string> names;
  for (int i = 0; i < rows.size(); ++i) names.push_back(rows.Text(i, 0));
  return names;
}

absl::Status PostgresSink::Leave(const std::string& name) {
  absl::MutexLock lock(&leases_mutex_);
  return QueryRetried(
             leases_connection_,
             "WITH me AS (DELETE FROM nfmeter.collectors WHERE name = $1) "
             "UPDATE nfmeter.leases SET holder = NULL WHERE holder = $1",
             {Parameter::Text(name)})
      .status();
}

absl::StatusOr<std::vector<Lease>> PostgresSink::KeepLeases(
    const std::string& name, absl::Span<const int> shards, absl::Duration ttl) {
  absl::MutexLock lock(&leases_mutex_);
  std::vector<Parameter> parameters = {Parameter::Text(name),
                                       Parameter::Ints(shards)};
  NFM_RETURN_IF_ERROR(
      QueryRetried(leases_connection_,
                   "UPDATE nfmeter.leases SET holder = NULL WHERE holder = $1 "
                   "AND shard >= 0 AND shard <> ALL ($2)",
                   parameters)
          .status());
  NFM_ASSIGN_OR_RETURN(const absl::Time now, Clock(leases_connection_));
  parameters.push_back(TimeParameter(now + ttl));
  // What is held is prolonged apart from what is taken: only a changed token
  // waits for transactions that rely on the old one.
  NFM_RETURN_IF_ERROR(
      QueryRetried(leases_connection_,
                   "UPDATE nfmeter.leases SET expires = $3 WHERE holder = $1 "
                   "AND shard = ANY ($2)",
                   parameters)
          .status());
  parameters.push_back(TimeParameter(now));
  NFM_RETURN_IF_ERROR(
      QueryRetried(
          leases_connection_,
          "INSERT INTO nfmeter.leases AS l SELECT s, 1, $1, $3 FROM unnest($2) "
          "AS s WHERE NOT EXISTS (SELECT 1 FROM nfmeter.leases o WHERE o.shard "
          "= s AND (o.holder = $1 OR (o.holder IS NOT NULL AND o.expires > "
          "$4))) ORDER BY s "
          "ON CONFLICT (shard) DO UPDATE SET token = l.token + 1, holder = $1, "
          "expires = excluded.expires WHERE l.holder IS NULL OR l.expires <= "
          "$4",
          parameters)
          .status());
  NFM_ASSIGN_OR_RETURN(
      const Rows rows,
      QueryRetried(
          leases_connection_,
          "SELECT shard, token FROM nfmeter.leases WHERE holder = $1 AND shard "
          ">= 0 ORDER BY shard",
          {parameters[0]}));
  std::vector<Lease> leases;
  for (int i = 0; i < rows.size(); ++i) {
    leases.push_back({static_cast<int>(rows.Int64(i, 0)), rows.Int64(i, 1)});
  }
  return leases;
}

absl::StatusOr<std::optional<KnownNode>> PostgresSink::Find(
    const char* where, const std::string& key) {
  Borrowed connection(*this);
  NFM_ASSIGN_OR_RETURN(
      const Rows rows,
      QueryRetried(
          *connection,
          absl::StrCat(
              "SELECT n.name, n.node_id, c.epoch, c.sequence, "
              "(extract(epoch FROM c.record_time) * 1000000)::bigint "
              "FROM nfmeter.nodes n JOIN nfmeter.cursors c USING (node) "
              "WHERE ",
              where, " = $1 ORDER BY c.stored_time DESC LIMIT 1"),
          {Parameter::Text(key)}));
  if (rows.size() == 0) return std::nullopt;
  return KnownNode{rows.Text(0, 0),
                   {rows.Text(0, 1), static_cast<uint64_t>(rows.Int64(0, 2)),
                    static_cast<uint64_t>(rows.Int64(0, 3)), rows.Int64(0, 4)}};
}

absl::StatusOr<std::optional<KnownNode>> PostgresSink::FindNode(
    const std::string& name) {
  return Find("n.name", name);
}

absl::StatusOr<std::optional<KnownNode>> PostgresSink::FindNodeById(
    const std::string& node_id) {
  return Find("n.node_id", node_id);
}

absl::StatusOr<int32_t> PostgresSink::NodeKey(Connection& connection,
                                              const Batch& batch) {
  const std::string& id = batch.records.front().node_id();
  {
    absl::MutexLock lock(&mutex_);
    const auto found = node_keys_.find(id);
    if (found != node_keys_.end()) return found->second;
  }
  // Found, or made and found.
  for (int i = 0; i < 2; ++i) {
    NFM_ASSIGN_OR_RETURN(
        const Rows rows,
        QueryRetried(connection,
                     "SELECT node FROM nfmeter.nodes WHERE node_id = $1",
                     {Parameter::Text(id)}));
    if (rows.size() > 0) {
      const auto key = static_cast<int32_t>(rows.Int64(0, 0));
      absl::MutexLock lock(&mutex_);
      node_keys_[id] = key;
      return key;
    }
    NFM_RETURN_IF_ERROR(
        QueryRetried(connection,
                     "WITH key AS (UPDATE nfmeter.node_keys SET last = last + "
                     "1 RETURNING last) INSERT INTO nfmeter.nodes (node, "
                     "node_id, name) SELECT last, $1, $2 FROM key ON CONFLICT "
                     "(node_id) DO NOTHING",
                     {Parameter::Text(id), Parameter::Text(batch.node)})
            .status());
  }
  return absl::UnavailableError(absl::StrCat("the database: node ", batch.node,
                                             " is deleted while it is made"));
}

absl::Status PostgresSink::Store(const Batch& batch) {
  NFM_RETURN_IF_ERROR(CheckTotals(batch));
  Borrowed connection(*this);
  NFM_ASSIGN_OR_RETURN(const int32_t node, NodeKey(*connection, batch));
  const std::string records = PostgresRecords(batch, node);
  const std::vector<Parameter> others = PostgresBatch(batch, node);
  const absl::Status status = Retried([&] {
    connection->RollBack();
    NFM_RETURN_IF_ERROR(connection->Begin());
    NFM_RETURN_IF_ERROR(connection->CopyIn(
        "COPY nfmeter.records (node, time, epoch, sequence, counter_id, "
        "packets, bytes) FROM STDIN WITH (FORMAT binary)",
        records));
    return connection->QueryAndCommit(
        "SELECT nfmeter.store_batch($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, "
        "$11, $12, $13, $14, $15)",
        others);
  });
  const std::string state = postgres::SqlState(status);
  if (state == "NFM01") return LeaseLost(batch);
  if (state == "NFM02") return CursorMoved(batch);
  if (state == "23503") {
    // Somebody deleted the node's row; it is made again.
    absl::MutexLock lock(&mutex_);
    node_keys_.erase(batch.records.front().node_id());
  }
  return status;
}

absl::Status PostgresSink::Report(const std::string& collector,
                                  absl::Span<const TargetReport> targets) {
  Borrowed connection(*this);
  for (const TargetReport& target : targets) {
    NFM_RETURN_IF_ERROR(
        QueryRetried(
            *connection,
            "INSERT INTO nfmeter.targets VALUES ($1, $2, $3, $4, $5) ON "
            "CONFLICT (name) DO UPDATE SET address = $2, collector = $3, "
            "error = $4, since = $5",
            {Parameter::Text(target.name), Parameter::Text(target.address),
             Parameter::Text(collector), Parameter::Text(target.error),
             TimeParameter(target.since)})
            .status());
  }
  return absl::OkStatus();
}

absl::StatusOr<FleetStatus> PostgresSink::Inspect() {
  Borrowed connection(*this);
  FleetStatus status;
  NFM_ASSIGN_OR_RETURN(
      const Rows collectors,
      QueryRetried(*connection,
                   "SELECT name FROM nfmeter.collectors WHERE expires > "
                   "clock_timestamp() ORDER BY name"));
  for (int i = 0; i < collectors.size(); ++i) {
    status.collectors.push_back(collectors.Text(i, 0));
  }
  NFM_ASSIGN_OR_RETURN(
      const Rows held,
      QueryRetried(*connection,
                   "SELECT count(*) FROM nfmeter.leases WHERE holder IS "
                   "NOT NULL AND expires > clock_timestamp() AND shard >= "
                   "0"));
  status.shards_held = static_cast<int>(held.Int64(0, 0));
  NFM_ASSIGN_OR_RETURN(
      const Rows rows,
      QueryRetried(
          *connection,
          "SELECT name, t.address, s.node_id, t.collector, t.error, "
          "coalesce(s.sequence, 0), "
          "(extract(epoch FROM s.record_time) * 1000000)::bigint, "
          "(extract(epoch FROM s.stored_time) * 1000000)::bigint "
          "FROM nfmeter.targets t FULL JOIN (SELECT DISTINCT ON (n.name) "
          "n.name, n.node_id, c.* FROM nfmeter.nodes n JOIN nfmeter.cursors c "
          "USING (node) ORDER BY n.name, c.stored_time DESC) s USING (name) "
          "ORDER BY name"));
  for (int i = 0; i < rows.size(); ++i) {
    status.nodes.push_back({rows.Text(i, 0), rows.Text(i, 1), rows.Text(i, 2),
                            rows.Text(i, 3), rows.Text(i, 4),
                            static_cast<uint64_t>(rows.Int64(i, 5)),
                            TimeOf(rows, i, 6), TimeOf(rows, i, 7)});
  }
  return status;
}

absl::StatusOr<int> PostgresSink::RelayEvents(
    const std::function<absl::Status(const Event&)>& send) {
  Borrowed connection(*this);
  NFM_RETURN_IF_ERROR(connection->Begin());
  // Of several collectors one has each event. What is deleted is named by its
  // key: two servers may not skip the same rows.
  NFM_ASSIGN_OR_RETURN(
      const Rows rows,
      connection->Query(
          "SELECT id, event ->> 'type', event ->> 'subject', event ->> 'time', "
          "event -> 'data' FROM nfmeter.outbox ORDER BY noted, id LIMIT 100 "
          "FOR UPDATE SKIP LOCKED"));
  std::vector<std::string> ids;
  for (int i = 0; i < rows.size(); ++i) {
    ids.push_back(rows.Text(i, 0));
    NFM_RETURN_IF_ERROR(send({ids.back(), rows.Text(i, 1), rows.Text(i, 2),
                              rows.Text(i, 3), rows.Text(i, 4)}));
  }
  if (!ids.empty()) {
    NFM_RETURN_IF_ERROR(
        connection
            ->Query("DELETE FROM nfmeter.outbox WHERE id = ANY ($1)",
                    {Parameter::Texts(ids)})
            .status());
  }
  NFM_RETURN_IF_ERROR(connection->Execute("COMMIT"));
  return rows.size();
}

absl::Status PostgresSink::Tidy() {
  NFM_ASSIGN_OR_RETURN(const absl::Time now, Clock(tidy_connection_));
  NFM_ASSIGN_OR_RETURN(
      const Rows mine,
      QueryRetried(
          tidy_connection_,
          absl::StrCat("INSERT INTO nfmeter.leases AS l VALUES (", kTidyShard,
                       ", 1, $1, $3) ON CONFLICT (shard) DO UPDATE SET token = "
                       "l.token + 1, holder = $1, expires = excluded.expires "
                       "WHERE l.holder = $1 OR l.expires <= $2 RETURNING 1"),
          {Parameter::Text(tidier_), TimeParameter(now),
           TimeParameter(now + kTidyLease)}));
  if (mine.size() == 0) return absl::OkStatus();
  for (const char* each :
       {"SELECT nfmeter.make_partitions()", "SELECT nfmeter.roll_up()",
        "SELECT nfmeter.retain()"}) {
    const absl::Status done = Retried([&] {
      tidy_connection_.RollBack();  // the attempt before
      NFM_RETURN_IF_ERROR(tidy_connection_.Begin(kTidyTime, kTidyLock));
      NFM_RETURN_IF_ERROR(tidy_connection_.Execute(each));
      return tidy_connection_.Execute("COMMIT");
    });
    tidy_connection_.RollBack();
    if (!done.ok()) return done;
  }
  return absl::OkStatus();
}

}  // namespace nfmeter::collector
