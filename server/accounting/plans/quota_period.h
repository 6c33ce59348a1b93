// SPDX-License-Identifier: GPL-3.0-or-later
// When quotas start anew.
#ifndef NFMETER_ACCOUNTING_PLANS_QUOTA_PERIOD_H_
#define NFMETER_ACCOUNTING_PLANS_QUOTA_PERIOD_H_

#include "absl/time/time.h"

namespace nfmeter::accounting {

// A value.
struct QuotaPeriod {
  enum class Unit { kDay, kWeek, kMonth };

  Unit unit = Unit::kMonth;
  // Of a week 1 (Monday) to 7, of a month 1 to 31; a shorter month begins its
  // period with its last day.
  int start_day = 1;
  absl::TimeZone zone = absl::UTCTimeZone();

  friend bool operator==(const QuotaPeriod&, const QuotaPeriod&) = default;
};

// When the period that `time` is in began: a midnight of its zone, or the first
// moment of the day where the clocks skip midnight.
absl::Time PeriodStart(const QuotaPeriod& period, absl::Time time);

}  // namespace nfmeter::accounting

#endif  // NFMETER_ACCOUNTING_PLANS_QUOTA_PERIOD_H_
