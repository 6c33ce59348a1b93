// SPDX-License-Identifier: GPL-3.0-or-later
// Requests about flows, read and held against the caller's rights.
#ifndef NFMETER_SERVICE_FLOW_FLOW_REQUEST_H_
#define NFMETER_SERVICE_FLOW_FLOW_REQUEST_H_

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "accounting/flows/flow_filter.h"
#include "accounting/flows/flow_reading.h"
#include "nfmeter/v1/flow.pb.h"
#include "security/access/access.h"
#include "service/gate/limits.h"

namespace nfmeter::service {

// All of these return INVALID_ARGUMENT with all wrong fields; and
// PERMISSION_DENIED, FLOW_PREFIX_NOT_PERMITTED, when a filter asks for more
// bits of an address than the caller may see: the answer would tell them.

struct FlowListRequest {
  accounting::FlowFilter filter;
  absl::Duration max_staleness;
};
absl::StatusOr<FlowListRequest> ReadFlowList(
    const v1::ListFlowsRequest& request, const security::FlowRights& rights);

struct FlowSummaryRequest {
  accounting::FlowQuery query;
  bool shortened = false;  // prefixes, to what the caller may see
  absl::Duration max_staleness;
};
absl::StatusOr<FlowSummaryRequest> ReadFlowSummary(
    const v1::SummarizeFlowsRequest& request,
    const security::FlowRights& rights, const Limits& limits);

struct FlowWatchRequest {
  accounting::FlowQuery query;
  bool shortened = false;
  absl::Duration interval;
};
absl::StatusOr<FlowWatchRequest> ReadFlowWatch(
    const v1::WatchFlowsRequest& request, const security::FlowRights& rights,
    const Limits& limits);

}  // namespace nfmeter::service

#endif  // NFMETER_SERVICE_FLOW_FLOW_REQUEST_H_
