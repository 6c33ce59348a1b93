// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/plans/plan.h"

#include <algorithm>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/civil_time.h"
#include "base/stable_hash.h"

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

absl::string_view DirectionName(Direction direction) {
  switch (direction) {
    case Direction::kIn:
      return "in";
    case Direction::kOut:
      return "out";
    case Direction::kForwarded:
      return "forwarded";
  }
  return "";
}

std::string ClassCounter(absl::string_view counter,
                         absl::string_view class_name) {
  return absl::StrCat(counter, ".", class_name);
}

std::vector<std::string> CountersOf(const Plan& plan,
                                    const PlanAccount& account) {
  if (!account.split.has_value()) return {account.counter};
  std::vector<std::string> counters;
  for (const AddressClass& each : plan.classes) {
    counters.push_back(ClassCounter(account.counter, each.name));
  }
  counters.push_back(ClassCounter(account.counter, kOtherClass));
  return counters;
}

bool Decides(const Plan& plan) {
  const auto decides = [](const PlanAccount& account) {
    return account.quota.has_value() && account.quota->over != OverQuota::kTell;
  };
  return absl::c_any_of(plan.accounts, decides) ||
         absl::c_any_of(plan.groups, [&](const AccountGroup& group) {
           return decides(group.shared);
         });
}

std::string OwnerOfChains(absl::string_view plan_name) {
  return absl::StrFormat(
      "%08x-",
      static_cast<uint32_t>(StableHash().Add(plan_name).value() >> 32));
}

}  // namespace nfmeter::accounting
