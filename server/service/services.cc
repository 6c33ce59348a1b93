// SPDX-License-Identifier: GPL-3.0-or-later
#include "service/services.h"

#include <initializer_list>

namespace nfmeter::service {

Services::Services(const Parts& parts, const Limits& limits)
    : streams_(parts.streams),
      quota_streams_(parts.domain.quotas(), parts.domain.counters(),
                     parts.domain.labels(), streams_,
                     [&kernel = parts.domain.kernel()] {
                       return kernel.capabilities()->quota_events;
                     }),
      counters_(parts.gate, parts.domain.counters(),
                parts.domain.counter_editor(), parts.requests, quota_streams_,
                limits),
      rules_(parts.gate, parts.domain.rules(), parts.domain.rule_editor(),
             parts.requests, limits),
      snapshots_(parts.gate,
                 {.hub = parts.domain.snapshots(),
                  .counters = parts.domain.counters(),
                  .labels = parts.domain.labels(),
                  .ledger = parts.domain.ledger(),
                  .streams = streams_},
                 limits,
                 [&kernel = parts.domain.kernel()] {
                   return kernel.capabilities()->acct;
                 }),
      flows_(parts.gate, parts.domain.flows(), limits, streams_),
      usage_(parts.gate, parts.domain.ledger(), parts.domain.labels(), streams_,
             limits),
      plans_(parts.gate,
             {.plans = parts.domain.plans(),
              .counters = parts.domain.counters(),
              .rules = parts.domain.rules(),
              .requests = parts.requests,
              .streams = streams_},
             limits),
      node_(
          parts.gate,
          [&streams = parts.streams, describe = parts.describe_node] {
            NodeInfo node = describe();
            node.snapshot_subscribers = streams.open(SnapshotService::kKind);
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

}  // namespace nfmeter::service
