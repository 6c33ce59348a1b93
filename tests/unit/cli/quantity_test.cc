// SPDX-License-Identifier: GPL-3.0-or-later
#include "cli/quantity.h"

#include <limits>

#include "gmock/gmock.h"
#include "proto/words/quantity_words.h"
#include "tests/support/status_matchers.h"

namespace nfmeter::cli {
namespace {

using ::nfmeter::testing::IsOkAndHolds;
using ::nfmeter::testing::StatusIs;
using ::testing::HasSubstr;

TEST(ParseCountTest, TakesPlainNumbersAndBothKindsOfSuffixes) {
  EXPECT_THAT(ParseCount("0"), IsOkAndHolds(0u));
  EXPECT_THAT(ParseCount("1500"), IsOkAndHolds(1500u));
  EXPECT_THAT(ParseCount("10k"), IsOkAndHolds(10'000u));
  EXPECT_THAT(ParseCount("10M"), IsOkAndHolds(10'000'000u));
  EXPECT_THAT(ParseCount("1.5G"), IsOkAndHolds(1'500'000'000u));
  EXPECT_THAT(ParseCount("10Ki"), IsOkAndHolds(10'240u));
  EXPECT_THAT(ParseCount("18446744073709551615"),
              IsOkAndHolds(std::numeric_limits<uint64_t>::max()));
}

TEST(ParseBytesTest, TellsPowersOfTenFromPowersOfTwo) {
  EXPECT_THAT(ParseBytes("10M"), IsOkAndHolds(10'000'000u));
  EXPECT_THAT(ParseBytes("10MB"), IsOkAndHolds(10'000'000u));
  EXPECT_THAT(ParseBytes("10MiB"), IsOkAndHolds(10u << 20));
  EXPECT_THAT(ParseBytes("10GiB"), IsOkAndHolds(uint64_t{10} << 30));
  EXPECT_THAT(ParseBytes("1.5KiB"), IsOkAndHolds(1536u));
  EXPECT_THAT(ParseBytes("7B"), IsOkAndHolds(7u));
  EXPECT_THAT(ParseBytes("1EiB"), IsOkAndHolds(uint64_t{1} << 60));
}

TEST(ParseCountTest, RefusesWhatIsNoWholeNumberInRange) {
  for (const char* text : {"", "-1", "x", "1x", "k", "Ki", "1.5", "0.0001k",
                           "1 k", "1..5k", "0x10", "18446744073709551616",
                           "20E", "1e3", "99999999999999999999999999"}) {
    EXPECT_THAT(ParseCount(text),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr(std::string("'") + text + "'")))
        << text;
  }
  EXPECT_FALSE(ParseBytes("16EiB").ok());
  EXPECT_FALSE(ParseBytes("B").ok());
  EXPECT_FALSE(ParseBytes("10MBB").ok());
}

TEST(ParseDurationTest, TakesUnitsAndBareSeconds) {
  EXPECT_THAT(ParseDuration("1s"), IsOkAndHolds(absl::Seconds(1)));
  EXPECT_THAT(ParseDuration("250ms"), IsOkAndHolds(absl::Milliseconds(250)));
  EXPECT_THAT(ParseDuration("1m30s"), IsOkAndHolds(absl::Seconds(90)));
  EXPECT_THAT(ParseDuration("0.5"), IsOkAndHolds(absl::Milliseconds(500)));
  for (const char* text : {"", "0", "0s", "-1s", "soon", "inf", "1x", "."}) {
    EXPECT_FALSE(ParseDuration(text).ok()) << text;
  }
}

TEST(FormatTest, CountsAreExactUntilTheyAreLong) {
  EXPECT_EQ(FormatCount(0), "0");
  EXPECT_EQ(FormatCount(99'999), "99999");
  EXPECT_EQ(FormatCount(100'000), "100k");
  EXPECT_EQ(FormatCount(1'234'567), "1.23M");
  EXPECT_EQ(FormatCount(999'999'999), "1.00G");
  EXPECT_EQ(FormatCount(std::numeric_limits<uint64_t>::max()), "18.4E");
}

TEST(FormatTest, BytesAreInPowersOfTwo) {
  EXPECT_EQ(FormatBytes(0), "0 B");
  EXPECT_EQ(FormatBytes(1023), "1023 B");
  EXPECT_EQ(FormatBytes(1024), "1.00 KiB");
  EXPECT_EQ(FormatBytes(1'234'567), "1.18 MiB");
  EXPECT_EQ(FormatBytes(uint64_t{10} << 30), "10.0 GiB");
  EXPECT_EQ(FormatBytes((uint64_t{1} << 20) - 1), "1.00 MiB");
}

TEST(FormatTest, RatesSayPerWhat) {
  EXPECT_EQ(FormatRate(0), "0/s");
  EXPECT_EQ(FormatRate(0.5), "0.50/s");
  EXPECT_EQ(FormatRate(1234), "1.23k/s");
  EXPECT_EQ(FormatByteRate(0), "0 B/s");
  EXPECT_EQ(FormatByteRate(100), "100 B/s");
  EXPECT_EQ(FormatByteRate(3.4 * (1 << 20)), "3.40 MiB/s");
}

}  // namespace
}  // namespace nfmeter::cli
