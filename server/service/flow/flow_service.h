// SPDX-License-Identifier: GPL-3.0-or-later
// nfmeter.v1.FlowService over accounting::FlowHub.
#ifndef NFMETER_SERVICE_FLOW_FLOW_SERVICE_H_
#define NFMETER_SERVICE_FLOW_FLOW_SERVICE_H_

#include "absl/status/status.h"
#include "accounting/flows/flow_hub.h"
#include "nfmeter/v1/flow.grpc.pb.h"
#include "service/gate/gate.h"
#include "service/gate/gated_service.h"
#include "service/gate/limits.h"
#include "service/gate/stream_set.h"
#include "service/gate/work_threads.h"

namespace nfmeter::service {

// Thread-safe. Must be destroyed after the gRPC server, and before the hub.
// Does not own what it is given.
class FlowService final : public GatedService<v1::FlowService> {
 public:
  FlowService(Gate& gate, accounting::FlowHub& hub, const Limits& limits,
              StreamSet& streams);

 private:
  absl::Status ListFlows(const Call& call, const v1::ListFlowsRequest& request);
  absl::Status SummarizeFlows(const Call& call,
                              const v1::SummarizeFlowsRequest& request,
                              v1::SummarizeFlowsResponse* response);
  absl::Status WatchFlows(const Call& call,
                          const v1::WatchFlowsRequest& request);

  accounting::FlowHub& hub_;
  const Limits limits_;
  WorkThreads threads_;  // that send streams
  StreamSet& streams_;
};

}  // namespace nfmeter::service

#endif  // NFMETER_SERVICE_FLOW_FLOW_SERVICE_H_
