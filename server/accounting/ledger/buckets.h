// SPDX-License-Identifier: GPL-3.0-or-later
// What was counted in each five minutes and each hour.
#ifndef NFMETER_ACCOUNTING_LEDGER_BUCKETS_H_
#define NFMETER_ACCOUNTING_LEDGER_BUCKETS_H_

#include <map>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "accounting/ledger/record.h"
#include "base/sqlite.h"

namespace nfmeter::accounting {

inline constexpr absl::Duration kBucketWidth = absl::Minutes(5);

// The start of the five minutes, or of the hour, that `time` lies in.
absl::Time BucketOf(absl::Time time);
absl::Time HourOf(absl::Time time);

// By start.
using Buckets = std::map<absl::Time, Bucket>;

// Adds what was counted in the `since` before `end`: to the bucket of `end`, or
// evenly to all buckets that a longer time touches, so that what was counted
// while nobody looked is no peak. Beyond a week it all goes to the last one.
void AddToBuckets(const Record& record, absl::Time end, Buckets& buckets);

// Adds the rows of `more`: sums and, as both are of the same time, peaks.
void AddRows(const Bucket& more, Bucket& bucket);

// Adds buckets of five minutes to those in the file, and makes the hours that
// are over by then, but not the newest one: that would write it a dozen times.
// In the caller's transaction.
absl::Status StoreBuckets(sqlite::Database& db, const Buckets& five_minutes);

// Those that begin at `from` or later and before `to`.
absl::StatusOr<Buckets> LoadFiveMinutes(sqlite::Database& db, absl::Time from,
                                        absl::Time to);
absl::StatusOr<Buckets> LoadHours(sqlite::Database& db, absl::Time from,
                                  absl::Time to);

// The end of the last hour that was made: what is later is known from its five
// minutes alone. The infinite past: none was.
absl::StatusOr<absl::Time> HoursUntil(sqlite::Database& db);

}  // namespace nfmeter::accounting

#endif  // NFMETER_ACCOUNTING_LEDGER_BUCKETS_H_
