// SPDX-License-Identifier: GPL-3.0-or-later
// Accounts of cgroups and systemd units, followed through restarts.
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "nfmeter/v1/plan.pb.h"
#include "tests/component/component_server.h"
#include "tests/support/status_matchers.h"

namespace nfmeter {
namespace {

using ::nfmeter::testing::Call;
using ::nfmeter::testing::ComponentServer;
using ::nfmeter::testing::WrongFieldsOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

using Stub = v1::PlanService::Stub;

constexpr char kPath[] = "system.slice/web.service";

v1::Plan Services() {
  v1::Plan plan;
  plan.set_name("services");
  v1::Account& web = *plan.add_accounts();
  web.set_counter("web");
  web.set_systemd_unit("web.service");
  v1::Account& dns = *plan.add_accounts();
  dns.set_counter("dns");
  dns.mutable_match()->set_protocol("udp");
  return plan;
}

class PlanCgroupTest : public ::testing::Test {
 protected:
  grpc::Status Apply(const v1::Plan& plan) {
    v1::ApplyPlanRequest request;
    *request.mutable_plan() = plan;
    v1::ApplyPlanResponse response;
    return Call(*server_.plan_stub, &Stub::ApplyPlan, request, &response);
  }
  void Look() {
    server_.Advance(ComponentServer::kLookInterval);
  }
  std::vector<kernel::Rule> Rules(const std::string& counter) {
    auto holders = server_.rules.Holders({counter});
    return *std::move(holders);
  }
  v1::PlanStatus Status() {
    v1::GetPlanStatusRequest request;
    request.set_name("services");
    v1::GetPlanStatusResponse response;
    EXPECT_OK(
        Call(*server_.plan_stub, &Stub::GetPlanStatus, request, &response));
    return response.status();
  }

  ComponentServer server_;
  kernel::FakeCgroupTree& cgroups_ = server_.kernel.cgroups();
};

TEST_F(PlanCgroupTest, AUnitIsCountedByTheCgroupThatItHas) {
  cgroups_.Make(kPath);
  ASSERT_OK(Apply(Services()));
  const std::vector<kernel::Rule> rules = Rules("web");
  ASSERT_EQ(rules.size(), 4u);  // in and out, IPv4 and IPv6
  EXPECT_THAT(rules[0].text, HasSubstr(kPath));
}

TEST_F(PlanCgroupTest, ARestartedServiceIsCountedAgain) {
  cgroups_.Make(kPath);
  ASSERT_OK(Apply(Services()));
  const std::string before = Rules("web")[0].text;
  const int commits = server_.rule_table.total_commits();
  Look();
  EXPECT_EQ(server_.rule_table.total_commits(), commits);
  cgroups_.Remove(kPath);
  cgroups_.Make(kPath);
  Look();
  EXPECT_EQ(server_.rule_table.total_commits(), commits + 2);
  // The kernel looks the path up again for a new rule only.
  EXPECT_NE(Rules("web")[0].text, before);
  EXPECT_EQ(Status().repairs(), 1u);
  EXPECT_EQ(Status().state(), v1::PlanStatus::STATE_IN_SYNC);
}

TEST_F(PlanCgroupTest, ManyRestartsAreNoFight) {
  cgroups_.Make(kPath);
  ASSERT_OK(Apply(Services()));
  for (int i = 0; i < 6; ++i) {
    cgroups_.Remove(kPath);
    cgroups_.Make(kPath);
    Look();
  }
  EXPECT_EQ(Status().state(), v1::PlanStatus::STATE_IN_SYNC);
}

TEST_F(PlanCgroupTest, AStoppedServiceLeavesNoRuleThatBlocksOthers) {
  cgroups_.Make("system.slice/other.service");
  ASSERT_OK(Apply(Services()));
  EXPECT_TRUE(server_.acct.Exists("web"));
  EXPECT_TRUE(Rules("web").empty());
  EXPECT_EQ(Rules("dns").size(), 6u);
  cgroups_.Make(kPath);
  Look();
  EXPECT_EQ(Rules("web").size(), 4u);
  cgroups_.Remove(kPath);
  Look();
  EXPECT_TRUE(Rules("web").empty());
  EXPECT_EQ(Rules("dns").size(), 6u);
}

// No rule holds it, so that anybody can.
TEST_F(PlanCgroupTest, TheCounterOfAStoppedServiceComesBackWhenItIsDeleted) {
  cgroups_.Make("system.slice/other.service");
  ASSERT_OK(Apply(Services()));
  ASSERT_TRUE(server_.acct.Exists("web"));
  Look();
  EXPECT_EQ(Status().repairs(), 0u);
  ASSERT_OK(server_.acct.Delete({"web"})[0]);
  Look();
  EXPECT_TRUE(server_.acct.Exists("web"));
  EXPECT_EQ(Status().repairs(), 1u);
  Look();
  EXPECT_EQ(Status().repairs(), 1u);
}

TEST_F(PlanCgroupTest, APathIsFollowedAsAUnitIs) {
  cgroups_.Make("jobs/build");
  v1::Plan plan;
  plan.set_name("services");
  v1::Account& account = *plan.add_accounts();
  account.set_counter("build");
  account.mutable_match()->set_cgroup_path("jobs/build");
  ASSERT_OK(Apply(plan));
  const std::string before = Rules("build")[0].text;
  cgroups_.Remove("jobs/build");
  cgroups_.Make("jobs/build");
  Look();
  EXPECT_NE(Rules("build")[0].text, before);
}

TEST_F(PlanCgroupTest, WhatIsNoUnitIsRefused) {
  v1::Plan plan = Services();
  plan.mutable_accounts(0)->set_systemd_unit("web");
  plan.mutable_accounts(1)->set_systemd_unit("web.service");
  plan.mutable_accounts(1)->mutable_match()->set_cgroup_path("a");
  EXPECT_THAT(WrongFieldsOf(Apply(plan)),
              ElementsAre("plan.accounts[0].systemd_unit",
                          "plan.accounts[1].systemd_unit"));
}

TEST_F(PlanCgroupTest, ForwardedPacketsHaveNoUnit) {
  v1::Plan plan = Services();
  plan.mutable_accounts(0)->add_directions(v1::DIRECTION_FORWARDED);
  EXPECT_THAT(Apply(plan).error_message(), HasSubstr("have a cgroup"));
}

}  // namespace
}  // namespace nfmeter
