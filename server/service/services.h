// SPDX-License-Identifier: GPL-3.0-or-later
// All gRPC services of a domain, put together.
#ifndef NFMETER_SERVICE_SERVICES_H_
#define NFMETER_SERVICE_SERVICES_H_

#include <grpcpp/server_builder.h>

#include <functional>

#include "accounting/domain.h"
#include "security/access/authorizer.h"
#include "service/counter/counter_service.h"
#include "service/counter/quota_stream.h"
#include "service/flow/flow_service.h"
#include "service/gate/gate.h"
#include "service/gate/limits.h"
#include "service/gate/request_cache.h"
#include "service/gate/stream_set.h"
#include "service/node/node_service.h"
#include "service/plan/plan_service.h"
#include "service/rule/rule_service.h"
#include "service/snapshot/snapshot_service.h"
#include "service/usage/usage_service.h"

namespace nfmeter::service {

// Thread-safe once it is made. Must be destroyed after the gRPC servers that it
// is registered with; what it is given must outlive it.
class Services {
 public:
  struct Parts {
    Gate& gate;
    accounting::Domain& domain;
    RequestCache& requests;
    StreamBudget& streams;
    // All but the streams of snapshots that are open. See NodeService.
    std::function<NodeInfo()> describe_node;
  };

  Services(const Parts& parts, const Limits& limits);
  Services(const Services&) = delete;
  Services& operator=(const Services&) = delete;

  void RegisterWith(grpc::ServerBuilder& builder);

  // Ends the streams that the policy does not allow any more.
  void AuthorizeAgain(const security::Authorizer& authorizer) {
    streams_.AuthorizeAgain(authorizer);
  }

  // Ends all streams, and new ones at once, with UNAVAILABLE and reason
  // SERVER_SHUTDOWN. One whose client does not read ends when
  // grpc::Server::Shutdown() cuts it off.
  void Shutdown() { streams_.Shutdown(); }

  const SnapshotService& snapshots() const { return snapshots_; }

 private:
  StreamSet streams_;
  QuotaStreams quota_streams_;
  CounterService counters_;
  RuleService rules_;
  SnapshotService snapshots_;
  FlowService flows_;
  UsageService usage_;
  PlanService plans_;
  NodeService node_;
};

}  // namespace nfmeter::service

#endif  // NFMETER_SERVICE_SERVICES_H_
