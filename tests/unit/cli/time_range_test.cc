// SPDX-License-Identifier: GPL-3.0-or-later
#include "cli/time_range.h"

#include <stdlib.h>

#include <string>

#include "gmock/gmock.h"
#include "tests/support/status_matchers.h"

namespace nfmeter::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

class TimeRangeTest : public ::testing::Test {
 protected:
  // 2026-11-05 22:30 in UTC is 23:30 in Berlin.
  static absl::TimeZone Berlin() { return *FindZone("Europe/Berlin"); }
  std::string Range(const std::string& since, const std::string& until = "",
                    absl::TimeZone zone = Berlin()) {
    const auto range = ParseTimeRange(since, until, zone, now_);
    if (!range.ok()) return std::string(range.status().message());
    return absl::FormatTime("%Y-%m-%d %H:%M", range->from, zone) + " to " +
           absl::FormatTime("%Y-%m-%d %H:%M", range->to, zone);
  }

  const absl::Time now_ = absl::FromCivil(
      absl::CivilMinute(2026, 11, 5, 22, 30), absl::UTCTimeZone());
};

TEST_F(TimeRangeTest, SoLongAgoEndsNow) {
  EXPECT_EQ(Range("24h"), "2026-11-04 23:30 to 2026-11-05 23:30");
  EXPECT_EQ(Range("90m"), "2026-11-05 22:00 to 2026-11-05 23:30");
  EXPECT_EQ(Range("7d"), "2026-10-29 23:30 to 2026-11-05 23:30");
  EXPECT_EQ(Range("1w"), "2026-10-29 23:30 to 2026-11-05 23:30");
}

TEST_F(TimeRangeTest, DaysMonthsAndYearsAreRangesOfTheZone) {
  EXPECT_EQ(Range("today"), "2026-11-05 00:00 to 2026-11-06 00:00");
  EXPECT_EQ(Range("yesterday"), "2026-11-04 00:00 to 2026-11-05 00:00");
  EXPECT_EQ(Range("this-month"), "2026-11-01 00:00 to 2026-12-01 00:00");
  EXPECT_EQ(Range("last-month"), "2026-10-01 00:00 to 2026-11-01 00:00");
  EXPECT_EQ(Range("2026"), "2026-01-01 00:00 to 2027-01-01 00:00");
  EXPECT_EQ(Range("2026-10"), "2026-10-01 00:00 to 2026-11-01 00:00");
  EXPECT_EQ(Range("2026-11-02"), "2026-11-02 00:00 to 2026-11-03 00:00");
  // October has an hour more there.
  const auto october = ParseTimeRange("2026-10", "", Berlin(), now_);
  EXPECT_EQ(october->to - october->from, absl::Hours(31 * 24 + 1));
}

TEST_F(TimeRangeTest, UntilIsWithItsLastDay) {
  EXPECT_EQ(Range("2026-10-01", "2026-10-31"),
            "2026-10-01 00:00 to 2026-11-01 00:00");
  EXPECT_EQ(Range("2026-09", "yesterday"),
            "2026-09-01 00:00 to 2026-11-05 00:00");
  EXPECT_EQ(Range("yesterday", "now"), "2026-11-04 00:00 to 2026-11-05 23:30");
}

TEST_F(TimeRangeTest, MomentsAreOfTheZoneUnlessTheySayOtherwise) {
  EXPECT_EQ(Range("2026-11-05T10:00"), "2026-11-05 10:00 to 2026-11-05 23:30");
  EXPECT_EQ(Range("2026-11-05T10:00Z", "2026-11-05T13:00:30+01:00"),
            "2026-11-05 11:00 to 2026-11-05 13:00");
}

TEST_F(TimeRangeTest, WhatIsNoTimeIsNamed) {
  for (const char* text :
       {"", "soon", "24", "20261105", "2026-13", "2026-02-30", "-3h", "1e9d",
        "0d", "xd", "2026-11-05T25:00", "2026-1"}) {
    EXPECT_THAT(Range(text), StartsWith("--since: '")) << text;
  }
  EXPECT_THAT(Range("7d", "later"), StartsWith("--until: 'later'"));
}

TEST_F(TimeRangeTest, ReversedAndFutureRangesAreRefused) {
  EXPECT_EQ(Range("2026-11-05", "2026-11-01"),
            "--since 2026-11-05 is not before --until 2026-11-01");
  EXPECT_EQ(Range("now"), "--since now is not before now");
  EXPECT_THAT(Range("2027"), HasSubstr("in the future"));
}

TEST_F(TimeRangeTest, WordsSayWhichDaysAreIncluded) {
  const auto words = [&](const std::string& since, const std::string& until) {
    return DescribeRange(*ParseTimeRange(since, until, Berlin(), now_),
                         Berlin(), now_);
  };
  EXPECT_EQ(words("2026-10", ""),
            "from 2026-10-01 through 2026-10-31 (Europe/Berlin)");
  EXPECT_EQ(words("2026-10", "2026-12"),
            "from 2026-10-01 through 2026-12-31 (Europe/Berlin), so far");
  EXPECT_EQ(words("yesterday", ""), "on 2026-11-04 (Europe/Berlin)");
  EXPECT_EQ(words("today", ""), "on 2026-11-05 (Europe/Berlin), so far");
  EXPECT_EQ(words("24h", ""),
            "from 2026-11-04 23:30 until 2026-11-05 23:30 (Europe/Berlin)");
}

TEST_F(TimeRangeTest, ZonesHaveNamesThatOthersKnow) {
  setenv("TZ", ":Europe/Berlin", 1);
  EXPECT_EQ(LocalZoneName(), "Europe/Berlin");
  setenv("TZ", "", 1);
  EXPECT_EQ(LocalZoneName(), "UTC");
  unsetenv("TZ");
  EXPECT_NE(LocalZoneName(), "localtime");
  EXPECT_THAT(FindZone("Mars/Olympus").status(),
              testing::StatusIs(absl::StatusCode::kInvalidArgument,
                                HasSubstr("Mars/Olympus")));
}

}  // namespace
}  // namespace nfmeter::cli
