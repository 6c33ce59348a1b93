// SPDX-License-Identifier: GPL-3.0-or-later
// What is said about every reading of the flows.
#ifndef NFMETER_ACCOUNTING_FLOWS_FLOW_READING_H_
#define NFMETER_ACCOUNTING_FLOWS_FLOW_READING_H_

#include <cstddef>

#include "absl/time/time.h"
#include "accounting/flows/flow_filter.h"
#include "accounting/flows/flow_groups.h"
#include "kernel/flow_types.h"

namespace nfmeter::accounting {

// A value.
struct FlowReading {
  absl::Time wall_time;     // when it began
  absl::Duration boottime;  // likewise
  // Every flow that existed throughout is in, and once.
  bool complete = false;
  kernel::FlowTracking tracking;  // when it began
};

// What is summed, and how the sums are shown.
struct FlowQuery {
  FlowFilter filter;
  FlowGrouping grouping;
  FlowOrder order = FlowOrder::kBytes;
  size_t limit = 0;  // groups that are listed

  friend bool operator==(const FlowQuery&, const FlowQuery&) = default;
};

struct FlowSummary {
  FlowReading reading;
  FlowRanking ranking;
};

}  // namespace nfmeter::accounting

#endif  // NFMETER_ACCOUNTING_FLOWS_FLOW_READING_H_
