// SPDX-License-Identifier: GPL-3.0-or-later
// The services behind real gRPC over a unix socket, on kernels in memory.
#ifndef NFMETER_TESTS_COMPONENT_COMPONENT_SERVER_H_
#define NFMETER_TESTS_COMPONENT_COMPONENT_SERVER_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "accounting/domain.h"
#include "grpcpp/grpcpp.h"
#include "kernel/fake/fake_kernel.h"
#include "nfmeter/v1/counter.grpc.pb.h"
#include "nfmeter/v1/flow.grpc.pb.h"
#include "nfmeter/v1/node.grpc.pb.h"
#include "nfmeter/v1/plan.grpc.pb.h"
#include "nfmeter/v1/rule.grpc.pb.h"
#include "nfmeter/v1/snapshot.grpc.pb.h"
#include "nfmeter/v1/usage.grpc.pb.h"
#include "security/access/authorizer.h"
#include "service/gate/gate.h"
#include "service/gate/limits.h"
#include "service/gate/request_cache.h"
#include "service/gate/stream_set.h"
#include "service/services.h"
#include "tests/component/rpc_errors.h"
#include "tests/support/fake_clock.h"
#include "tests/support/subprocess.h"

namespace nfmeter::testing {

// A server as nfmeterd wires it, with its clients' ends. Tests reach past it
// to the kernels in memory and the clock, which stands still.
class ComponentServer {
 public:
  struct Options {
    service::Limits limits;
    accounting::Domain::Options domain;
    kernel::Capabilities kernel;  // what the probe finds
    service::NodeInfo node;
    // Of whoever connects.
    security::Role role = security::Role::kAdmin;
    security::FlowAccess flows = security::FlowAccess::kNone;
    std::string policy;  // as in a file; empty: none
    service::Gate::Options gate;
    std::vector<telemetry::CallObserver*> observers;
    absl::Duration later;  // than the clock of other servers begins
  };

  ComponentServer();
  explicit ComponentServer(const Options& options);
  ~ComponentServer();
  ComponentServer(const ComponentServer&) = delete;
  ComponentServer& operator=(const ComponentServer&) = delete;

  // Ends the streams and the server, as SIGTERM does.
  void Shutdown();

  // Between looks at plans: a time for which nothing else in the server waits.
  static constexpr absl::Duration kLookInterval = absl::Milliseconds(5003);

  // Moves the clock by so much. If that made a look at plans due, it is over
  // before this returns. Tests move time by this alone: after clock.Advance()
  // it would happen at some time or other.
  void Advance(absl::Duration by);

  // A connection of its own.
  std::shared_ptr<grpc::Channel> NewChannel() const;

  // An object of somebody else's.
  void AddObject(const kernel::AcctObject& object);

  FakeClock clock;
  kernel::FakeKernel kernel;
  const std::unique_ptr<accounting::Domain> domain;

  // Parts of these.
  kernel::FakeAcctTable& acct = kernel.acct();
  kernel::FakeRuleTable& rule_table = kernel.rules();
  accounting::Lane& counter_lane = domain->counter_lane();
  accounting::Lane& rule_lane = domain->rule_lane();
  accounting::SnapshotHub& hub = domain->snapshots();
  accounting::LabelStore& labels = domain->labels();
  accounting::Rules& rules = domain->rules();
  service::Gate& gate = gate_;

  std::unique_ptr<v1::CounterService::Stub> counter_stub;
  std::unique_ptr<v1::RuleService::Stub> rule_stub;
  std::unique_ptr<v1::SnapshotService::Stub> snapshot_stub;
  std::unique_ptr<v1::FlowService::Stub> flow_stub;
  std::unique_ptr<v1::NodeService::Stub> node_stub;
  std::unique_ptr<v1::PlanService::Stub> plan_stub;
  std::unique_ptr<v1::UsageService::Stub> usage_stub;

 private:
  // The look that is due now has ended, and the next one is planned.
  void AwaitPlansAsleep();

  absl::Duration next_look_;
  TemporaryDirectory directory_;
  security::Authorizer authorizer_;
  service::Gate gate_;
  service::RequestCache requests_;
  service::StreamBudget stream_budget_;
  service::Services services_;
  std::unique_ptr<grpc::Server> server_;
};

// Calls a unary method of a stub: Call(*server.counter_stub,
// &v1::CounterService::Stub::GetCounter, request, &response).
template <typename Stub, typename Request, typename Response>
grpc::Status Call(Stub& stub,
                  grpc::Status (Stub::*method)(grpc::ClientContext*,
                                               const Request&, Response*),
                  const Request& request, Response* response) {
  grpc::ClientContext context;
  return (stub.*method)(&context, request, response);
}

}  // namespace nfmeter::testing

#endif  // NFMETER_TESTS_COMPONENT_COMPONENT_SERVER_H_
