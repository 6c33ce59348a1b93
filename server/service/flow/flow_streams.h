// SPDX-License-Identifier: GPL-3.0-or-later
// ListFlows and WatchFlows, as raw callback streams.
#ifndef NFMETER_SERVICE_FLOW_FLOW_STREAMS_H_
#define NFMETER_SERVICE_FLOW_FLOW_STREAMS_H_

#include <memory>

#include "absl/status/status.h"
#include "accounting/flows/flow_hub.h"
#include "service/flow/flow_notices.h"
#include "service/flow/flow_request.h"
#include "service/gate/call.h"
#include "service/gate/stream_budget.h"
#include "service/gate/stream_set.h"
#include "service/gate/work_threads.h"

namespace nfmeter::service {

// All streams of flows. Thread-safe. Must be destroyed after the gRPC server
// and before the hub.
class FlowStreams {
 public:
  FlowStreams(accounting::FlowHub& hub, StreamBudget& budget)
      : hub_(hub), threads_("nfm-flow-send", 2), streams_(budget, "flows") {}

  absl::Status List(const Call& call, const FlowListRequest& request);
  absl::Status Watch(const Call& call, const FlowWatchRequest& request);

  void Shutdown() { streams_.Shutdown(); }
  // See StreamSet.
  void AuthorizeAgain(const security::Authorizer& authorizer) {
    streams_.AuthorizeAgain(authorizer);
  }
  size_t open() const { return streams_.size(); }

 private:
  accounting::FlowHub& hub_;
  WorkThreads threads_;
  StreamSet streams_;
};

}  // namespace nfmeter::service

#endif  // NFMETER_SERVICE_FLOW_FLOW_STREAMS_H_
