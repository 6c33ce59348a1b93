// SPDX-License-Identifier: Apache-2.0
#include "collector/postgres_schema.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/substitute.h"

namespace nfmeter::collector {
namespace {

// Numbers of 64 bits that are no amounts (epochs) are kept as the signed number
// of the same bits.
constexpr char kTables[] = R"sql(
CREATE TABLE nfmeter.policy (
  only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  keep_records interval NOT NULL DEFAULT '30 days',
  keep_five_minutes interval NOT NULL DEFAULT '90 days',
  keep_hours interval NOT NULL DEFAULT '3 years'
);
INSERT INTO nfmeter.policy DEFAULT VALUES;

CREATE TABLE nfmeter.collectors (
  name text PRIMARY KEY,
  expires timestamptz NOT NULL
);

-- The token is part of a key so that whoever takes a lease waits for
-- transactions that rely on it (FOR KEY SHARE), and who prolongs it does not.
CREATE TABLE nfmeter.leases (
  shard int PRIMARY KEY,
  token bigint NOT NULL,
  holder text,
  expires timestamptz NOT NULL,
  UNIQUE (shard, token)
);

CREATE TABLE nfmeter.targets (
  name text PRIMARY KEY,
  address text NOT NULL,
  collector text NOT NULL,
  error text NOT NULL,
  since timestamptz NOT NULL
);

CREATE TABLE nfmeter.nodes (
  node int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  node_id text NOT NULL UNIQUE,
  name text NOT NULL
);
CREATE INDEX nodes_by_name ON nfmeter.nodes (name);

CREATE TABLE nfmeter.cursors (
  node int PRIMARY KEY REFERENCES nfmeter.nodes,
  epoch bigint NOT NULL,
  sequence bigint NOT NULL,
  record_time timestamptz NOT NULL,
  stored_time timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- packets and bytes are the node's totals; usage is what they are beyond base,
-- which moves where a node's ledger was set back. carried is the part of the
-- usage that was counted before the node's first record was collected.
CREATE TABLE nfmeter.counters (
  node int NOT NULL REFERENCES nfmeter.nodes,
  epoch bigint NOT NULL,
  counter_id bigint NOT NULL,
  uid text GENERATED ALWAYS AS
    (node || '/' || to_hex(epoch) || '/' || counter_id) STORED,
  name text NOT NULL,
  generation bigint NOT NULL,
  state text NOT NULL,
  labels jsonb NOT NULL,
  create_time timestamptz,
  start_time timestamptz,
  end_time timestamptz,
  packets bigint NOT NULL,
  bytes bigint NOT NULL,
  base_packets bigint NOT NULL,
  base_bytes bigint NOT NULL,
  carried_packets bigint NOT NULL DEFAULT 0,
  carried_bytes bigint NOT NULL DEFAULT 0,
  PRIMARY KEY (node, epoch, counter_id)
) WITH (fillfactor = 70);

-- No key: the cursor sees to it that a record comes once, and what has no key
-- is copied faster. The default partition takes what clocks that are wrong by
-- days say.
CREATE TABLE nfmeter.records (
  node int NOT NULL,
  time timestamptz NOT NULL,
  epoch bigint NOT NULL,
  sequence bigint NOT NULL,
  counter_id bigint NOT NULL,
  packets bigint NOT NULL,
  bytes bigint NOT NULL
) PARTITION BY RANGE (time);
-- Databases that are not PostgreSQL itself may have ordinary indexes only.
DO $$
BEGIN
  CREATE INDEX records_by_time ON nfmeter.records USING brin (time)
    WITH (pages_per_range = 32, autosummarize = on);
EXCEPTION WHEN OTHERS THEN
  CREATE INDEX records_by_time ON nfmeter.records (time);
END $$;
CREATE TABLE nfmeter.records_other PARTITION OF nfmeter.records DEFAULT;

CREATE TABLE nfmeter.gaps (
  node int NOT NULL REFERENCES nfmeter.nodes,
  epoch bigint NOT NULL,
  sequence bigint NOT NULL,
  counter_id bigint NOT NULL,
  counter text NOT NULL,
  cause text NOT NULL,
  start_time timestamptz,
  end_time timestamptz,
  bounded boolean NOT NULL,
  max_packets bigint NOT NULL,
  max_bytes bigint NOT NULL
);
CREATE INDEX gaps_by_node ON nfmeter.gaps (node, counter_id);

-- Totals at the end of each five minutes and each hour, of counters that moved
-- in them; and the five minutes that have records since they were rolled up.
CREATE TABLE nfmeter.usage_5m (
  node int NOT NULL,
  epoch bigint NOT NULL,
  counter_id bigint NOT NULL,
  bucket timestamptz NOT NULL,
  packets bigint NOT NULL,
  bytes bigint NOT NULL,
  PRIMARY KEY (node, epoch, counter_id, bucket)
) PARTITION BY RANGE (bucket);
CREATE TABLE nfmeter.usage_5m_other PARTITION OF nfmeter.usage_5m DEFAULT;
CREATE TABLE nfmeter.usage_1h (
  node int NOT NULL,
  epoch bigint NOT NULL,
  counter_id bigint NOT NULL,
  bucket timestamptz NOT NULL,
  packets bigint NOT NULL,
  bytes bigint NOT NULL,
  PRIMARY KEY (node, epoch, counter_id, bucket)
);
CREATE TABLE nfmeter.rollup_due (
  bucket timestamptz NOT NULL,
  node int NOT NULL,
  touched bigint NOT NULL DEFAULT 0,
  PRIMARY KEY (bucket, node)
);

-- Events of the fleet for others (CloudEvents), until they are sent.
CREATE TABLE nfmeter.outbox (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  noted timestamptz NOT NULL DEFAULT clock_timestamp(),
  event jsonb NOT NULL
);
)sql";

constexpr char kFunctions[] = R"sql(
-- Everything of a batch but its records, which were copied in this transaction.
-- NFM01: another collector has the lease; NFM02: the cursor is elsewhere.
CREATE OR REPLACE FUNCTION nfmeter.store_batch(
  _shard int, _token bigint, _node int, _name text,
  _old_epoch bigint, _old_sequence bigint, _epoch bigint, _sequence bigint,
  _record_time timestamptz, _ids bigint[], _packets bigint[], _bytes bigint[],
  _counters jsonb, _gaps jsonb, _buckets timestamptz[])
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  _event text;
BEGIN
  PERFORM 1 FROM nfmeter.leases
    WHERE shard = _shard AND token = _token FOR KEY SHARE;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'lease of shard % lost', _shard USING ERRCODE = 'NFM01';
  END IF;
  IF _old_epoch IS NULL THEN
    INSERT INTO nfmeter.cursors (node, epoch, sequence, record_time)
      VALUES (_node, _epoch, _sequence, _record_time) ON CONFLICT DO NOTHING;
  ELSE
    UPDATE nfmeter.cursors SET epoch = _epoch, sequence = _sequence,
        record_time = _record_time, stored_time = clock_timestamp()
      WHERE node = _node AND epoch = _old_epoch AND sequence = _old_sequence;
  END IF;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'cursor moved' USING ERRCODE = 'NFM02';
  END IF;
  UPDATE nfmeter.nodes SET name = _name WHERE node = _node AND name <> _name;

  -- A counter that goes on in a new epoch (p) counts from where it was.
  IF _counters IS NOT NULL THEN
    INSERT INTO nfmeter.counters AS c (node, epoch, counter_id, name,
        generation, state, labels, create_time, start_time, end_time, packets,
        bytes, base_packets, base_bytes)
      SELECT _node, _epoch, n.id, n.name, n.generation, n.state, n.labels,
          n.created, n.started, n.ended, coalesce(p.packets, 0),
          coalesce(p.bytes, 0), coalesce(p.packets, 0), coalesce(p.bytes, 0)
        FROM jsonb_to_recordset(_counters) AS n (id bigint, name text,
          generation bigint, state text, labels jsonb, created timestamptz,
          started timestamptz, ended timestamptz)
        LEFT JOIN nfmeter.counters p ON p.node = _node AND p.epoch = _old_epoch
          AND p.counter_id = n.id AND p.create_time = n.created
      ON CONFLICT (node, epoch, counter_id) DO UPDATE SET
        name = excluded.name, generation = excluded.generation,
        state = excluded.state, labels = excluded.labels,
        start_time = excluded.start_time, end_time = excluded.end_time;
  END IF;
  IF _old_epoch IS NULL OR _gaps IS NOT NULL THEN
    _event := (SELECT node_id FROM nfmeter.nodes WHERE node = _node)
      || '/' || to_hex(_epoch) || '/' || _sequence || '/'
      || (extract(epoch FROM _record_time) * 1000000)::bigint || '/';
  END IF;
  -- A total that fell is one of a ledger that was set back: what was counted
  -- stays counted. Records that are to be rolled up yet are put beside the base
  -- that they get.
  IF _old_epoch = _epoch AND _gaps @> '[{"cause": "LEDGER_SET_BACK"}]' THEN
    UPDATE nfmeter.records r SET
        packets = r.packets + least(0, t.packets - c.packets),
        bytes = r.bytes + least(0, t.bytes - c.bytes)
      FROM unnest(_ids, _packets, _bytes) AS t (id, packets, bytes)
        JOIN nfmeter.counters c ON c.node = _node AND c.epoch = _epoch
          AND c.counter_id = t.id
      WHERE r.node = _node AND r.epoch = _epoch AND r.counter_id = t.id
        AND (t.packets < c.packets OR t.bytes < c.bytes)
        AND r.time >= (SELECT min(bucket) FROM nfmeter.rollup_due
                       WHERE node = _node)
        AND (r.sequence <> _sequence OR r.time <> _record_time);
  END IF;
  UPDATE nfmeter.counters c SET
      base_packets = c.base_packets + least(0, t.packets - c.packets),
      packets = t.packets,
      base_bytes = c.base_bytes + least(0, t.bytes - c.bytes),
      bytes = t.bytes
    FROM unnest(_ids, _packets, _bytes) AS t (id, packets, bytes)
    WHERE c.node = _node AND c.epoch = _epoch AND c.counter_id = t.id;
  IF _old_epoch IS NULL THEN
    UPDATE nfmeter.counters SET carried_packets = packets - base_packets,
        carried_bytes = bytes - base_bytes
      WHERE node = _node AND epoch = _epoch;
    INSERT INTO nfmeter.outbox (id, event) VALUES (_event || 0,
      jsonb_build_object(
      'type', 'nfmeter.node.discovered', 'subject', _name,
      'time', to_jsonb(clock_timestamp()), 'data', jsonb_build_object(
        'node', _name, 'epoch', _epoch, 'sequence', _sequence)))
      ON CONFLICT DO NOTHING;
  END IF;
  IF _gaps IS NOT NULL THEN
    INSERT INTO nfmeter.gaps SELECT _node, _epoch, g.sequence, g.id, g.counter,
        g.cause, g.started, g.ended, g.bounded, g.packets, g.bytes
      FROM jsonb_to_recordset(_gaps) AS g (sequence bigint, id bigint,
        counter text, cause text, started timestamptz, ended timestamptz,
        bounded boolean, packets bigint, bytes bigint);
    INSERT INTO nfmeter.outbox (id, event) SELECT _event || number,
      jsonb_build_object(
        'type', 'nfmeter.usage.gap', 'subject', _name,
        'time', to_jsonb(clock_timestamp()),
        'data', g || jsonb_build_object('node', _name))
      FROM jsonb_array_elements(_gaps) WITH ORDINALITY AS e (g, number)
      ON CONFLICT DO NOTHING;
  END IF;
  INSERT INTO nfmeter.rollup_due AS d (bucket, node)
    SELECT b, _node FROM unnest(_buckets) AS b
    ON CONFLICT (bucket, node) DO UPDATE SET touched = d.touched + 1;
END $$;

-- Makes a partition of a day to come from what clocks that are ahead have put
-- into the default partition. The day would have none, for all nodes, else.
CREATE OR REPLACE FUNCTION nfmeter.move_early_records(
  _name text, _from timestamptz, _to timestamptz)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('CREATE TABLE nfmeter.%I (LIKE nfmeter.records)', _name);
  EXECUTE format('WITH early AS (DELETE FROM nfmeter.records_other '
    'WHERE time >= $1 AND time < $2 RETURNING *) '
    'INSERT INTO nfmeter.%I SELECT * FROM early', _name) USING _from, _to;
  EXECUTE format('ALTER TABLE nfmeter.records ATTACH PARTITION nfmeter.%I '
    'FOR VALUES FROM (%L) TO (%L)', _name, _from, _to);
EXCEPTION WHEN check_violation THEN NULL;  -- more came meanwhile: later
END $$;

-- Partitions of records by day, of five minutes by month, for the days around
-- now that the policy keeps. What lies in a default partition already stays
-- there, of days that are not to come.
CREATE OR REPLACE FUNCTION nfmeter.make_partitions() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  _policy nfmeter.policy;
  _day date;
  _month date;
  _name text;
BEGIN
  SELECT * INTO _policy FROM nfmeter.policy;
  FOR _day IN SELECT generate_series(
      greatest(current_date - 8, (now() - _policy.keep_records)::date),
      current_date + 3, interval '1 day') LOOP
    _name := 'records_' || to_char(_day, 'YYYYMMDD');
    IF to_regclass('nfmeter.' || _name) IS NOT NULL THEN CONTINUE; END IF;
    BEGIN
      EXECUTE format('CREATE TABLE nfmeter.%I PARTITION OF nfmeter.records '
        'FOR VALUES FROM (%L) TO (%L)', _name, _day::timestamptz,
        (_day + 1)::timestamptz);
    EXCEPTION WHEN check_violation THEN
      IF _day > current_date THEN
        PERFORM nfmeter.move_early_records(_name, _day::timestamptz,
                                           (_day + 1)::timestamptz);
      END IF;
    END;
  END LOOP;
  FOR _month IN SELECT generate_series(
      date_trunc('month', greatest(
        current_date - 40, (now() - _policy.keep_five_minutes)::date)),
      current_date + 3, interval '1 month') LOOP
    _name := 'usage_5m_' || to_char(_month, 'YYYYMM');
    IF to_regclass('nfmeter.' || _name) IS NOT NULL THEN CONTINUE; END IF;
    BEGIN
      EXECUTE format('CREATE TABLE nfmeter.%I PARTITION OF nfmeter.usage_5m '
        'FOR VALUES FROM (%L) TO (%L)', _name, _month::timestamptz,
        (_month + interval '1 month')::timestamptz);
    EXCEPTION WHEN check_violation THEN NULL;
    END;
  END LOOP;
END $$;

-- Rolls up the five minutes that are over and have new records; how many. Those
-- that get records meanwhile, which this does not see, stay due.
CREATE OR REPLACE FUNCTION nfmeter.roll_up() RETURNS int LANGUAGE plpgsql AS $$
DECLARE
  _bucket timestamptz;
  _done int := 0;
BEGIN
  FOR _bucket IN SELECT DISTINCT bucket FROM nfmeter.rollup_due
      WHERE bucket <= now() - interval '5 minutes' ORDER BY 1 LIMIT 100 LOOP
    WITH due AS (
      SELECT node, touched FROM nfmeter.rollup_due WHERE bucket = _bucket
    ), done AS (
      DELETE FROM nfmeter.rollup_due d USING due
        WHERE d.bucket = _bucket AND d.node = due.node
          AND d.touched = due.touched
    ), five AS (
      INSERT INTO nfmeter.usage_5m AS u
        SELECT r.node, r.epoch, r.counter_id, _bucket,
            max(r.packets) - min(c.base_packets),
            max(r.bytes) - min(c.base_bytes)
          FROM nfmeter.records r JOIN due USING (node)
            JOIN nfmeter.counters c USING (node, epoch, counter_id)
          WHERE r.time >= _bucket AND r.time < _bucket + interval '5 minutes'
          GROUP BY r.node, r.epoch, r.counter_id
        ON CONFLICT (node, epoch, counter_id, bucket) DO UPDATE SET
          packets = greatest(u.packets, excluded.packets),
          bytes = greatest(u.bytes, excluded.bytes)
        RETURNING *
    )
    INSERT INTO nfmeter.usage_1h AS u
      SELECT node, epoch, counter_id, date_trunc('hour', bucket), packets, bytes
        FROM five
      ON CONFLICT (node, epoch, counter_id, bucket) DO UPDATE SET
        packets = greatest(u.packets, excluded.packets),
        bytes = greatest(u.bytes, excluded.bytes);
    _done := _done + 1;
  END LOOP;
  RETURN _done;
END $$;

-- The last total of each counter before a time, of rows that are about to be
-- forgotten: what comes after them is counted from there. Its time is -infinity.
CREATE OR REPLACE FUNCTION nfmeter.keep_last(
  _from text, _into text, _before timestamptz)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format(
    'INSERT INTO nfmeter.%I AS u
      SELECT c.node, c.epoch, c.counter_id, ''-infinity'', l.packets, l.bytes
        FROM nfmeter.counters c CROSS JOIN LATERAL (
          SELECT o.packets, o.bytes FROM nfmeter.%I o
            WHERE o.node = c.node AND o.epoch = c.epoch
              AND o.counter_id = c.counter_id
              AND o.bucket < $1 AND o.bucket > ''-infinity''
            ORDER BY o.bucket DESC LIMIT 1) AS l
      ON CONFLICT (node, epoch, counter_id, bucket) DO UPDATE SET
        packets = greatest(u.packets, excluded.packets),
        bytes = greatest(u.bytes, excluded.bytes)', _into, _from)
    USING _before;
END $$;

-- Drops partitions that the policy does not keep, and deletes the rest.
CREATE OR REPLACE FUNCTION nfmeter.retain() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  _policy nfmeter.policy;
  _table record;
BEGIN
  SELECT * INTO _policy FROM nfmeter.policy;
  FOR _table IN
    SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
      WHERE i.inhparent = 'nfmeter.records'::regclass
        AND c.relname ~ '^records_[0-9]{8}$'
        AND to_date(right(c.relname, 8), 'YYYYMMDD') + 1 <=
            now() - _policy.keep_records
    UNION ALL
    SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
      WHERE i.inhparent = 'nfmeter.usage_5m'::regclass
        AND c.relname ~ '^usage_5m_[0-9]{6}$'
        AND to_date(right(c.relname, 6), 'YYYYMM') + interval '1 month' <=
            now() - _policy.keep_five_minutes LOOP
    IF _table.relname LIKE 'usage%' THEN
      PERFORM nfmeter.keep_last(_table.relname, 'usage_5m', 'infinity');
    END IF;
    EXECUTE format('DROP TABLE nfmeter.%I', _table.relname);
  END LOOP;
  DELETE FROM nfmeter.records_other WHERE time < now() - _policy.keep_records;
  IF EXISTS (SELECT 1 FROM nfmeter.usage_5m_other WHERE bucket > '-infinity'
             AND bucket < now() - _policy.keep_five_minutes) THEN
    PERFORM nfmeter.keep_last('usage_5m_other', 'usage_5m',
                              now() - _policy.keep_five_minutes);
    DELETE FROM nfmeter.usage_5m_other WHERE bucket > '-infinity'
      AND bucket < now() - _policy.keep_five_minutes;
  END IF;
  IF EXISTS (SELECT 1 FROM nfmeter.usage_1h WHERE bucket > '-infinity'
             AND bucket < now() - _policy.keep_hours) THEN
    PERFORM nfmeter.keep_last('usage_1h', 'usage_1h',
                              now() - _policy.keep_hours);
    DELETE FROM nfmeter.usage_1h WHERE bucket > '-infinity'
      AND bucket < now() - _policy.keep_hours;
  END IF;
  DELETE FROM nfmeter.outbox WHERE noted < now() - _policy.keep_records;
END $$;

SELECT nfmeter.make_partitions();
)sql";

constexpr char kTotals[] = R"sql(
-- A gap that was over before a counter was made does not touch it.
CREATE OR REPLACE VIEW nfmeter.usage_total AS
SELECT n.name AS node, c.name AS counter,
       sum(c.packets - c.base_packets)::bigint AS packets,
       sum(c.bytes - c.base_bytes)::bigint AS bytes,
       bool_or(EXISTS (
         SELECT 1 FROM nfmeter.gaps g
         WHERE g.node = c.node AND g.counter_id IN (0, c.counter_id)
           AND coalesce(g.end_time >= c.create_time, true)
           AND g.cause <> 'RECORDS_DROPPED')) AS uncertain
FROM nfmeter.counters c JOIN nfmeter.nodes n USING (node)
GROUP BY n.name, c.name;

CREATE OR REPLACE VIEW nfmeter.uncertain AS
SELECT n.name AS node, nullif(g.counter, '') AS counter, g.cause, g.start_time,
       g.end_time, CASE WHEN g.bounded THEN g.max_packets END AS max_packets,
       CASE WHEN g.bounded THEN g.max_bytes END AS max_bytes
FROM nfmeter.gaps g JOIN nfmeter.nodes n USING (node)
WHERE g.cause <> 'RECORDS_DROPPED'
ORDER BY g.end_time DESC;
)sql";

constexpr char kSummaries[] = R"sql(
CREATE OR REPLACE VIEW nfmeter.usage_month_by_tenant AS
SELECT date_trunc('month', hour) AS month,
       coalesce(labels ->> 'tenant', '') AS tenant,
       sum(packets)::bigint AS packets, sum(bytes)::bigint AS bytes
FROM nfmeter.usage_hour GROUP BY 1, 2;

-- 95 of 100 five minutes of the month so far had at most so much; five minutes
-- without traffic are such, too.
CREATE OR REPLACE VIEW nfmeter.p95_by_tenant AS
WITH summed AS (
  SELECT coalesce(labels ->> 'tenant', '') AS tenant, bucket,
         sum(packets) AS packets, sum(bytes) AS bytes
  FROM nfmeter.usage_five_minutes GROUP BY 1, 2
), ranked AS (
  SELECT tenant, date_trunc('month', bucket) AS month, packets, bytes,
         row_number() OVER (PARTITION BY tenant, date_trunc('month', bucket)
                            ORDER BY packets DESC) AS by_packets,
         row_number() OVER (PARTITION BY tenant, date_trunc('month', bucket)
                            ORDER BY bytes DESC) AS by_bytes,
         floor(extract(epoch FROM least(date_trunc('month', bucket)
             + interval '1 month', now()) - date_trunc('month', bucket))
           / 300 * 0.05)::bigint + 1 AS place
  FROM summed
)
SELECT month, tenant,
       coalesce(max(packets) FILTER (WHERE by_packets = place), 0) / 300.0
         AS packets_per_second,
       coalesce(max(bytes) FILTER (WHERE by_bytes = place), 0) / 300.0
         AS bytes_per_second
FROM ranked GROUP BY month, tenant;

CREATE OR REPLACE VIEW nfmeter.top_counters AS
SELECT node, counter, sum(packets)::bigint AS packets,
       sum(bytes)::bigint AS bytes
FROM nfmeter.usage_hour WHERE hour >= now() - interval '1 day'
GROUP BY node, counter ORDER BY bytes DESC;

-- Readers see everything and change nothing.
DO $$
BEGIN
  IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'nfmeter_reader') THEN
    CREATE ROLE nfmeter_reader NOLOGIN;
  END IF;
  GRANT USAGE ON SCHEMA nfmeter TO nfmeter_reader;
  GRANT SELECT ON ALL TABLES IN SCHEMA nfmeter TO nfmeter_reader;
  ALTER DEFAULT PRIVILEGES IN SCHEMA nfmeter
    GRANT SELECT ON TABLES TO nfmeter_reader;
EXCEPTION WHEN insufficient_privilege THEN
  RAISE NOTICE 'role nfmeter_reader not made: no right to';
END $$;
)sql";

// Keys are made of what is in the tables and in statements, never drawn from a
// sequence: that knows no transaction, so that two servers which run the same
// statements (Pgpool-II) would draw different ones. Ids of events are
// NODE_ID/EPOCH/SEQUENCE/TIME/NUMBER, with the record's time as a ledger that
// is set back gives sequences again.
constexpr char kKeys[] = R"sql(
-- The key that was given last; none is given twice.
CREATE TABLE nfmeter.node_keys (
  only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  last int NOT NULL
);
INSERT INTO nfmeter.node_keys (last)
  SELECT coalesce(max(node), 0) FROM nfmeter.nodes;
ALTER TABLE nfmeter.nodes ALTER node DROP IDENTITY;
ALTER TABLE nfmeter.outbox ALTER id DROP IDENTITY;
ALTER TABLE nfmeter.outbox ALTER id TYPE text;
)sql";

// By time, for retention.
constexpr char kHoursIndex[] = R"sql(
DO $$
BEGIN
  CREATE INDEX usage_1h_by_bucket ON nfmeter.usage_1h USING brin (bucket)
    WITH (pages_per_range = 32, autosummarize = on);
EXCEPTION WHEN OTHERS THEN
  CREATE INDEX usage_1h_by_bucket ON nfmeter.usage_1h (bucket);
END $$;
)sql";

// What was counted in each hour, or in each five minutes: how far a total is
// beyond the largest before it, as those of a clock that was ahead for a while
// lie after some that are larger.
std::string UsageIn(absl::string_view view, absl::string_view table,
                    absl::string_view time) {
  return absl::Substitute(R"sql(
CREATE OR REPLACE VIEW nfmeter.$0 AS
SELECT * FROM (
  SELECT n.name AS node, c.name AS counter, c.labels, h.bucket AS $2,
         greatest(0, h.packets - coalesce(max(h.packets) OVER before,
                                          c.carried_packets)) AS packets,
         greatest(0, h.bytes - coalesce(max(h.bytes) OVER before,
                                        c.carried_bytes)) AS bytes
  FROM nfmeter.$1 h JOIN nfmeter.counters c USING (node, epoch, counter_id)
       JOIN nfmeter.nodes n USING (node)
  WINDOW before AS
    (PARTITION BY h.node, h.epoch, h.counter_id ORDER BY h.bucket
     ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)) AS each
WHERE $2 > '-infinity';
)sql",
                          view, table, time);
}

}  // namespace

std::vector<std::string> PostgresMigrations() {
  // Functions and views are those of the newest version, and so they are made
  // last again.
  const std::string views = absl::StrCat(
      kTotals, UsageIn("usage_hour", "usage_1h", "hour"),
      UsageIn("usage_five_minutes", "usage_5m", "bucket"), kSummaries);
  return {kTables,     kFunctions, views, kKeys,     kFunctions,
          kHoursIndex, kFunctions, views, kFunctions};
}

}  // namespace nfmeter::collector
