// SPDX-License-Identifier: GPL-3.0-or-later
// What is kept on the real kernel: services that restart, rules that were made
// one by one, and what is told of traffic that no rule sees.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "nfmeter/v1/counter.grpc.pb.h"
#include "nfmeter/v1/node.grpc.pb.h"
#include "nfmeter/v1/plan.grpc.pb.h"
#include "nfmeter/v1/rule.grpc.pb.h"
#include "tests/support/status_matchers.h"
#include "tests/system/nfmeterd_process.h"
#include "tests/system/service_cgroup.h"

namespace nfmeter {
namespace {

using ::nfmeter::testing::NfmeterdProcess;
using ::nfmeter::testing::ServiceCgroup;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

class KeepingTest : public ::testing::Test {
 protected:
  void SetUp() override {
    server_ = std::make_unique<NfmeterdProcess>();
    ASSERT_OK(server_->WaitUntilReady());
    counters_ = v1::CounterService::NewStub(server_->Channel());
    plans_ = v1::PlanService::NewStub(server_->Channel());
  }

  uint64_t Packets(const std::string& name) {
    grpc::ClientContext context;
    v1::GetCounterRequest request;
    request.set_name(name);
    v1::GetCounterResponse response;
    EXPECT_OK(counters_->GetCounter(&context, request, &response));
    return response.counter().packets();
  }
  // Until it has so many repairs.
  void AwaitRepairs(const std::string& name, uint64_t repairs) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() +
                         std::chrono::seconds(60));
    v1::WatchPlanStatusRequest request;
    request.set_name(name);
    const auto stream = plans_->WatchPlanStatus(&context, request);
    v1::WatchPlanStatusResponse response;
    while (response.status().repairs() < repairs && stream->Read(&response)) {
    }
    EXPECT_GE(response.status().repairs(), repairs);
    context.TryCancel();
  }
  std::vector<std::string> Notices() {
    const auto node = v1::NodeService::NewStub(server_->Channel());
    grpc::ClientContext context;
    v1::GetNodeResponse response;
    EXPECT_OK(node->GetNode(&context, v1::GetNodeRequest(), &response));
    return {response.node().notices().begin(), response.node().notices().end()};
  }

  std::unique_ptr<NfmeterdProcess> server_;
  std::unique_ptr<v1::CounterService::Stub> counters_;
  std::unique_ptr<v1::PlanService::Stub> plans_;
};

TEST_F(KeepingTest, AServiceIsCountedAgainAfterItsRestart) {
  ServiceCgroup service;
  v1::ApplyPlanRequest request;
  request.mutable_plan()->set_name("services");
  v1::Account& account = *request.mutable_plan()->add_accounts();
  account.set_counter("web");
  account.set_systemd_unit(service.unit());
  account.add_directions(v1::DIRECTION_OUT);
  grpc::ClientContext context;
  v1::ApplyPlanResponse response;
  const grpc::Status applied = plans_->ApplyPlan(&context, request, &response);
  ASSERT_OK(applied);
  service.Send(3);
  EXPECT_EQ(Packets("web"), 3u);
  service.Stop();
  service.Start();
  AwaitRepairs("services", 1);
  service.Send(4);
  EXPECT_EQ(Packets("web"), 7u);
}

TEST_F(KeepingTest, AFlushByIptablesIsMendedAtOnceForRulesMadeByHandToo) {
  grpc::ClientContext made;
  v1::CreateCounterRequest counter;
  counter.mutable_counter()->set_name("web");
  v1::CreateCounterResponse ignored;
  ASSERT_OK(counters_->CreateCounter(&made, counter, &ignored));
  const auto rules = v1::RuleService::NewStub(server_->Channel());
  v1::CreateRuleRequest request;
  request.mutable_rule()->set_chain("OUTPUT");
  request.mutable_rule()->set_counter("web");
  request.mutable_rule()->mutable_match()->set_protocol("udp");
  grpc::ClientContext context;
  v1::CreateRuleResponse response;
  ASSERT_OK(rules->CreateRule(&context, request, &response));
  const absl::Time before = absl::Now();
  ASSERT_EQ(testing::Run({"iptables-legacy", "-w", "-F"}).exit_code, 0);
  AwaitRepairs(".rules", 1);
  // By the watch of the lock, not by the look every five seconds.
  EXPECT_LT(absl::Now() - before, absl::Seconds(4));
  EXPECT_THAT(testing::Run({"iptables-legacy-save"}).out,
              HasSubstr(response.rule().id()));
}

// The kernel goes on with the next chain of the hook.
TEST_F(KeepingTest, AChainThatAcceptsBeforeTakesNothingAway) {
  ASSERT_EQ(testing::Run({"nft", "add", "table", "inet", "fw"}).exit_code, 0);
  ASSERT_EQ(testing::Run({"nft", "add", "chain", "inet", "fw", "early",
                          "{ type filter hook input priority -10; }"})
                .exit_code,
            0);
  ASSERT_EQ(
      testing::Run({"nft", "add", "rule", "inet", "fw", "early", "accept"})
          .exit_code,
      0);
  EXPECT_THAT(Notices(), Not(Contains(HasSubstr("may drop"))));
}

TEST_F(KeepingTest, AChainThatDropsBeforeIsTold) {
  ASSERT_EQ(testing::Run({"nft", "add", "table", "inet", "fw"}).exit_code, 0);
  ASSERT_EQ(testing::Run({"nft", "add", "chain", "inet", "fw", "early",
                          "{ type filter hook input priority -10; }"})
                .exit_code,
            0);
  ASSERT_EQ(testing::Run({"nft", "add", "rule", "inet", "fw", "early", "udp",
                          "dport", "7", "drop"})
                .exit_code,
            0);
  EXPECT_THAT(Notices(), Contains(HasSubstr("inet fw early at priority -10")));
}

TEST_F(KeepingTest, ACounterWithoutARuleIsTold) {
  grpc::ClientContext context;
  v1::CreateCounterRequest request;
  request.mutable_counter()->set_name("lonely");
  v1::CreateCounterResponse response;
  ASSERT_OK(counters_->CreateCounter(&context, request, &response));
  grpc::ClientContext listed;
  v1::ListCountersResponse all;
  ASSERT_OK(counters_->ListCounters(&listed, v1::ListCountersRequest(), &all));
  EXPECT_THAT(Notices(), Contains(HasSubstr("no rule that counts into it: "
                                            "lonely")));
}

}  // namespace
}  // namespace nfmeter
