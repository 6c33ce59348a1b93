// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/ledger/schema.h"

namespace nfmeter::accounting {
namespace {

// Times are nanoseconds since the Unix epoch, or since boot for `boottime`.
// Numbers of 64 bits without sign are kept as the signed ones of the same bits.
constexpr char kFirstSchema[] = R"sql(
  -- Whose ledger this is, and where it stands: one row.
  CREATE TABLE ledger (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    node_id TEXT NOT NULL,
    machine_id TEXT NOT NULL,
    boot_id TEXT NOT NULL,
    network_namespace INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    next_account INTEGER NOT NULL,
    last_reading INTEGER NOT NULL,      -- 0: none yet
    bucketed INTEGER NOT NULL,          -- records up to this are in buckets
    record_bytes INTEGER NOT NULL,      -- of the bodies of all records
    backup_of INTEGER NOT NULL          -- when it was copied; 0: no backup
  );
  CREATE TABLE accounts (
    id INTEGER PRIMARY KEY,
    name BLOB NOT NULL,
    state INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    base_packets INTEGER NOT NULL,
    base_bytes INTEGER NOT NULL,
    kernel_packets INTEGER NOT NULL,
    kernel_bytes INTEGER NOT NULL,
    create_time INTEGER NOT NULL,
    start_time INTEGER NOT NULL,
    reset_time INTEGER NOT NULL,        -- 0: never
    end_time INTEGER NOT NULL,          -- 0: it is live
    absence INTEGER NOT NULL,
    labels BLOB                         -- of closed ones, as they were last
  );
  CREATE INDEX open_accounts ON accounts (state) WHERE state < 3;
  CREATE TABLE records (
    sequence INTEGER PRIMARY KEY,
    time INTEGER NOT NULL,
    boottime INTEGER NOT NULL,
    body BLOB NOT NULL
  );
  CREATE TABLE checkpoints (
    sequence INTEGER PRIMARY KEY,       -- after this record
    body BLOB NOT NULL
  );
  CREATE TABLE gaps (
    id INTEGER PRIMARY KEY,
    sequence INTEGER NOT NULL,          -- of the record that it came with
    account INTEGER NOT NULL,           -- 0: all
    cause INTEGER NOT NULL,
    from_time INTEGER NOT NULL,
    to_time INTEGER NOT NULL,
    max_packets INTEGER,                -- NULL: not known
    max_bytes INTEGER
  );
  CREATE INDEX gaps_by_sequence ON gaps (sequence);
  CREATE INDEX gaps_by_time ON gaps (to_time);
  CREATE TABLE five_minutes (
    start INTEGER PRIMARY KEY,          -- seconds since the Unix epoch
    body BLOB NOT NULL
  );
  CREATE TABLE hours (
    start INTEGER PRIMARY KEY,
    body BLOB NOT NULL
  );
  CREATE TABLE consumers (
    name TEXT PRIMARY KEY,
    owner TEXT NOT NULL,
    sequence INTEGER NOT NULL,          -- acknowledged
    created INTEGER NOT NULL,
    acknowledged INTEGER NOT NULL       -- when; 0: never
  ) WITHOUT ROWID;
  -- What was about to happen to kernel objects: what is found here at a start
  -- was under way when the server ended.
  CREATE TABLE intents (
    account INTEGER PRIMARY KEY,
    deletes INTEGER NOT NULL,           -- 1: deletion, 0: reset
    packets INTEGER NOT NULL,           -- just before
    bytes INTEGER NOT NULL,
    time INTEGER NOT NULL
  );
  CREATE TABLE labels (
    counter BLOB NOT NULL,
    key TEXT NOT NULL,                  -- '': made by us, ' ': description
    value TEXT NOT NULL,
    PRIMARY KEY (counter, key)
  ) WITHOUT ROWID;
  -- Answers of mutations, by request_id.
  CREATE TABLE answers (
    method TEXT NOT NULL,
    request_id TEXT NOT NULL,
    fingerprint INTEGER NOT NULL,
    answer BLOB NOT NULL,
    time INTEGER NOT NULL,
    PRIMARY KEY (method, request_id)
  );
  CREATE INDEX answers_by_time ON answers (time);
)sql";

}  // namespace

sqlite::Options LedgerFile(const std::string& path) {
  return {.path = path,
          .noun = "the ledger",
          .unusable_reason = "LEDGER_UNUSABLE",
          .failed_reason = "LEDGER_FAILED",
          .application_id = 0x4e464d47,  // "NFMG"
          .migrations = {kFirstSchema}};
}

}  // namespace nfmeter::accounting
