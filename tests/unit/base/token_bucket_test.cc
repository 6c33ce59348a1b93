// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/token_bucket.h"

#include "absl/time/time.h"
#include "gtest/gtest.h"

namespace nfmeter {
namespace {

constexpr absl::Duration kStart = absl::Hours(5);

int TakeAll(TokenBucket& bucket, absl::Duration now) {
  int taken = 0;
  while (taken < 1000 && bucket.Take(now)) ++taken;
  return taken;
}

TEST(TokenBucketTest, ABurstPassesAtOnceAndThenTheRate) {
  TokenBucket bucket(/*per_second=*/2, /*burst=*/5, kStart);
  EXPECT_EQ(TakeAll(bucket, kStart), 5);
  EXPECT_EQ(TakeAll(bucket, kStart + absl::Milliseconds(499)), 0);
  EXPECT_EQ(TakeAll(bucket, kStart + absl::Milliseconds(500)), 1);
  EXPECT_EQ(TakeAll(bucket, kStart + absl::Milliseconds(2000)), 3);
}

TEST(TokenBucketTest, APauseEarnsNoMoreThanABurst) {
  TokenBucket bucket(100, 5, kStart);
  EXPECT_EQ(TakeAll(bucket, kStart + absl::Hours(1000)), 5);
}

TEST(TokenBucketTest, WhatIsRefusedCostsNothing) {
  TokenBucket bucket(1, 1, kStart);
  EXPECT_TRUE(bucket.Take(kStart));
  for (int i = 1; i < 10; ++i) {
    EXPECT_FALSE(bucket.Take(kStart + i * absl::Milliseconds(100)));
  }
  EXPECT_TRUE(bucket.Take(kStart + absl::Seconds(1)));
}

TEST(TokenBucketTest, ATimeBeforeTheLastOneGivesAndTakesNothing) {
  TokenBucket bucket(1, 2, kStart);
  EXPECT_TRUE(bucket.Take(kStart));
  EXPECT_TRUE(bucket.Take(kStart - absl::Seconds(10)));
  EXPECT_FALSE(bucket.Take(kStart));
  EXPECT_TRUE(bucket.Take(kStart + absl::Seconds(1)));
}

TEST(TokenBucketTest, IsFullAfterAPause) {
  TokenBucket bucket(1, 2, kStart);
  EXPECT_TRUE(bucket.IsFull(kStart));
  EXPECT_TRUE(bucket.Take(kStart));
  EXPECT_FALSE(bucket.IsFull(kStart + absl::Milliseconds(999)));
  EXPECT_TRUE(bucket.IsFull(kStart + absl::Seconds(1)));
}

}  // namespace
}  // namespace nfmeter
