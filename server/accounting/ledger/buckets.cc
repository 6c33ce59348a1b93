// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/ledger/buckets.h"

#include <algorithm>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/sqlite.h"
#include "base/status_macros.h"

namespace nfmeter::accounting {
namespace {

constexpr absl::Duration kLongestSpread = absl::Hours(7 * 24);

absl::Time Floor(absl::Time time, absl::Duration width) {
  return absl::UnixEpoch() + absl::Floor(time - absl::UnixEpoch(), width);
}

// The part of `number` that belongs to part `i` of `parts` equal ones; all
// parts add up to it.
uint64_t Part(uint64_t number, uint64_t i, uint64_t parts) {
  return number / parts + (i < number % parts ? 1 : 0);
}

Bucket PartOf(const Record& record, uint64_t i, uint64_t parts) {
  Bucket bucket;
  for (const Record::Row& row : record.rows) {
    const Amount part = {Part(row.delta.packets, i, parts),
                         Part(row.delta.bytes, i, parts)};
    if (!part.zero()) bucket.rows.push_back({row.account, part, part});
  }
  return bucket;
}

absl::StatusOr<Buckets> Load(sqlite::Database& db, const char* table,
                             bool with_peaks, absl::Time from, absl::Time to) {
  NFM_ASSIGN_OR_RETURN(
      sqlite::Statement rows,
      db.Prepare(absl::StrCat("SELECT start, body FROM ", table,
                              " WHERE start >= ?1 AND start < ?2")));
  rows.Bind(1, absl::ToUnixSeconds(from));
  rows.Bind(2, absl::ToUnixSeconds(to));
  Buckets buckets;
  NFM_RETURN_IF_ERROR(sqlite::ForEachRow(rows, [&]() -> absl::Status {
    NFM_ASSIGN_OR_RETURN(buckets[absl::FromUnixSeconds(rows.Int64(0))],
                         DecodeBucket(rows.Bytes(1), with_peaks));
    return absl::OkStatus();
  }));
  return buckets;
}

absl::Status Put(sqlite::Database& db, const char* table, bool with_peaks,
                 absl::Time start, const Bucket& bucket) {
  NFM_ASSIGN_OR_RETURN(sqlite::Statement put,
                       db.Prepare(absl::StrCat("INSERT OR REPLACE INTO ", table,
                                               " VALUES (?1, ?2)")));
  const std::string body = Encode(bucket, with_peaks);
  return put.Run(absl::ToUnixSeconds(start), sqlite::Blob{body});
}

// Merges the rows of two buckets, which are sorted by account; `both` joins the
// two rows of an account that is in both.
template <typename Both>
void Merge(const Bucket& more, Bucket& bucket, Both both) {
  std::vector<Bucket::Row> merged;
  merged.reserve(std::max(more.rows.size(), bucket.rows.size()));
  auto a = bucket.rows.begin();
  for (const Bucket::Row& row : more.rows) {
    while (a != bucket.rows.end() && a->account < row.account) {
      merged.push_back(*a++);
    }
    if (a != bucket.rows.end() && a->account == row.account) {
      both(row, *a);
      merged.push_back(*a++);
    } else {
      merged.push_back(row);
    }
  }
  merged.insert(merged.end(), a, bucket.rows.end());
  bucket.rows = std::move(merged);
}

// Makes an hour of its buckets of five minutes.
absl::Status RollUp(sqlite::Database& db, absl::Time hour) {
  NFM_ASSIGN_OR_RETURN(const Buckets parts,
                       LoadFiveMinutes(db, hour, hour + absl::Hours(1)));
  Bucket whole;
  for (const auto& [start, part] : parts) {
    Merge(part, whole, [](const Bucket::Row& from, Bucket::Row& to) {
      to.sum += from.sum;
      to.peak = {std::max(to.peak.packets, from.peak.packets),
                 std::max(to.peak.bytes, from.peak.bytes)};
    });
  }
  return Put(db, "hours", /*with_peaks=*/true, hour, whole);
}

// Adds the hours from `from` to `to` that have buckets of five minutes.
absl::Status AddHoursOfFiveMinutes(sqlite::Database& db, absl::Time from,
                                   absl::Time to, std::set<absl::Time>& hours) {
  NFM_ASSIGN_OR_RETURN(
      sqlite::Statement starts,
      db.Prepare(
          "SELECT start FROM five_minutes WHERE start >= ?1 AND start < ?2"));
  starts.Bind(1, absl::ToUnixSeconds(from));
  starts.Bind(2, absl::ToUnixSeconds(to));
  return sqlite::ForEachRow(starts, [&] {
    hours.insert(HourOf(absl::FromUnixSeconds(starts.Int64(0))));
  });
}

}  // namespace

absl::Time BucketOf(absl::Time time) { return Floor(time, kBucketWidth); }
absl::Time HourOf(absl::Time time) { return Floor(time, absl::Hours(1)); }

void AddToBuckets(const Record& record, absl::Time end, Buckets& buckets) {
  if (record.rows.empty()) return;
  const absl::Time last = BucketOf(end);
  absl::Time first = last;
  if (record.since_reading > kBucketWidth &&
      record.since_reading <= kLongestSpread) {
    first = BucketOf(end - record.since_reading);
  }
  const auto parts = static_cast<uint64_t>((last - first) / kBucketWidth) + 1;
  for (uint64_t i = 0; i < parts; ++i) {
    const Bucket part = PartOf(record, i, parts);
    if (part.rows.empty()) continue;
    AddRows(part, buckets[first + static_cast<int64_t>(i) * kBucketWidth]);
  }
}

void AddRows(const Bucket& more, Bucket& bucket) {
  Merge(more, bucket, [](const Bucket::Row& from, Bucket::Row& to) {
    to.sum += from.sum;
    to.peak += from.peak;
  });
}

absl::Status StoreBuckets(sqlite::Database& db, const Buckets& five_minutes) {
  std::set<absl::Time> hours;
  for (const auto& [start, bucket] : five_minutes) {
    NFM_ASSIGN_OR_RETURN(Buckets there,
                         LoadFiveMinutes(db, start, start + kBucketWidth));
    AddRows(bucket, there[start]);
    NFM_RETURN_IF_ERROR(
        Put(db, "five_minutes", /*with_peaks=*/false, start, there[start]));
    hours.insert(HourOf(start));
  }
  if (hours.empty()) return absl::OkStatus();
  NFM_ASSIGN_OR_RETURN(const int64_t last,
                       db.QueryNumber("SELECT max(start) FROM five_minutes"));
  const absl::Time newest = HourOf(absl::FromUnixSeconds(last));
  if (hours.erase(newest) > 0) {
    // The newest hour is made when it is over. One that is there already was
    // made while the clock was ahead, or by an older version.
    NFM_ASSIGN_OR_RETURN(sqlite::Statement remove,
                         db.Prepare("DELETE FROM hours WHERE start = ?1"));
    NFM_RETURN_IF_ERROR(remove.Run(absl::ToUnixSeconds(newest)));
  }
  NFM_ASSIGN_OR_RETURN(const absl::Time made, HoursUntil(db));
  NFM_RETURN_IF_ERROR(AddHoursOfFiveMinutes(db, made, newest, hours));
  for (const absl::Time hour : hours) NFM_RETURN_IF_ERROR(RollUp(db, hour));
  return absl::OkStatus();
}

absl::StatusOr<absl::Time> HoursUntil(sqlite::Database& db) {
  NFM_ASSIGN_OR_RETURN(sqlite::Statement last,
                       db.Prepare("SELECT max(start) FROM hours"));
  NFM_ASSIGN_OR_RETURN(const bool found, last.Step());
  if (!found || last.IsNull(0)) return absl::InfinitePast();
  return absl::FromUnixSeconds(last.Int64(0)) + absl::Hours(1);
}

absl::StatusOr<Buckets> LoadFiveMinutes(sqlite::Database& db, absl::Time from,
                                        absl::Time to) {
  return Load(db, "five_minutes", /*with_peaks=*/false, from, to);
}

absl::StatusOr<Buckets> LoadHours(sqlite::Database& db, absl::Time from,
                                  absl::Time to) {
  return Load(db, "hours", /*with_peaks=*/true, from, to);
}

}  // namespace nfmeter::accounting
