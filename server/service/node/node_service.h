// SPDX-License-Identifier: GPL-3.0-or-later
// nfmeter.v1.NodeService.
#ifndef NFMETER_SERVICE_NODE_NODE_SERVICE_H_
#define NFMETER_SERVICE_NODE_NODE_SERVICE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "accounting/ledger/ledger.h"
#include "accounting/snapshots/snapshot_hub.h"
#include "kernel/flow_types.h"
#include "nfmeter/v1/node.grpc.pb.h"
#include "service/gate/gate.h"
#include "service/gate/gated_service.h"
#include "service/gate/limits.h"

namespace nfmeter::service {

// See nfmeter.v1.Capability.
struct NodeCapability {
  std::string name;
  bool available = false;
  std::string detail;
  std::vector<std::string> methods;
};

// See nfmeter.v1.Ledger.
struct NodeLedger {
  accounting::LedgerStatus status;
  accounting::Retention retention;
  bool keeps_answers = false;
};

// What the server knows of its host; see nfmeter.v1.Node.
struct NodeInfo {
  std::string hostname;
  std::string version;
  std::string kernel_release;
  uint64_t network_namespace = 0;
  absl::Time start_time;
  std::vector<NodeCapability> capabilities;
  std::vector<std::string> notices;
  size_t snapshot_subscribers = 0;
  NodeLedger ledger;
  // Nothing where connection tracking can't be read.
  std::optional<kernel::FlowTracking> flow_tracking;
};

// Thread-safe. Does not own what it is given.
class NodeService final : public GatedService<v1::NodeService> {
 public:
  // `info` is called for each request, from any thread; must not wait.
  NodeService(Gate& gate, std::function<NodeInfo()> info,
              accounting::SnapshotHub& hub, const Limits& limits);

 private:
  absl::Status GetNode(const Call& call, const v1::GetNodeRequest& request,
                       v1::GetNodeResponse* response);
  // What is nobody's business who may see some counters only.
  void DescribeWholeHost(const NodeInfo& info, v1::Node* node) const;

  const std::function<NodeInfo()> info_;
  accounting::SnapshotHub& hub_;
  const uint64_t epoch_;  // the hub's first
  const Limits limits_;
};

}  // namespace nfmeter::service

#endif  // NFMETER_SERVICE_NODE_NODE_SERVICE_H_
