// SPDX-License-Identifier: Apache-2.0
#include "collector/sqlite_schema.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/substitute.h"

namespace nfmeter::collector {
namespace {

// Times are microseconds since 1970. Numbers of 64 bits that are no amounts
// (epochs) are kept as the signed number of the same bits.
constexpr char kFirst[] = R"sql(
CREATE TABLE collectors (
  name TEXT PRIMARY KEY,
  expires INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE leases (
  shard INTEGER PRIMARY KEY,
  token INTEGER NOT NULL,
  holder TEXT,
  expires INTEGER NOT NULL
);

CREATE TABLE targets (
  name TEXT PRIMARY KEY,
  address TEXT NOT NULL,
  collector TEXT NOT NULL,
  error TEXT NOT NULL,
  since INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE nodes (
  node INTEGER PRIMARY KEY,
  node_id TEXT NOT NULL UNIQUE,
  name TEXT NOT NULL
);
CREATE INDEX nodes_by_name ON nodes (name);

CREATE TABLE cursors (
  node INTEGER PRIMARY KEY REFERENCES nodes,
  epoch INTEGER NOT NULL,
  sequence INTEGER NOT NULL,
  record_time INTEGER NOT NULL,
  stored_time INTEGER NOT NULL
);

-- packets and bytes are the node's totals; usage is what they are beyond base,
-- which moves where a node's ledger was set back. carried is the part of the
-- usage that was counted before the node's first record was collected.
CREATE TABLE counters (
  node INTEGER NOT NULL REFERENCES nodes,
  epoch INTEGER NOT NULL,
  counter_id INTEGER NOT NULL,
  name TEXT NOT NULL,
  generation INTEGER NOT NULL,
  state TEXT NOT NULL,
  labels TEXT NOT NULL,
  create_time INTEGER NOT NULL,
  start_time INTEGER NOT NULL,
  end_time INTEGER NOT NULL,
  packets INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  base_packets INTEGER NOT NULL,
  base_bytes INTEGER NOT NULL,
  carried_packets INTEGER NOT NULL DEFAULT 0,
  carried_bytes INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (node, epoch, counter_id)
) WITHOUT ROWID;

CREATE TABLE records (
  node INTEGER NOT NULL,
  time INTEGER NOT NULL,
  epoch INTEGER NOT NULL,
  sequence INTEGER NOT NULL,
  counter_id INTEGER NOT NULL,
  packets INTEGER NOT NULL,
  bytes INTEGER NOT NULL
);
CREATE INDEX records_by_time ON records (time);

CREATE TABLE gaps (
  node INTEGER NOT NULL,
  epoch INTEGER NOT NULL,
  sequence INTEGER NOT NULL,
  counter_id INTEGER NOT NULL,
  counter TEXT NOT NULL,
  cause TEXT NOT NULL,
  start_time INTEGER NOT NULL,
  end_time INTEGER NOT NULL,
  bounded INTEGER NOT NULL,
  max_packets INTEGER NOT NULL,
  max_bytes INTEGER NOT NULL
);
CREATE INDEX gaps_by_node ON gaps (node, counter_id);

-- Totals at the end of each five minutes, of counters that moved in them.
CREATE TABLE usage_5m (
  node INTEGER NOT NULL,
  epoch INTEGER NOT NULL,
  counter_id INTEGER NOT NULL,
  bucket INTEGER NOT NULL,
  packets INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  PRIMARY KEY (node, epoch, counter_id, bucket)
) WITHOUT ROWID;
CREATE TABLE usage_1h (
  node INTEGER NOT NULL,
  epoch INTEGER NOT NULL,
  counter_id INTEGER NOT NULL,
  bucket INTEGER NOT NULL,
  packets INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  PRIMARY KEY (node, epoch, counter_id, bucket)
) WITHOUT ROWID;

CREATE VIEW uncertain AS
SELECT n.name AS node, g.counter, g.cause,
       CASE g.start_time WHEN 0 THEN NULL
         ELSE datetime(g.start_time / 1000000, 'unixepoch') END AS start_time,
       datetime(g.end_time / 1000000, 'unixepoch') AS end_time,
       CASE g.bounded WHEN 0 THEN NULL ELSE g.max_packets END AS max_packets,
       CASE g.bounded WHEN 0 THEN NULL ELSE g.max_bytes END AS max_bytes
FROM gaps g JOIN nodes n USING (node)
WHERE g.cause <> 'RECORDS_DROPPED'
ORDER BY g.end_time DESC;

CREATE VIEW usage_month_by_tenant AS
SELECT substr(hour, 1, 7) AS month,
       coalesce(json_extract(labels, '$.tenant'), '') AS tenant,
       sum(packets) AS packets, sum(bytes) AS bytes
FROM usage_hour GROUP BY 1, 2;

CREATE VIEW top_counters AS
SELECT node, counter, sum(packets) AS packets, sum(bytes) AS bytes
FROM usage_hour WHERE hour >= datetime('now', '-1 day')
GROUP BY node, counter ORDER BY bytes DESC;
)sql";

// What 95 of 100 five minutes had at most: the month so far, five minutes
// without traffic included. In UTC.
constexpr char kPercentileView[] = R"sql(
CREATE VIEW p95_by_tenant AS
WITH summed AS (
  SELECT coalesce(json_extract(labels, '$.tenant'), '') AS tenant, bucket,
         substr(bucket, 1, 7) AS month, sum(packets) AS packets,
         sum(bytes) AS bytes
  FROM usage_five_minutes GROUP BY 1, 2
), ranked AS (
  SELECT tenant, month, packets, bytes,
         row_number() OVER (PARTITION BY tenant, month ORDER BY packets DESC)
           AS by_packets,
         row_number() OVER (PARTITION BY tenant, month ORDER BY bytes DESC)
           AS by_bytes,
         (min(strftime('%s', month || '-01', '+1 month'), strftime('%s'))
            - strftime('%s', month || '-01')) / 300 * 5 / 100 + 1 AS place
  FROM summed
)
SELECT month, tenant,
       coalesce(max(packets) FILTER (WHERE by_packets = place), 0) / 300.0
         AS packets_per_second,
       coalesce(max(bytes) FILTER (WHERE by_bytes = place), 0) / 300.0
         AS bytes_per_second
FROM ranked GROUP BY month, tenant;
)sql";

// What was counted in all, and in each hour or five minutes, in UTC. Older
// versions had these views, too, in other words.
// A gap that was over before a counter was made does not touch it.
constexpr char kUsageTotal[] = R"sql(
DROP VIEW IF EXISTS usage_total;
CREATE VIEW usage_total AS
SELECT n.name AS node, c.name AS counter,
       sum(c.packets - c.base_packets) AS packets,
       sum(c.bytes - c.base_bytes) AS bytes,
       max(EXISTS (SELECT 1 FROM gaps g
                   WHERE g.node = c.node AND g.counter_id IN (0, c.counter_id)
                     AND (g.end_time = 0 OR g.end_time >= c.create_time)
                     AND g.cause <> 'RECORDS_DROPPED')) AS uncertain
FROM counters c JOIN nodes n USING (node)
GROUP BY n.name, c.name;
)sql";

// Bucket -1 has the last total of each counter before what is kept. Usage is
// how far a total is beyond the largest before it, as those of a clock that was
// ahead for a while lie after some that are larger.
std::string UsageIn(absl::string_view view, absl::string_view table,
                    absl::string_view time) {
  return absl::Substitute(R"sql(
DROP VIEW IF EXISTS $0;
CREATE VIEW $0 AS
SELECT node, counter, labels, datetime(bucket / 1000000, 'unixepoch') AS $2,
       packets, bytes
FROM (
  SELECT n.name AS node, c.name AS counter, c.labels, h.bucket,
         max(0, h.packets - coalesce(max(h.packets) OVER before,
                                     c.carried_packets)) AS packets,
         max(0, h.bytes - coalesce(max(h.bytes) OVER before,
                                   c.carried_bytes)) AS bytes
  FROM $1 h JOIN counters c USING (node, epoch, counter_id)
       JOIN nodes n USING (node)
  WINDOW before AS
    (PARTITION BY h.node, h.epoch, h.counter_id ORDER BY h.bucket
     ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING))
WHERE bucket >= 0;
)sql",
                          view, table, time);
}

}  // namespace

std::vector<std::string> SqliteMigrations() {
  return {kFirst, kPercentileView,
          absl::StrCat(kUsageTotal, UsageIn("usage_hour", "usage_1h", "hour"),
                       UsageIn("usage_five_minutes", "usage_5m", "bucket"))};
}

}  // namespace nfmeter::collector
