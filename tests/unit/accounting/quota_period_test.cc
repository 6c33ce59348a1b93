// SPDX-License-Identifier: GPL-3.0-or-later
#include "absl/time/civil_time.h"
#include "accounting/plans/plan.h"
#include "gtest/gtest.h"

namespace nfmeter::accounting {
namespace {

using Unit = QuotaPeriod::Unit;

absl::CivilSecond Start(Unit unit, int start_day, absl::CivilSecond time,
                        absl::TimeZone zone = absl::UTCTimeZone()) {
  const QuotaPeriod period = {unit, start_day, zone};
  return absl::ToCivilSecond(PeriodStart(period, absl::FromCivil(time, zone)),
                             zone);
}

TEST(QuotaPeriodTest, ADayBeginsAtMidnight) {
  EXPECT_EQ(Start(Unit::kDay, 1, absl::CivilSecond(2027, 5, 3, 23, 59, 59)),
            absl::CivilSecond(2027, 5, 3));
  EXPECT_EQ(Start(Unit::kDay, 1, absl::CivilSecond(2027, 5, 3)),
            absl::CivilSecond(2027, 5, 3));
}

TEST(QuotaPeriodTest, AWeekBeginsOnItsDay) {
  const absl::CivilSecond wednesday(2027, 5, 5, 12, 0, 0);
  EXPECT_EQ(Start(Unit::kWeek, 1, wednesday), absl::CivilSecond(2027, 5, 3));
  EXPECT_EQ(Start(Unit::kWeek, 3, wednesday), absl::CivilSecond(2027, 5, 5));
  EXPECT_EQ(Start(Unit::kWeek, 4, wednesday), absl::CivilSecond(2027, 4, 29));
  EXPECT_EQ(Start(Unit::kWeek, 7, wednesday), absl::CivilSecond(2027, 5, 2));
}

TEST(QuotaPeriodTest, AShortMonthBeginsWithItsLastDay) {
  EXPECT_EQ(Start(Unit::kMonth, 31, absl::CivilSecond(2027, 2, 27, 1, 0, 0)),
            absl::CivilSecond(2027, 1, 31));
  EXPECT_EQ(Start(Unit::kMonth, 31, absl::CivilSecond(2027, 2, 28, 1, 0, 0)),
            absl::CivilSecond(2027, 2, 28));
  EXPECT_EQ(Start(Unit::kMonth, 31, absl::CivilSecond(2028, 2, 29, 1, 0, 0)),
            absl::CivilSecond(2028, 2, 29));
  EXPECT_EQ(Start(Unit::kMonth, 31, absl::CivilSecond(2027, 3, 30, 1, 0, 0)),
            absl::CivilSecond(2027, 2, 28));
  EXPECT_EQ(Start(Unit::kMonth, 5, absl::CivilSecond(2027, 1, 4, 1, 0, 0)),
            absl::CivilSecond(2026, 12, 5));
}

TEST(QuotaPeriodTest, AZoneHasItsOwnMidnight) {
  absl::TimeZone tokyo;
  ASSERT_TRUE(absl::LoadTimeZone("Asia/Tokyo", &tokyo));
  const QuotaPeriod period = {Unit::kDay, 1, tokyo};
  // 01:00 of the 4th in Tokyo.
  const absl::Time time = absl::FromCivil(
      absl::CivilSecond(2027, 5, 3, 16, 0, 0), absl::UTCTimeZone());
  EXPECT_EQ(PeriodStart(period, time), time - absl::Hours(1));
}

TEST(QuotaPeriodTest, WhereClocksSkipMidnightTheDayBeginsAfterIt) {
  absl::TimeZone beirut;
  ASSERT_TRUE(absl::LoadTimeZone("Asia/Beirut", &beirut));
  // 28 March 2021, 00:00 became 01:00.
  EXPECT_EQ(
      Start(Unit::kDay, 1, absl::CivilSecond(2021, 3, 28, 12, 0, 0), beirut),
      absl::CivilSecond(2021, 3, 28, 1, 0, 0));
}

}  // namespace
}  // namespace nfmeter::accounting
