// SPDX-License-Identifier: GPL-3.0-or-later
// Rules that were made one by one stay as rules of plans do.
#include <memory>
#include <string>

#include "gmock/gmock.h"
#include "nfmeter/v1/plan.pb.h"
#include "nfmeter/v1/rule.pb.h"
#include "tests/component/component_server.h"
#include "tests/support/status_matchers.h"
#include "tests/support/subprocess.h"

namespace nfmeter {
namespace {

using ::nfmeter::testing::Call;
using ::nfmeter::testing::ComponentServer;
using ::nfmeter::testing::TemporaryDirectory;
using ::testing::ElementsAre;

using RuleStub = v1::RuleService::Stub;
using PlanStub = v1::PlanService::Stub;

class KeptRulesTest : public ::testing::Test {
 protected:
  KeptRulesTest() { Start(); }
  void Start() {
    server_ = nullptr;
    ComponentServer::Options options;
    options.domain.rules_path = files_ / "rules.db";
    server_ = std::make_unique<ComponentServer>(options);
  }
  void Create(const std::string& id,
              v1::RulePlacement placement = v1::RULE_PLACEMENT_HEAD) {
    if (!server_->acct.Exists("web")) server_->AddObject({.name = "web"});
    v1::CreateRuleRequest request;
    request.mutable_rule()->set_id(id);
    request.mutable_rule()->set_chain("INPUT");
    request.mutable_rule()->set_counter("web");
    request.mutable_rule()->mutable_match()->set_protocol("tcp");
    request.mutable_rule()->mutable_match()->add_destination_ports()->set_first(
        443);
    request.set_placement(placement);
    v1::CreateRuleResponse response;
    const grpc::Status status =
        Call(*server_->rule_stub, &RuleStub::CreateRule, request, &response);
    ASSERT_OK(status);
  }
  void CreateCounter() {
    v1::CreateCounterRequest request;
    request.mutable_counter()->set_name("web");
    request.mutable_counter()->mutable_quota()->set_bytes(1000);
    v1::CreateCounterResponse response;
    ASSERT_OK(Call(*server_->counter_stub,
                   &v1::CounterService::Stub::CreateCounter, request,
                   &response));
  }
  void Delete(const std::string& id) {
    v1::DeleteRuleRequest request;
    request.set_id(id);
    v1::DeleteRuleResponse response;
    ASSERT_OK(
        Call(*server_->rule_stub, &RuleStub::DeleteRule, request, &response));
  }
  void Flush() {
    server_->rule_table.Flush(kernel::Family::kIpv4, kernel::Table::kFilter);
  }
  void Look() { server_->Advance(ComponentServer::kLookInterval); }
  std::vector<std::string> Ids() {
    std::vector<std::string> ids;
    const auto holders = server_->rules.Holders({"web"});
    for (const kernel::Rule& rule : *holders) {
      ids.push_back(rule.id);
    }
    return ids;
  }
  v1::PlanStatus Status() {
    v1::GetPlanStatusRequest request;
    request.set_name(".rules");
    v1::GetPlanStatusResponse response;
    EXPECT_OK(Call(*server_->plan_stub, &PlanStub::GetPlanStatus, request,
                   &response));
    return response.status();
  }

  static int64_t NanosOf(const google::protobuf::Timestamp& time) {
    return time.seconds() * 1'000'000'000 + time.nanos();
  }

  TemporaryDirectory files_;
  std::unique_ptr<ComponentServer> server_;
};

TEST_F(KeptRulesTest, WhatOthersFlushComesBackInItsOrder) {
  Create("a");
  Create("b");
  Create("c", v1::RULE_PLACEMENT_TAIL);
  const std::vector<std::string> before = Ids();
  ASSERT_THAT(before, ElementsAre("b", "a", "c"));
  Flush();
  ASSERT_THAT(Ids(), ElementsAre());
  Look();
  EXPECT_EQ(Ids(), before);
  EXPECT_EQ(Status().repairs(), 1u);
  EXPECT_EQ(Status().state(), v1::PlanStatus::STATE_IN_SYNC);
}

TEST_F(KeptRulesTest, WhatNobodyHasChangedIsNotReadAgain) {
  Create("a");
  Look();
  const int reads = server_->rule_table.reads();
  Look();
  EXPECT_EQ(server_->rule_table.reads(), reads);
  Create("b");
  const int created = server_->rule_table.reads();
  Look();
  EXPECT_GT(server_->rule_table.reads(), created);
  Flush();
  Look();
  EXPECT_EQ(Status().repairs(), 1u);
}

// Others flush it before anybody has looked, in this life or the next.
TEST_F(KeptRulesTest, TheWindowBeginsWhenTheRuleWasMade) {
  server_->Advance(absl::Seconds(2));
  const int64_t made = absl::ToUnixNanos(server_->clock.WallTime());
  Create("a");
  server_->Advance(absl::Seconds(1));
  Flush();
  Look();
  EXPECT_EQ(NanosOf(Status().missed_from()), made);
  EXPECT_EQ(NanosOf(Status().missed_to()),
            made + absl::ToInt64Nanoseconds(absl::Seconds(1) +
                                            ComponentServer::kLookInterval));
}

TEST_F(KeptRulesTest, TheWindowBeginsWhenTheRuleWasMadeInTheLifeBefore) {
  const int64_t made = absl::ToUnixNanos(server_->clock.WallTime());
  Create("a");
  Start();
  server_->AddObject({.name = "web"});
  Look();
  EXPECT_EQ(Status().repairs(), 1u);
  EXPECT_EQ(NanosOf(Status().missed_from()), made);
}

TEST_F(KeptRulesTest, WhatIsThereIsLeftAlone) {
  Create("a");
  const int commits = server_->rule_table.total_commits();
  Look();
  EXPECT_EQ(server_->rule_table.total_commits(), commits);
  EXPECT_EQ(Status().repairs(), 0u);
}

TEST_F(KeptRulesTest, ADeletedRuleStaysAway) {
  Create("a");
  Create("b");
  Delete("a");
  Flush();
  Look();
  EXPECT_THAT(Ids(), ElementsAre("b"));
}

TEST_F(KeptRulesTest, WithoutRulesThereIsNoStatus) {
  v1::GetPlanStatusRequest request;
  request.set_name(".rules");
  v1::GetPlanStatusResponse response;
  EXPECT_EQ(
      Call(*server_->plan_stub, &PlanStub::GetPlanStatus, request, &response)
          .error_code(),
      grpc::StatusCode::NOT_FOUND);
}

TEST_F(KeptRulesTest, ACounterThatOthersDeleteComesBackWithWhatItHad) {
  CreateCounter();
  Look();
  ASSERT_OK(server_->acct.Count("web", 3, 300));
  server_->Advance(absl::Seconds(30));  // the ledger takes it in
  Look();
  ASSERT_OK(server_->acct.Delete({"web"})[0]);
  Look();
  ASSERT_OK(server_->acct.Get("web").status());
  EXPECT_EQ(server_->acct.Get("web")->packets, 3u);
  EXPECT_EQ(server_->acct.Get("web")->quota->limit, 1000u);
  EXPECT_EQ(Status().repairs(), 1u);
  v1::GetCounterRequest request;
  request.set_name("web");
  v1::GetCounterResponse response;
  ASSERT_OK(Call(*server_->counter_stub, &v1::CounterService::Stub::GetCounter,
                 request, &response));
  EXPECT_EQ(response.counter().total_packets(), 3u);
}

TEST_F(KeptRulesTest, ACounterThatIsDeletedThroughTheServerStaysAway) {
  CreateCounter();
  Look();
  v1::DeleteCounterRequest request;
  request.set_name("web");
  v1::DeleteCounterResponse response;
  ASSERT_OK(Call(*server_->counter_stub,
                 &v1::CounterService::Stub::DeleteCounter, request, &response));
  Look();
  Look();
  EXPECT_FALSE(server_->acct.Exists("web"));
}

// iptables -F and nfacct flush, one after the other.
TEST_F(KeptRulesTest, ItsCounterComesBackWithARule) {
  CreateCounter();
  Create("a");
  Flush();
  ASSERT_OK(server_->acct.Delete({"web"})[0]);
  Look();
  EXPECT_THAT(Ids(), ElementsAre("a"));
  EXPECT_EQ(server_->acct.Get("web")->quota->limit, 1000u);
}

TEST_F(KeptRulesTest, ARuleThatCanNotComeBackIsTold) {
  Create("a");
  Flush();
  server_->rule_table.FailNext(kernel::Operation::kRuleCommit, ENOMEM, 2);
  Look();
  EXPECT_EQ(Status().state(), v1::PlanStatus::STATE_FAILED);
  EXPECT_THAT(Status().message(), ::testing::HasSubstr("rule a"));
  EXPECT_THAT(Status().message(), ::testing::Not(::testing::HasSubstr(": :")));
  Look();
  EXPECT_EQ(Status().state(), v1::PlanStatus::STATE_IN_SYNC);
  EXPECT_THAT(Ids(), ElementsAre("a"));
}

TEST_F(KeptRulesTest, ARuleOfACgroupFollowsItsService) {
  kernel::FakeCgroupTree& cgroups = server_->kernel.cgroups();
  cgroups.Make("jobs/build");
  server_->AddObject({.name = "web"});
  v1::CreateRuleRequest request;
  request.mutable_rule()->set_id("a");
  request.mutable_rule()->set_chain("OUTPUT");
  request.mutable_rule()->set_counter("web");
  request.mutable_rule()->mutable_match()->set_cgroup_path("jobs/build");
  v1::CreateRuleResponse response;
  ASSERT_OK(
      Call(*server_->rule_stub, &RuleStub::CreateRule, request, &response));
  int commits = server_->rule_table.total_commits();
  Look();
  EXPECT_EQ(server_->rule_table.total_commits(), commits);
  // The service restarts.
  cgroups.Remove("jobs/build");
  cgroups.Make("jobs/build");
  Look();
  EXPECT_EQ(server_->rule_table.total_commits(), ++commits);
  EXPECT_THAT(Ids(), ElementsAre("a"));
  // It stops, and starts.
  cgroups.Remove("jobs/build");
  Look();
  EXPECT_THAT(Ids(), ElementsAre());
  cgroups.Make("jobs/build");
  Look();
  EXPECT_THAT(Ids(), ElementsAre("a"));
  EXPECT_EQ(Status().state(), v1::PlanStatus::STATE_IN_SYNC);
}

// A server that starts on a fresh kernel, as after a reboot.
TEST_F(KeptRulesTest, TheyOutliveTheKernel) {
  Create("a");
  Start();
  ASSERT_THAT(Ids(), ElementsAre());
  server_->AddObject({.name = "web"});
  Look();
  EXPECT_THAT(Ids(), ElementsAre("a"));
}

}  // namespace
}  // namespace nfmeter
