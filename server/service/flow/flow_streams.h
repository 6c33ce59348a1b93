// SPDX-License-Identifier: GPL-3.0-or-later
// ListFlows and WatchFlows, as raw callback streams.
#ifndef NFMETER_SERVICE_FLOW_FLOW_STREAMS_H_
#define NFMETER_SERVICE_FLOW_FLOW_STREAMS_H_

#include "absl/status/status.h"
#include "accounting/flows/flow_hub.h"
#include "service/flow/flow_request.h"
#include "service/gate/call.h"
#include "service/gate/stream_set.h"
#include "service/gate/work_threads.h"

namespace nfmeter::service {

// All streams of flows. Thread-safe. Must be destroyed after the gRPC server
// and before the hub.
class FlowStreams {
 public:
  FlowStreams(accounting::FlowHub& hub, StreamSet& streams);

  absl::Status List(const Call& call, const FlowListRequest& request);
  absl::Status Watch(const Call& call, const FlowWatchRequest& request);

 private:
  accounting::FlowHub& hub_;
  WorkThreads threads_;
  StreamSet& streams_;
};

}  // namespace nfmeter::service

#endif  // NFMETER_SERVICE_FLOW_FLOW_STREAMS_H_
