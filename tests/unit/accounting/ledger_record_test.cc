// SPDX-License-Identifier: GPL-3.0-or-later
#include <string>

#include "accounting/ledger/record.h"
#include "gmock/gmock.h"
#include "tests/support/status_matchers.h"

namespace nfmeter::accounting {
namespace {

constexpr uint64_t kMax = ~uint64_t{0};

Record FullRecord() {
  return {.since_reading = absl::Milliseconds(10'001),
          .rows = {{1, {1, 100}}, {2, {0, 0}}, {1'000'000, {kMax, kMax}}},
          .accounts = {2, 3, kMax},
          .gaps = 2};
}

TEST(LedgerRecordTest, RecordsSurvive) {
  const auto record = DecodeRecord(Encode(FullRecord()));
  ASSERT_OK(record.status());
  EXPECT_EQ(*record, FullRecord());
  EXPECT_EQ(*DecodeRecord(Encode(Record())), Record());
}

TEST(LedgerRecordTest, WhateverClocksSaidIsReadAgain) {
  EXPECT_OK(DecodeRecord(Encode({.since_reading = absl::InfiniteDuration()}))
                .status());
  EXPECT_EQ(*DecodeRecord(Encode({.since_reading = -absl::Seconds(1)})),
            Record());
}

TEST(LedgerRecordTest, CheckpointsAndBucketsSurvive) {
  const Checkpoint checkpoint = {{{5, {1, 2}}, {7, {kMax, 0}}}};
  EXPECT_EQ(*DecodeCheckpoint(Encode(checkpoint)), checkpoint);
  const Bucket hour = {{{5, {10, 20}, {3, 4}}}};
  EXPECT_EQ(*DecodeBucket(Encode(hour, true), true), hour);
  const Bucket five = {{{5, {10, 20}, {10, 20}}}};
  EXPECT_EQ(*DecodeBucket(Encode(five, false), false), five);
}

TEST(LedgerRecordTest, ATypicalRowTakesFewBytes) {
  Record record;
  for (uint64_t id = 1; id <= 1000; ++id) {
    record.rows.push_back({10 * id, {500, 500 * 700}});
  }
  EXPECT_LE(Encode(record).size(), 7 * 1000u);
}

TEST(LedgerRecordTest, WhatIsCutShortIsRefused) {
  const std::string bytes = Encode(FullRecord());
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_TRUE(absl::IsDataLoss(DecodeRecord(bytes.substr(0, size)).status()))
        << size;
  }
}

TEST(LedgerRecordTest, WhatWeDoNotWriteIsRefused) {
  for (const std::string& bytes :
       {Encode(FullRecord()) + '\0', std::string("\x12\0\0\0\0", 5),
        // More rows than there are bytes for.
        std::string("\x11\xff\xff\xff\xff\x0f", 6),
        // The same account twice; a number padded; a number beyond 64 bits.
        std::string("\x11\x02\x01\0\0\0\0\0\0\0\0", 11),
        std::string("\x11\x80\0\0\0\0", 6),
        std::string("\x11\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f\0\0\0", 14),
        // More gaps, and more milliseconds, than a record can have.
        std::string("\x11\0\0\xff\xff\xff\xff\x1f\0", 9),
        std::string("\x11\0\0\0\x81\x80\x80\x80\x80\x80\x80\x10", 12)}) {
    EXPECT_TRUE(absl::IsDataLoss(DecodeRecord(bytes).status()));
  }
  EXPECT_TRUE(
      absl::IsDataLoss(DecodeCheckpoint(Encode(FullRecord())).status()));
}

}  // namespace
}  // namespace nfmeter::accounting
