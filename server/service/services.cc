// SPDX-License-Identifier: GPL-3.0-or-later
#include "service/services.h"

#include <initializer_list>

namespace nfmeter::service {

Services::Services(const Parts& parts, const Limits& limits)
    : quota_streams_(parts.domain.quotas(), parts.domain.labels(),
                     parts.streams,
                     [&kernel = parts.domain.kernel()] {
                       return kernel.capabilities()->quota_events;
                     }),
      plan_streams_(parts.domain.plans(), parts.streams),
      counters_(parts.gate, parts.domain.counters(),
                parts.domain.counter_editor(), parts.requests, quota_streams_,
                limits),
      rules_(parts.gate, parts.domain.rules(), parts.domain.rule_editor(),
             parts.requests, limits),
      snapshots_(parts.gate,
                 {.hub = parts.domain.snapshots(),
                  .labels = parts.domain.labels(),
                  .ledger = parts.domain.ledger(),
                  .streams = parts.streams},
                 limits,
                 [&kernel = parts.domain.kernel()] {
                   return kernel.capabilities()->acct;
                 }),
      flows_(parts.gate, parts.domain.flows(), limits, parts.streams),
      usage_(parts.gate, parts.domain.ledger(), parts.domain.labels(),
             parts.streams, limits),
      plans_(parts.gate,
             {.plans = parts.domain.plans(),
              .counters = parts.domain.counters(),
              .rules = parts.domain.rules(),
              .requests = parts.requests,
              .streams = plan_streams_},
             limits),
      node_(
          parts.gate,
          [this, describe = parts.describe_node] {
            NodeInfo node = describe();
            node.snapshot_subscribers = snapshots_.open_streams();
            return node;
          },
          parts.domain.snapshots(), limits) {}

void Services::RegisterWith(grpc::ServerBuilder& builder) {
  for (grpc::Service* const service : std::initializer_list<grpc::Service*>{
           &counters_, &rules_, &snapshots_, &flows_, &usage_, &plans_,
           &node_}) {
    builder.RegisterService(service);
  }
}

void Services::AuthorizeAgain(const security::Authorizer& authorizer) {
  quota_streams_.AuthorizeAgain(authorizer);
  plan_streams_.AuthorizeAgain(authorizer);
  snapshots_.AuthorizeAgain(authorizer);
  flows_.AuthorizeAgain(authorizer);
  usage_.AuthorizeAgain(authorizer);
}

void Services::Shutdown() {
  quota_streams_.Shutdown();
  plan_streams_.Shutdown();
  snapshots_.Shutdown();
  flows_.Shutdown();
  usage_.Shutdown();
}

}  // namespace nfmeter::service
