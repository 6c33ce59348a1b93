// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/ledger/retention.h"

#include <algorithm>

#include "absl/strings/string_view.h"
#include "accounting/ledger/buckets.h"
#include "base/status_macros.h"

namespace nfmeter::accounting {
namespace {

// How many records are deleted at once; a record to be written waits for that.
constexpr uint64_t kRecordsAtOnce = 2000;

absl::StatusOr<uint64_t> QuerySequence(sqlite::Database& db,
                                       absl::string_view sql, uint64_t value) {
  NFM_ASSIGN_OR_RETURN(sqlite::Statement query, db.Prepare(sql));
  query.Bind(1, value);
  NFM_ASSIGN_OR_RETURN(const bool found, query.Step());
  return found ? query.Uint64(0) : 0;
}

// The newest checkpoint of those that are not after `sequence`; 0: none.
absl::StatusOr<uint64_t> CheckpointUpTo(sqlite::Database& db,
                                        uint64_t sequence) {
  return QuerySequence(
      db, "SELECT max(sequence) FROM checkpoints WHERE sequence <= ?1",
      sequence);
}

// The last of the oldest records that together have at least `excess` bytes.
absl::StatusOr<uint64_t> LastBeyond(sqlite::Database& db, uint64_t excess) {
  NFM_ASSIGN_OR_RETURN(sqlite::Statement rows,
                       db.Prepare("SELECT sequence, length(body) FROM records "
                                  "ORDER BY sequence LIMIT ?1"));
  rows.Bind(1, kRecordsAtOnce);
  uint64_t sum = 0;
  uint64_t last = 0;
  while (sum < excess) {
    NFM_ASSIGN_OR_RETURN(const bool found, rows.Step());
    if (!found) break;
    last = rows.Uint64(0);
    sum += rows.Uint64(1);
  }
  return last;
}

absl::Status Run(sqlite::Database& db, absl::string_view sql, int64_t value) {
  NFM_ASSIGN_OR_RETURN(sqlite::Statement statement, db.Prepare(sql));
  return statement.Run(value);
}

absl::Status ForgetBuckets(sqlite::Database& db, const Retention& retention,
                           absl::Time now) {
  // Buckets of five minutes stay until their hours are made.
  NFM_ASSIGN_OR_RETURN(const absl::Time made, HoursUntil(db));
  NFM_RETURN_IF_ERROR(
      Run(db, "DELETE FROM five_minutes WHERE start < ?1",
          absl::ToUnixSeconds(std::min(now - retention.five_minutes, made))));
  const absl::Time hours = now - retention.hours;
  NFM_RETURN_IF_ERROR(Run(db, "DELETE FROM hours WHERE start < ?1",
                          absl::ToUnixSeconds(hours)));
  NFM_RETURN_IF_ERROR(
      Run(db, "DELETE FROM gaps WHERE to_time < ?1", absl::ToUnixNanos(hours)));
  return Run(db, "DELETE FROM accounts WHERE state = 3 AND end_time < ?1",
             absl::ToUnixNanos(hours));
}

}  // namespace

absl::StatusOr<Forgotten> ForgetOld(sqlite::Database& db,
                                    const Retention& retention, absl::Time now,
                                    uint64_t record_bytes, uint64_t bucketed,
                                    std::optional<uint64_t> acknowledged) {
  NFM_ASSIGN_OR_RETURN(sqlite::Transaction transaction,
                       sqlite::Transaction::Begin(db));
  // By age and by size; then back to what consumers still need, unless that is
  // too much.
  NFM_ASSIGN_OR_RETURN(
      uint64_t wanted,
      QuerySequence(
          db,
          "SELECT max(sequence) FROM (SELECT sequence, time FROM "
          "records ORDER BY sequence LIMIT 2000) WHERE time < ?1",
          static_cast<uint64_t>(absl::ToUnixNanos(now - retention.records))));
  if (record_bytes > retention.record_bytes) {
    NFM_ASSIGN_OR_RETURN(const uint64_t beyond,
                         LastBeyond(db, record_bytes - retention.record_bytes));
    wanted = std::max(wanted, beyond);
  }
  if (acknowledged.has_value() && wanted > *acknowledged) {
    uint64_t hard = 0;
    if (record_bytes > retention.hard_record_bytes) {
      NFM_ASSIGN_OR_RETURN(
          hard, LastBeyond(db, record_bytes - retention.hard_record_bytes));
    }
    wanted = std::max(*acknowledged, hard);
  }
  NFM_ASSIGN_OR_RETURN(const uint64_t cut,
                       CheckpointUpTo(db, std::min(wanted, bucketed)));
  Forgotten forgotten;
  forgotten.unacknowledged = acknowledged.has_value() && cut > *acknowledged;
  if (cut > 0) {
    NFM_ASSIGN_OR_RETURN(
        forgotten.record_bytes,
        QuerySequence(db,
                      "SELECT coalesce(sum(length(body)), 0) FROM records "
                      "WHERE sequence <= ?1",
                      cut));
    NFM_RETURN_IF_ERROR(Run(db, "DELETE FROM records WHERE sequence <= ?1",
                            static_cast<int64_t>(cut)));
    forgotten.records = static_cast<uint64_t>(db.changes());
    NFM_RETURN_IF_ERROR(Run(db, "DELETE FROM checkpoints WHERE sequence < ?1",
                            static_cast<int64_t>(cut)));
    NFM_RETURN_IF_ERROR(
        Run(db, "UPDATE ledger SET record_bytes = record_bytes - ?1",
            static_cast<int64_t>(forgotten.record_bytes)));
    forgotten.more = forgotten.records >= kRecordsAtOnce / 2;
  }
  NFM_RETURN_IF_ERROR(ForgetBuckets(db, retention, now));
  NFM_RETURN_IF_ERROR(transaction.Commit());
  return forgotten;
}

}  // namespace nfmeter::accounting
