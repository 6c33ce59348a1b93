// SPDX-License-Identifier: GPL-3.0-or-later
// What was counted between two times, by counter or label.
#ifndef NFMETER_ACCOUNTING_LEDGER_USAGE_QUERY_H_
#define NFMETER_ACCOUNTING_LEDGER_USAGE_QUERY_H_

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "accounting/common/counter_filter.h"
#include "accounting/ledger/ledger.h"

namespace nfmeter::accounting {

enum class UsageBucket { kWhole, kFiveMinutes, kHour, kDay, kMonth };

struct UsageQuery {
  CounterFilter filter;
  absl::Time from;  // on the border of five minutes, as is `to`
  absl::Time to;
  UsageBucket bucket = UsageBucket::kWhole;
  absl::TimeZone time_zone;
  std::vector<std::string> group_by_labels;
  bool group_by_counter = false;
  size_t page_size = 1000;
  std::string page_token;
};

// What was counted in a second, on the average of five minutes.
struct UsageRate {
  double packets = 0;
  double bytes = 0;
};

struct UsageRow {
  absl::Time from;
  absl::Time to;
  Labels labels;
  std::string counter;  // as shown
  Amount sum;
  UsageRate peak;
  UsageRate p95;
  bool five_minutes_known = false;
  bool at_least = false;  // a gap lies in it
};

struct UsagePage {
  std::vector<UsageRow> rows;
  std::string next_page_token;
};

// Answers a query from the ledger's buckets. `labels` says the labels of
// counters that exist (the kernel's bytes). INVALID_ARGUMENT: the token is not
// of this query, or there are more than 10,000 buckets; FAILED_PRECONDITION,
// USAGE_NOT_KEPT; else LedgerReader's.
absl::StatusOr<UsagePage> ListUsage(
    const Ledger& ledger,
    const std::function<Labels(absl::string_view)>& labels,
    const UsageQuery& query);

// FAILED_PRECONDITION, USAGE_NOT_KEPT: the ledger has no file.
absl::Status CheckKept(const Ledger& ledger);

}  // namespace nfmeter::accounting

#endif  // NFMETER_ACCOUNTING_LEDGER_USAGE_QUERY_H_
