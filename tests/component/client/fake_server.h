// SPDX-License-Identifier: GPL-3.0-or-later
// A server whose answers each test writes itself.
#ifndef NFMETER_TESTS_COMPONENT_CLIENT_FAKE_SERVER_H_
#define NFMETER_TESTS_COMPONENT_CLIENT_FAKE_SERVER_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "grpcpp/grpcpp.h"
#include "grpcpp/health_check_service_interface.h"
#include "nfmeter/v1/counter.grpc.pb.h"
#include "nfmeter/v1/flow.grpc.pb.h"
#include "nfmeter/v1/node.grpc.pb.h"
#include "nfmeter/v1/plan.grpc.pb.h"
#include "nfmeter/v1/rule.grpc.pb.h"
#include "nfmeter/v1/snapshot.grpc.pb.h"
#include "nfmeter/v1/usage.grpc.pb.h"
#include "tests/support/subprocess.h"

namespace nfmeter::testing {

// Handlers are set before the calls that use them; a method without one answers
// UNIMPLEMENTED.
#define NFM_FAKE_UNARY(Method)                                              \
 public:                                                                    \
  std::function<grpc::Status(const v1::Method##Request&,                    \
                             v1::Method##Response*)>                        \
      on_##Method;                                                          \
                                                                            \
 private:                                                                   \
  grpc::Status Method(grpc::ServerContext* context,                         \
                      const v1::Method##Request* request,                   \
                      v1::Method##Response* response) override {            \
    NoteDeadline(*context);                                                 \
    return on_##Method ? on_##Method(*request, response)                    \
                       : grpc::Status(grpc::StatusCode::UNIMPLEMENTED, ""); \
  }

#define NFM_FAKE_STREAM(Method)                                                \
 public:                                                                       \
  std::function<grpc::Status(grpc::ServerContext&, const v1::Method##Request&, \
                             grpc::ServerWriter<v1::Method##Response>&)>       \
      on_##Method;                                                             \
                                                                               \
 private:                                                                      \
  grpc::Status Method(                                                         \
      grpc::ServerContext* context, const v1::Method##Request* request,        \
      grpc::ServerWriter<v1::Method##Response>* writer) override {             \
    return on_##Method ? on_##Method(*context, *request, *writer)              \
                       : grpc::Status(grpc::StatusCode::UNIMPLEMENTED, "");    \
  }

// For handlers of streams that have no more to say: until the client goes away.
inline void WaitForCancellation(const grpc::ServerContext& context) {
  while (!context.IsCancelled()) absl::SleepFor(absl::Milliseconds(1));
}

// How long the client of the last unary call would wait.
class SeenTimeout {
 public:
  absl::Duration timeout() const { return absl::Milliseconds(timeout_.load()); }

 protected:
  void NoteDeadline(const grpc::ServerContext& context) {
    timeout_ = absl::ToInt64Milliseconds(absl::FromChrono(context.deadline()) -
                                         absl::Now());
  }

 private:
  std::atomic<int64_t> timeout_ = 0;  // milliseconds
};

class FakeCounterService final : public v1::CounterService::Service,
                                 public SeenTimeout {
  NFM_FAKE_UNARY(CreateCounter)
  NFM_FAKE_UNARY(BatchCreateCounters)
  NFM_FAKE_UNARY(GetCounter)
  NFM_FAKE_UNARY(BatchGetCounters)
  NFM_FAKE_UNARY(ListCounters)
  NFM_FAKE_UNARY(UpdateCounter)
  NFM_FAKE_UNARY(ResetCounter)
  NFM_FAKE_UNARY(BatchResetCounters)
  NFM_FAKE_UNARY(DeleteCounter)
  NFM_FAKE_UNARY(BatchDeleteCounters)
  NFM_FAKE_STREAM(WatchQuotaEvents)
};

class FakeRuleService final : public v1::RuleService::Service,
                              public SeenTimeout {
  NFM_FAKE_UNARY(CreateRule)
  NFM_FAKE_UNARY(BatchCreateRules)
  NFM_FAKE_UNARY(GetRule)
  NFM_FAKE_UNARY(ListRules)
  NFM_FAKE_UNARY(DeleteRule)
  NFM_FAKE_UNARY(BatchDeleteRules)
  NFM_FAKE_UNARY(ListChains)
};

class FakeSnapshotService final : public v1::SnapshotService::Service {
  NFM_FAKE_STREAM(GetSnapshot)
  NFM_FAKE_STREAM(WatchSnapshots)
};

class FakeUsageService final : public v1::UsageService::Service,
                               public SeenTimeout {
  NFM_FAKE_UNARY(ListUsage)
  NFM_FAKE_UNARY(ListGaps)
  NFM_FAKE_UNARY(ListConsumers)
  NFM_FAKE_UNARY(DeleteConsumer)

 public:
  using CollectStream = grpc::ServerReaderWriter<v1::CollectUsageResponse,
                                                 v1::CollectUsageRequest>;
  std::function<grpc::Status(grpc::ServerContext&, CollectStream&)>
      on_CollectUsage;

 private:
  grpc::Status CollectUsage(grpc::ServerContext* context,
                            CollectStream* stream) override {
    return on_CollectUsage ? on_CollectUsage(*context, *stream)
                           : grpc::Status(grpc::StatusCode::UNIMPLEMENTED, "");
  }
};

class FakePlanService final : public v1::PlanService::Service,
                              public SeenTimeout {
  NFM_FAKE_UNARY(ApplyPlan)
  NFM_FAKE_UNARY(ListPlans)
  NFM_FAKE_UNARY(GetPlanStatus)
  NFM_FAKE_STREAM(WatchPlanStatus)
};

class FakeFlowService final : public v1::FlowService::Service,
                              public SeenTimeout {
  NFM_FAKE_STREAM(ListFlows)
  NFM_FAKE_STREAM(WatchFlows)
  NFM_FAKE_UNARY(SummarizeFlows)
};

class FakeNodeService final : public v1::NodeService::Service,
                              public SeenTimeout {
  NFM_FAKE_UNARY(GetNode)
};

// Listens on a unix socket in a folder of its own.
class FakeServer {
 public:
  FakeServer() : socket_(directory_ / "nfmeter.sock") {
    grpc::EnableDefaultHealthCheckService(true);
    Start();
  }
  ~FakeServer() { Stop(); }

  void Start() {
    grpc::ServerBuilder builder;
    builder.AddListeningPort(address(), grpc::InsecureServerCredentials());
    builder.RegisterService(&counters);
    builder.RegisterService(&rules);
    builder.RegisterService(&snapshots);
    builder.RegisterService(&usage);
    builder.RegisterService(&plans);
    builder.RegisterService(&flows);
    builder.RegisterService(&node);
    server_ = builder.BuildAndStart();
  }

  // Breaks all connections.
  void Stop() {
    if (server_ == nullptr) return;
    server_->Shutdown(std::chrono::system_clock::now());
    server_ = nullptr;
  }

  grpc::Server& server() { return *server_; }
  const std::string& socket() const { return socket_; }
  std::string address() const { return "unix:" + socket_; }

  FakeCounterService counters;
  FakeRuleService rules;
  FakeSnapshotService snapshots;
  FakeUsageService usage;
  FakePlanService plans;
  FakeFlowService flows;
  FakeNodeService node;

 private:
  TemporaryDirectory directory_;
  const std::string socket_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace nfmeter::testing

#endif  // NFMETER_TESTS_COMPONENT_CLIENT_FAKE_SERVER_H_
