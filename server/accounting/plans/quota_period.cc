// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/plans/quota_period.h"

#include <algorithm>

#include "absl/time/civil_time.h"

namespace nfmeter::accounting {
namespace {

absl::CivilDay LastDayOf(absl::CivilMonth month) {
  return absl::CivilDay(month + 1) - 1;
}

absl::CivilDay StartIn(absl::CivilMonth month, int start_day) {
  return std::min(absl::CivilDay(month) + (start_day - 1), LastDayOf(month));
}

absl::CivilDay StartDay(const QuotaPeriod& period, absl::CivilDay today) {
  switch (period.unit) {
    case QuotaPeriod::Unit::kDay:
      return today;
    case QuotaPeriod::Unit::kWeek: {
      const int weekday = static_cast<int>(absl::GetWeekday(today)) + 1;
      return today - (weekday - period.start_day + 7) % 7;
    }
    case QuotaPeriod::Unit::kMonth:
      break;
  }
  const absl::CivilMonth month(today);
  const absl::CivilDay start = StartIn(month, period.start_day);
  return start <= today ? start : StartIn(month - 1, period.start_day);
}

}  // namespace

absl::Time PeriodStart(const QuotaPeriod& period, absl::Time time) {
  return absl::FromCivil(StartDay(period, absl::ToCivilDay(time, period.zone)),
                         period.zone);
}

}  // namespace nfmeter::accounting
