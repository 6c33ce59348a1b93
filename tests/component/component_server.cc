// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/component/component_server.h"

#include <chrono>

#include "gmock/gmock.h"
#include "security/listen/marked_credentials.h"
#include "service/plan/read_plan.h"
#include "service/rule/convert_rule.h"
#include "tests/support/status_matchers.h"

namespace nfmeter::testing {
namespace {

accounting::Domain::Options WithPlans(accounting::Domain::Options options) {
  options.read_plan = service::ReadPlanSource;
  options.plans.health.check_interval = ComponentServer::kLookInterval;
  options.rule_codec = service::RuleCodec();
  // Tests count readings, unless they are about what is kept of them.
  options.ledger_reads = !options.ledger.path.empty();
  return options;
}

}  // namespace

ComponentServer::ComponentServer() : ComponentServer(Options()) {}

ComponentServer::ComponentServer(const Options& options)
    : clock(options.later),
      kernel(options.kernel),
      domain(
          *accounting::Domain::Open(kernel, clock, WithPlans(options.domain))),
      authorizer_(std::vector<security::ListenerGrant>{
          {.principal = security::SocketName(directory_ / "sock"),
           .role = options.role,
           .flows = options.flows}}),
      gate_(authorizer_, options.observers, options.gate, clock),
      requests_(clock),
      stream_budget_(options.limits.max_streams,
                     options.limits.max_streams_per_caller),
      services_({.gate = gate_,
                 .domain = *domain,
                 .requests = requests_,
                 .streams = stream_budget_,
                 .describe_node = [node = options.node] { return node; }},
                options.limits) {
  if (!options.policy.empty()) {
    authorizer_.SetPolicy(std::make_shared<const security::Policy>(
        *security::ParsePolicy(options.policy, "policy")));
  }
  EXPECT_OK(domain->plans().Start());
  AwaitPlansAsleep();
  grpc::ServerBuilder builder;
  builder.AddListeningPort(
      "unix:" + (directory_ / "sock"),
      security::SocketCredentials(directory_ / "sock", authorizer_));
  builder.SetMaxReceiveMessageSize(
      static_cast<int>(options.limits.max_request_bytes));
  services_.RegisterWith(builder);
  server_ = builder.BuildAndStart();
  const auto channel = NewChannel();
  counter_stub = v1::CounterService::NewStub(channel);
  rule_stub = v1::RuleService::NewStub(channel);
  snapshot_stub = v1::SnapshotService::NewStub(channel);
  flow_stub = v1::FlowService::NewStub(channel);
  node_stub = v1::NodeService::NewStub(channel);
  plan_stub = v1::PlanService::NewStub(channel);
  usage_stub = v1::UsageService::NewStub(channel);
}

ComponentServer::~ComponentServer() { Shutdown(); }

void ComponentServer::Shutdown() {
  if (server_ == nullptr) return;
  services_.Shutdown();
  gate_.Close(absl::Now() + absl::Minutes(1));
  server_->Shutdown(std::chrono::system_clock::now() + std::chrono::seconds(5));
  server_.reset();
  domain->plans().Stop();
}

void ComponentServer::AwaitPlansAsleep() {
  next_look_ = clock.BootTime() + kLookInterval;
  clock.AwaitWaiter(next_look_);
}

void ComponentServer::Advance(absl::Duration by) {
  clock.Advance(by);
  if (clock.BootTime() >= next_look_) AwaitPlansAsleep();
}

std::shared_ptr<grpc::Channel> ComponentServer::NewChannel() const {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(-1);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return grpc::CreateCustomChannel("unix:" + (directory_ / "sock"),
                                   grpc::InsecureChannelCredentials(),
                                   arguments);
}

void ComponentServer::AddObject(const kernel::AcctObject& object) {
  EXPECT_THAT(acct.Create({object}), ::testing::ElementsAre(IsOk()));
}

}  // namespace nfmeter::testing
