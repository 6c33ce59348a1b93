// SPDX-License-Identifier: GPL-3.0-or-later
#include "service/node/node_service.h"

#include <memory>
#include <utility>

#include "base/utf8.h"
#include "service/gate/flow_tracking_message.h"
#include "service/gate/time_message.h"

namespace nfmeter::service {
namespace {

void ToProto(const NodeCapability& capability, v1::Capability* proto) {
  proto->set_name(capability.name);
  proto->set_available(capability.available);
  proto->set_detail(ValidUtf8(capability.detail));
  for (const std::string& method : capability.methods) {
    proto->add_methods(method);
  }
}

void ToProto(const Limits& limits, v1::NodeLimits* proto) {
  proto->set_max_batch_size(static_cast<uint32_t>(limits.max_batch_size));
  proto->set_max_page_size(static_cast<uint32_t>(limits.max_page_size));
  service::ToProto(limits.min_snapshot_interval,
                   proto->mutable_min_snapshot_interval());
  proto->set_max_streams(static_cast<uint32_t>(limits.max_streams));
  proto->set_max_request_bytes(static_cast<uint32_t>(limits.max_request_bytes));
  proto->set_max_counters(static_cast<uint32_t>(limits.max_counters));
  proto->set_max_label_bytes(limits.max_label_bytes);
  proto->set_max_label_bytes_per_scope(limits.max_label_bytes_per_scope);
  proto->set_max_plan_rules(static_cast<uint32_t>(limits.max_plan_rules));
  proto->set_max_plan_chains(static_cast<uint32_t>(limits.max_plan_chains));
  proto->set_max_plan_rules_met(
      static_cast<uint32_t>(limits.max_plan_rules_met));
  proto->set_max_flow_groups(static_cast<uint32_t>(limits.max_flow_groups));
  service::ToProto(limits.min_flow_interval,
                   proto->mutable_min_flow_interval());
  proto->set_max_watched_flows(static_cast<uint32_t>(limits.max_watched_flows));
}

void ToProto(const security::Grant& grant, v1::Grant* proto) {
  proto->set_role(std::string(security::RoleName(grant.role)));
  for (const std::string& method : grant.methods) proto->add_methods(method);
  for (const std::string& prefix : grant.counter_prefixes) {
    proto->add_counter_prefixes(prefix);
  }
  proto->set_flows(std::string(security::FlowAccessName(grant.flows.access)));
  if (grant.flows.access == security::FlowAccess::kSummary) {
    proto->mutable_flow_prefixes()->set_ipv4(grant.flows.ipv4_bits);
    proto->mutable_flow_prefixes()->set_ipv6(grant.flows.ipv6_bits);
  }
}

// `whole`: with what only callers who may see the whole host are told.
void ToProto(const NodeLedger& ledger, bool whole, v1::Ledger* proto) {
  const accounting::LedgerStatus& status = ledger.status;
  proto->set_durable(status.kept);
  if (!status.kept) return;
  if (!status.writable.ok()) {
    proto->set_problem(whole ? ValidUtf8(status.writable.message())
                             : "the ledger can't be written");
    service::ToProto(status.since, proto->mutable_problem_time());
  }
  proto->set_node_id(status.node_id);
  proto->set_epoch(status.epoch);
  proto->set_sequence(status.sequence);
  if (status.sequence > 0 && status.record_time != absl::Time()) {
    service::ToProto(status.record_time, proto->mutable_record_time());
  }
  proto->set_record_bytes(status.record_bytes);
  proto->set_keeps_answers(ledger.keeps_answers);
  v1::LedgerRetention* const retention = proto->mutable_retention();
  service::ToProto(ledger.retention.records, retention->mutable_records());
  retention->set_record_bytes(ledger.retention.record_bytes);
  retention->set_max_record_bytes(ledger.retention.hard_record_bytes);
  service::ToProto(ledger.retention.five_minutes,
                   retention->mutable_five_minutes());
  service::ToProto(ledger.retention.hours, retention->mutable_hours());
}

}  // namespace

NodeService::NodeService(Gate& gate, std::function<NodeInfo()> info,
                         accounting::SnapshotHub& hub, const Limits& limits)
    : GatedService(gate),
      info_(std::move(info)),
      hub_(hub),
      epoch_(hub.epoch()),
      limits_(limits) {
  Unary("GetNode", &NodeService::GetNode);
}

absl::Status NodeService::GetNode(const Call& call,
                                  const v1::GetNodeRequest& /*request*/,
                                  v1::GetNodeResponse* response) {
  const NodeInfo info = info_();
  v1::Node* const node = response->mutable_node();
  node->set_hostname(ValidUtf8(info.hostname));
  node->set_version(info.version);
  node->set_kernel_release(ValidUtf8(info.kernel_release));
  node->set_network_namespace(info.network_namespace);
  node->set_epoch(epoch_);
  service::ToProto(info.start_time, node->mutable_start_time());
  for (const NodeCapability& capability : info.capabilities) {
    ToProto(capability, node->add_capabilities());
  }
  ToProto(limits_, node->mutable_limits());
  if (info.flow_tracking.has_value()) {
    service::ToProto(*info.flow_tracking, node->mutable_flow_tracking());
    // Only for callers who may see the whole host.
    if (!call.scope().has_all()) {
      node->mutable_flow_tracking()->clear_flow_count();
    }
  }
  ToProto(info.ledger, call.scope().has_all(), node->mutable_ledger());
  node->set_read_only(gate().options().read_only);
  node->mutable_caller()->set_principal(ValidUtf8(call.caller->principal));
  for (const security::Grant& grant : *call.caller->grants) {
    ToProto(grant, node->mutable_caller()->add_grants());
  }
  if (call.scope().has_all()) DescribeWholeHost(info, node);
  return absl::OkStatus();
}

void NodeService::DescribeWholeHost(const NodeInfo& info,
                                    v1::Node* node) const {
  for (const std::string& notice : info.notices) {
    node->add_notices(ValidUtf8(notice));
  }
  const std::shared_ptr<const accounting::Snapshot> latest = hub_.Latest();
  if (latest != nullptr) {
    node->set_counter_count(static_cast<uint32_t>(latest->size()));
  }
  node->set_snapshot_subscribers(
      static_cast<uint32_t>(info.snapshot_subscribers));
}

}  // namespace nfmeter::service
