// SPDX-License-Identifier: GPL-3.0-or-later
// The bounds of the API.
#ifndef NFMETER_SERVICE_GATE_LIMITS_H_
#define NFMETER_SERVICE_GATE_LIMITS_H_

#include <cstddef>

#include "absl/time/time.h"

namespace nfmeter::service {

// See NodeLimits in proto/nfmeter/v1/node.proto. Beyond them the answer is
// RESOURCE_EXHAUSTED, but for pages, which are cut.
struct Limits {
  size_t max_batch_size = 20'000;
  size_t max_page_size = 10'000;
  absl::Duration min_snapshot_interval = absl::Milliseconds(100);
  size_t max_streams = 10'000;
  // Of callers with a certificate, each.
  size_t max_streams_per_caller = 1000;
  size_t max_calls_per_second = 1000;  // 0: any number
  size_t max_request_bytes = 16 << 20;
  size_t max_counters = 1'000'000;
  size_t max_label_bytes = 128 << 20;  // of memory, of all labels
  size_t max_label_bytes_per_scope = 32 << 20;
  // For callers, all together; each may have half. See MemoryBudget.
  size_t max_held_bytes = 128 << 20;
  // Of flows: see accounting::FlowHub::Options.
  size_t max_flow_groups = 65'536;
  size_t max_watched_flows = 1 << 20;
  absl::Duration min_flow_interval = absl::Milliseconds(500);
  // Of one plan: see accounting::PlanBudget.
  size_t max_plan_rules = 500'000;
  size_t max_plan_chains = 200'000;
  size_t max_plan_rules_met = 1000;
  // How long a rule change may take when the client sets no deadline, and the
  // most when it does.
  absl::Duration max_rule_change_time = absl::Seconds(60);
  absl::Duration default_rule_change_time = absl::Seconds(10);
};

}  // namespace nfmeter::service

#endif  // NFMETER_SERVICE_GATE_LIMITS_H_
