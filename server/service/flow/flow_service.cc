// SPDX-License-Identifier: GPL-3.0-or-later
#include "service/flow/flow_service.h"

#include "base/status_macros.h"
#include "service/flow/flow_request.h"
#include "service/flow/flow_words.h"

namespace nfmeter::service {

FlowService::FlowService(Gate& gate, accounting::FlowHub& hub,
                         const Limits& limits, StreamSet& streams)
    : GatedService(gate), hub_(hub), limits_(limits), streams_(hub, streams) {
  Stream("ListFlows", &FlowService::ListFlows);
  Unary("SummarizeFlows", &FlowService::SummarizeFlows);
  Stream("WatchFlows", &FlowService::WatchFlows);
}

absl::Status FlowService::ListFlows(const Call& call,
                                    const v1::ListFlowsRequest& request) {
  NFM_ASSIGN_OR_RETURN(const FlowListRequest list,
                       ReadFlowList(request, call.caller->flows));
  return streams_.List(call, list);
}

absl::Status FlowService::SummarizeFlows(
    const Call& call, const v1::SummarizeFlowsRequest& request,
    v1::SummarizeFlowsResponse* response) {
  NFM_ASSIGN_OR_RETURN(const FlowSummaryRequest asked,
                       ReadFlowSummary(request, call.caller->flows, limits_));
  NFM_ASSIGN_OR_RETURN(const accounting::FlowHub::Summary summary,
                       hub_.Summarize(asked.query, asked.max_staleness));
  ToProto(summary->ranking, asked.query.grouping, response->mutable_ranking());
  ToProto(summary->reading,
          FlowNotices(call, asked.shortened).Of(summary->reading),
          response->mutable_reading());
  ToProto(asked.query.grouping, response->mutable_grouping());
  return absl::OkStatus();
}

absl::Status FlowService::WatchFlows(const Call& call,
                                     const v1::WatchFlowsRequest& request) {
  NFM_ASSIGN_OR_RETURN(const FlowWatchRequest watch,
                       ReadFlowWatch(request, call.caller->flows, limits_));
  return streams_.Watch(call, watch);
}

}  // namespace nfmeter::service
