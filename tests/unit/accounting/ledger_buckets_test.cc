// SPDX-License-Identifier: GPL-3.0-or-later
#include <memory>

#include "accounting/ledger/buckets.h"
#include "accounting/ledger/schema.h"
#include "gmock/gmock.h"
#include "tests/support/status_matchers.h"
#include "tests/support/subprocess.h"

namespace nfmeter::accounting {
namespace {

using ::nfmeter::testing::IsOkAndHolds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Key;
using ::testing::SizeIs;

const absl::Time kNoon = absl::FromUnixSeconds(1'800'000'000 / 3600 * 3600);

Record Counted(Amount delta, absl::Duration since = absl::Seconds(10)) {
  return {.since_reading = since, .rows = {{1, delta}}};
}

TEST(BucketsTest, ARecordGoesToTheBucketOfItsTime) {
  Buckets buckets;
  AddToBuckets(Counted({1, 10}), kNoon + absl::Seconds(299), buckets);
  AddToBuckets(Counted({2, 20}), kNoon + absl::Seconds(299), buckets);
  AddToBuckets(Counted({4, 40}), kNoon + absl::Seconds(300), buckets);
  ASSERT_THAT(buckets, ElementsAre(Key(kNoon), Key(kNoon + absl::Minutes(5))));
  EXPECT_THAT(buckets[kNoon].rows,
              ElementsAre(Bucket::Row{1, {3, 30}, {3, 30}}));
}

TEST(BucketsTest, WhatWasCountedUnseenIsSpreadAndNothingIsLost) {
  Buckets buckets;
  AddToBuckets(Counted({101, 7}, absl::Minutes(50)), kNoon + absl::Hours(1),
               buckets);
  ASSERT_THAT(buckets, SizeIs(11));
  Amount sum;
  for (const auto& [start, bucket] : buckets) {
    ASSERT_THAT(bucket.rows, SizeIs(1));
    EXPECT_LE(bucket.rows[0].sum.packets, 10u);
    sum += bucket.rows[0].sum;
  }
  EXPECT_EQ(sum, (Amount{101, 7}));
}

TEST(BucketsTest, HoursHaveSumsAndPeaks) {
  testing::TemporaryDirectory dir;
  auto db = sqlite::Database::Open(LedgerFile(dir / "ledger.db"));
  ASSERT_OK(db.status());
  ASSERT_OK(StoreBuckets(
      **db, {{kNoon, {{{1, {5, 50}, {5, 50}}, {2, {1, 9}, {1, 9}}}}},
             {kNoon + absl::Minutes(55), {{{1, {3, 90}, {3, 90}}}}}}));
  // It may not be over yet.
  EXPECT_THAT(LoadHours(**db, kNoon, kNoon + absl::Hours(1)),
              IsOkAndHolds(IsEmpty()));
  EXPECT_THAT(HoursUntil(**db), IsOkAndHolds(absl::InfinitePast()));
  ASSERT_OK(StoreBuckets(
      **db, {{kNoon + absl::Hours(2), {{{1, {1, 10}, {1, 10}}}}}}));
  EXPECT_THAT(HoursUntil(**db), IsOkAndHolds(kNoon + absl::Hours(1)));
  // The clock was set back: more for a bucket that is there.
  ASSERT_OK(StoreBuckets(**db, {{kNoon, {{{1, {2, 20}, {2, 20}}}}}}));
  const auto hours = LoadHours(**db, kNoon, kNoon + absl::Hours(1));
  ASSERT_OK(hours.status());
  EXPECT_THAT(hours->at(kNoon).rows,
              ElementsAre(Bucket::Row{1, {10, 160}, {7, 90}},
                          Bucket::Row{2, {1, 9}, {1, 9}}));
}

}  // namespace
}  // namespace nfmeter::accounting
