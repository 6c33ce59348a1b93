// SPDX-License-Identifier: GPL-3.0-or-later
// Quotas of plans over time: thresholds that tell, periods that start anew.
#include <cerrno>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/civil_time.h"
#include "gmock/gmock.h"
#include "kernel/acct_names.h"
#include "nfmeter/v1/plan.pb.h"
#include "tests/component/component_server.h"
#include "tests/support/status_matchers.h"

namespace nfmeter {
namespace {

using ::nfmeter::testing::Call;
using ::nfmeter::testing::ComponentServer;
using ::nfmeter::testing::ErrorInfoOf;
using ::nfmeter::testing::WrongFieldsOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

using Stub = v1::PlanService::Stub;

v1::Plan Capped() {
  v1::Plan plan;
  plan.set_name("capped");
  v1::Account& account = *plan.add_accounts();
  account.set_counter("guest");
  account.mutable_match()->set_protocol("udp");
  v1::PlanQuota& quota = *account.mutable_quota();
  quota.set_bytes(1000);
  quota.set_over(v1::OVER_QUOTA_DROP);
  quota.add_thresholds(50);
  quota.add_thresholds(80);
  return plan;
}

v1::Plan Monthly(const std::string& zone) {
  v1::Plan plan = Capped();
  v1::QuotaPeriod& period =
      *plan.mutable_accounts(0)->mutable_quota()->mutable_period();
  period.set_unit(v1::QuotaPeriod::UNIT_MONTH);
  period.set_start_day(5);
  period.set_time_zone(zone);
  return plan;
}

class PlanQuotaTest : public ::testing::Test {
 protected:
  grpc::Status Apply(const v1::Plan& plan, bool validate_only = false) {
    v1::ApplyPlanRequest request;
    *request.mutable_plan() = plan;
    request.set_validate_only(validate_only);
    v1::ApplyPlanResponse response;
    return Call(*server_.plan_stub, &Stub::ApplyPlan, request, &response);
  }
  void Look() { server_.Advance(ComponentServer::kLookInterval); }
  void GoTo(absl::Time time) {
    server_.Advance(time - server_.clock.WallTime());
  }
  void Pass(uint64_t bytes) {
    ASSERT_OK(server_.acct.Count("guest", 1, bytes));
  }
  uint64_t Bytes() { return server_.acct.Get("guest")->bytes; }

  // What a stream hears until the counter is reset, or `count` of them.
  class Events {
   public:
    explicit Events(ComponentServer& server)
        : reader_(server.counter_stub->WatchQuotaEvents(
              &context_, v1::WatchQuotaEventsRequest())) {
      v1::WatchQuotaEventsResponse event;
      while (reader_->Read(&event) &&
             event.kind() != v1::QUOTA_EVENT_KIND_SYNCED) {
      }
    }
    ~Events() { context_.TryCancel(); }
    v1::WatchQuotaEventsResponse Next() {
      v1::WatchQuotaEventsResponse event;
      EXPECT_TRUE(reader_->Read(&event));
      return event;
    }

   private:
    grpc::ClientContext context_;
    std::unique_ptr<grpc::ClientReader<v1::WatchQuotaEventsResponse>> reader_;
  };

  ComponentServer server_;
};

TEST_F(PlanQuotaTest, EachThresholdIsToldOnce) {
  ASSERT_OK(Apply(Capped()));
  Events events(server_);
  Pass(499);
  Look();
  Pass(1);
  Look();
  Look();
  v1::WatchQuotaEventsResponse event = events.Next();
  EXPECT_EQ(event.kind(), v1::QUOTA_EVENT_KIND_THRESHOLD);
  EXPECT_EQ(event.threshold_percent(), 50u);
  EXPECT_EQ(event.counter().bytes(), 500u);
  Pass(300);
  Look();
  event = events.Next();
  EXPECT_EQ(event.threshold_percent(), 80u);
  EXPECT_EQ(event.counter().bytes(), 800u);
}

// What no comparison with the kernel shows.
TEST_F(PlanQuotaTest, OtherThresholdsOrAnotherPeriodAloneAreAChange) {
  ASSERT_TRUE(Apply(Monthly("UTC")).ok());
  const auto differences = [&](const v1::Plan& plan) {
    v1::ApplyPlanRequest request;
    *request.mutable_plan() = plan;
    request.set_validate_only(true);
    v1::ApplyPlanResponse response;
    EXPECT_TRUE(
        Call(*server_.plan_stub, &Stub::ApplyPlan, request, &response).ok());
    std::vector<std::string> differences;
    for (const v1::PlanChange& change : response.changes()) {
      differences.push_back(absl::StrCat(change.counter(), " ",
                                         absl::StrJoin(change.fields(), ",")));
    }
    return differences;
  };
  EXPECT_THAT(differences(Monthly("UTC")), IsEmpty());
  EXPECT_THAT(differences(Monthly("Asia/Tokyo")), ElementsAre("guest quota"));
  v1::Plan told = Monthly("UTC");
  v1::PlanQuota& quota = *told.mutable_accounts(0)->mutable_quota();
  quota.add_thresholds(90);
  EXPECT_THAT(differences(told), ElementsAre("guest quota"));
  // All of it in one line.
  (*told.mutable_accounts(0)->mutable_labels())["tenant"] = "a";
  EXPECT_THAT(differences(told), ElementsAre("guest labels,quota"));
  quota.set_bytes(2000);
  EXPECT_THAT(differences(told), ElementsAre("guest labels,quota"));
  ASSERT_TRUE(Apply(told).ok());
  EXPECT_THAT(differences(told), IsEmpty());
}

TEST_F(PlanQuotaTest, ItsCounterAndItsRulesAreNotDeletedAndTheErrorSaysWhy) {
  ASSERT_OK(Apply(Capped()));
  v1::DeleteCounterRequest counter;
  counter.set_name("guest");
  for (const bool with_rules : {false, true}) {
    counter.set_delete_managed_rules(with_rules);
    v1::DeleteCounterResponse deleted;
    const grpc::Status status =
        Call(*server_.counter_stub, &v1::CounterService::Stub::DeleteCounter,
             counter, &deleted);
    EXPECT_EQ(ErrorInfoOf(status).reason(), "COUNTER_IN_USE");
    EXPECT_EQ(ErrorInfoOf(status).metadata().at("plan"), "capped");
    EXPECT_THAT(status.error_message(), HasSubstr("plan capped"));
  }
  v1::ListRulesResponse rules;
  ASSERT_OK(Call(*server_.rule_stub, &v1::RuleService::Stub::ListRules,
                 v1::ListRulesRequest(), &rules));
  ASSERT_GT(rules.rules_size(), 0);
  for (const v1::Rule& rule : rules.rules()) {
    v1::DeleteRuleRequest request;
    request.set_id(rule.id());
    v1::DeleteRuleResponse deleted;
    const grpc::Status status =
        Call(*server_.rule_stub, &v1::RuleService::Stub::DeleteRule, request,
             &deleted);
    EXPECT_EQ(ErrorInfoOf(status).reason(), "FOREIGN_RULE");
    EXPECT_THAT(status.error_message(), HasSubstr("a plan")) << rule.spec();
  }
}

// An existing limit, a first one, none any more: all of it is the plan's.
TEST_F(PlanQuotaTest, OnlyThePlanChangesItsQuotas) {
  v1::Plan plan = Capped();
  plan.add_accounts()->set_counter("free");
  plan.mutable_accounts(1)->mutable_match()->set_protocol("tcp");
  ASSERT_OK(Apply(plan));
  const auto update = [&](const std::string& counter, uint64_t bytes,
                          bool validate_only) {
    v1::UpdateCounterRequest request;
    request.mutable_counter()->set_name(counter);
    request.mutable_update_mask()->add_paths("quota");
    request.set_validate_only(validate_only);
    if (bytes > 0) request.mutable_counter()->mutable_quota()->set_bytes(bytes);
    v1::UpdateCounterResponse response;
    return Call(*server_.counter_stub, &v1::CounterService::Stub::UpdateCounter,
                request, &response);
  };
  for (const bool validate_only : {true, false}) {
    for (const auto& [counter, bytes] :
         {std::pair{"guest", 2000}, {"guest", 0}, {"free", 2000}}) {
      const grpc::Status refused = update(counter, bytes, validate_only);
      EXPECT_EQ(refused.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
      EXPECT_EQ(ErrorInfoOf(refused).reason(), "QUOTA_OF_PLAN");
      EXPECT_THAT(refused.error_message(), HasSubstr("of plan capped"));
    }
  }
  EXPECT_EQ(server_.acct.Get("guest")->quota->limit, 1000u);
  // What it has is no change.
  EXPECT_OK(update("guest", 1000, /*validate_only=*/false));
}

TEST_F(PlanQuotaTest, AfterAResetTheyAreToldAgain) {
  ASSERT_OK(Apply(Capped()));
  Events events(server_);
  Pass(600);
  Look();
  EXPECT_EQ(events.Next().threshold_percent(), 50u);
  v1::ResetCounterRequest reset;
  reset.set_name("guest");
  v1::ResetCounterResponse response;
  ASSERT_OK(Call(*server_.counter_stub, &v1::CounterService::Stub::ResetCounter,
                 reset, &response));
  Look();
  Pass(550);
  Look();
  const v1::WatchQuotaEventsResponse again = events.Next();
  EXPECT_EQ(again.threshold_percent(), 50u);
  EXPECT_EQ(again.counter().bytes(), 550u);
}

TEST_F(PlanQuotaTest, AMonthStartsAnewAtMidnightOfItsZone) {
  absl::TimeZone berlin;
  ASSERT_TRUE(absl::LoadTimeZone("Europe/Berlin", &berlin));
  const auto in_berlin = [&](int month, int day, int hour, int minute) {
    return absl::FromCivil(absl::CivilMinute(2027, month, day, hour, minute),
                           berlin);
  };
  GoTo(in_berlin(3, 20, 12, 0));
  ASSERT_OK(Apply(Monthly("Europe/Berlin")));
  Pass(700);
  GoTo(in_berlin(4, 4, 23, 59));
  EXPECT_EQ(Bytes(), 700u);
  GoTo(in_berlin(4, 5, 0, 0));
  EXPECT_EQ(Bytes(), 0u);
  Pass(10);
  GoTo(in_berlin(5, 4, 12, 0));
  EXPECT_EQ(Bytes(), 10u);
  GoTo(in_berlin(5, 5, 1, 0));
  EXPECT_EQ(Bytes(), 0u);
}

TEST_F(PlanQuotaTest, AClockThatWasWrongForAWhileStopsNoPeriods) {
  ASSERT_TRUE(Apply(Monthly("UTC")).ok());
  Pass(900);
  server_.clock.JumpWallTime(absl::Hours(24 * 400));
  Look();
  EXPECT_EQ(Bytes(), 0u);
  server_.clock.JumpWallTime(-absl::Hours(24 * 400));
  Pass(700);
  Look();
  EXPECT_EQ(Bytes(), 700u);
  GoTo(absl::FromUnixSeconds(1'767'571'200));  // 2026-01-05
  EXPECT_EQ(Bytes(), 0u);
  // Set back a little, it begins once.
  Pass(100);
  server_.clock.JumpWallTime(-absl::Seconds(30));
  Look();
  GoTo(absl::FromUnixSeconds(1'767'571'201));
  EXPECT_EQ(Bytes(), 100u);
}

TEST_F(PlanQuotaTest, ANewPeriodForgetsNothingOfTheTotals) {
  ASSERT_OK(Apply(Monthly("")));
  Pass(700);
  GoTo(server_.clock.WallTime() + absl::Hours(24 * 32));
  EXPECT_EQ(Bytes(), 0u);
  v1::GetCounterRequest request;
  request.set_name("guest");
  v1::GetCounterResponse response;
  ASSERT_OK(Call(*server_.counter_stub, &v1::CounterService::Stub::GetCounter,
                 request, &response));
  EXPECT_EQ(response.counter().total_bytes(), 700u);
}

TEST_F(PlanQuotaTest, ApplyingThePlanAgainStartsNothingAnew) {
  ASSERT_OK(Apply(Monthly("")));
  Pass(700);
  v1::Plan changed = Monthly("");
  changed.mutable_accounts(0)->set_description("guests");
  ASSERT_OK(Apply(changed));
  Look();
  EXPECT_EQ(Bytes(), 700u);
}

// A plan whose quotas are changed, on a kernel that can do so in place and on
// one that can't.
class PlanQuotaChangeTest : public PlanQuotaTest,
                            public ::testing::WithParamInterface<bool> {
 protected:
  void SetUp() override {
    server_.acct.SetFeatures({.replace = GetParam()});
    ASSERT_OK(Apply(Capped()));
    Pass(400);
    rules_ = Rules();
  }

  static v1::Plan WithLimit(uint64_t bytes) {
    v1::Plan plan = Capped();
    plan.mutable_accounts(0)->mutable_quota()->set_bytes(bytes);
    return plan;
  }
  static v1::Plan WithoutQuota() {
    v1::Plan plan = Capped();
    plan.mutable_accounts(0)->clear_quota();
    return plan;
  }
  v1::ApplyPlanResponse Diff(const v1::Plan& plan) {
    v1::ApplyPlanRequest request;
    *request.mutable_plan() = plan;
    request.set_validate_only(true);
    v1::ApplyPlanResponse response;
    EXPECT_OK(Call(*server_.plan_stub, &Stub::ApplyPlan, request, &response));
    return response;
  }
  v1::Counter Guest() {
    v1::GetCounterRequest request;
    request.set_name("guest");
    v1::GetCounterResponse response;
    EXPECT_OK(Call(*server_.counter_stub, &v1::CounterService::Stub::GetCounter,
                   request, &response));
    return response.counter();
  }
  // All of IPv4, as iptables-save prints them.
  std::vector<std::string> Rules() {
    std::vector<std::string> texts;
    const auto contents =
        server_.rule_table.Read(kernel::Family::kIpv4, kernel::Table::kFilter);
    for (const kernel::Chain& chain : contents->chains) {
      for (const kernel::Rule& rule : chain.rules) texts.push_back(rule.text);
    }
    return texts;
  }
  bool HasStandIn() {
    return server_.acct.Exists(kernel::StandInName("guest"));
  }

  std::vector<std::string> rules_;
};
INSTANTIATE_TEST_SUITE_P(Kernel, PlanQuotaChangeTest, ::testing::Bool(),
                         [](const auto& info) {
                           return info.param ? "InPlace" : "ByStandIn";
                         });

TEST_P(PlanQuotaChangeTest, AnotherLimitComesWithThePlan) {
  const v1::ApplyPlanResponse diff = Diff(WithLimit(600));
  ASSERT_EQ(diff.change_count(), 1u);
  EXPECT_EQ(diff.changes(0).kind(), v1::PlanChange::KIND_CHANGE);
  EXPECT_EQ(diff.changes(0).counter(), "guest");
  EXPECT_THAT(diff.changes(0).fields(), ElementsAre("quota"));
  EXPECT_EQ(Guest().quota().bytes(), 1000u);

  ASSERT_OK(Apply(WithLimit(600)));
  EXPECT_EQ(Guest().quota().bytes(), 600u);
  EXPECT_EQ(Guest().bytes(), 400u);
  EXPECT_EQ(Guest().total_bytes(), 400u);
  EXPECT_EQ(Rules(), rules_);
  EXPECT_FALSE(HasStandIn());
  Pass(200);
  EXPECT_TRUE(Guest().quota().exceeded());

  const int commits = server_.rule_table.total_commits();
  EXPECT_EQ(Diff(WithLimit(600)).change_count(), 0u);
  ASSERT_OK(Apply(WithLimit(600)));
  EXPECT_EQ(server_.rule_table.total_commits(), commits);
}

TEST_P(PlanQuotaChangeTest, AQuotaGoesWithItsCapAndComesBack) {
  ASSERT_OK(Apply(WithoutQuota()));
  EXPECT_FALSE(Guest().has_quota());
  EXPECT_NE(Rules(), rules_);
  EXPECT_EQ(Guest().total_bytes(), 400u);
  ASSERT_OK(Apply(Capped()));
  EXPECT_EQ(Guest().quota().bytes(), 1000u);
  EXPECT_EQ(Rules(), rules_);
  EXPECT_EQ(Guest().bytes(), 400u);
  EXPECT_FALSE(HasStandIn());
}

TEST_P(PlanQuotaChangeTest, WhatFailsLeavesQuotaRulesAndLabels) {
  v1::Plan plan = WithoutQuota();
  (*plan.mutable_accounts(0)->mutable_labels())["tenant"] = "b";
  server_.rule_table.FailNext(kernel::Operation::kRuleCommit, EBUSY);
  EXPECT_FALSE(Apply(plan).ok());
  EXPECT_EQ(Guest().quota().bytes(), 1000u);
  EXPECT_TRUE(Guest().labels().empty());
  EXPECT_EQ(Rules(), rules_);
  EXPECT_FALSE(HasStandIn());
  ASSERT_OK(Apply(plan));
  EXPECT_FALSE(Guest().has_quota());
}

TEST_P(PlanQuotaChangeTest, RulesMadeOneByOneCountOn) {
  v1::CreateRuleRequest request;
  request.mutable_rule()->set_chain("INPUT");
  request.mutable_rule()->set_counter("guest");
  request.set_placement(v1::RULE_PLACEMENT_TAIL);
  v1::CreateRuleResponse response;
  ASSERT_OK(Call(*server_.rule_stub, &v1::RuleService::Stub::CreateRule,
                 request, &response));
  const auto rules = Rules();
  const uint32_t held = Guest().use_count();
  ASSERT_OK(Apply(WithLimit(600)));
  EXPECT_EQ(Guest().quota().bytes(), 600u);
  EXPECT_EQ(Guest().use_count(), held);
  EXPECT_EQ(Rules(), rules);
  EXPECT_FALSE(HasStandIn());
}

// It would drop every packet of the guests.
TEST_P(PlanQuotaChangeTest, ARuleThatDropsWhatExceedsTheQuotaKeepsIt) {
  v1::CreateRuleRequest request;
  request.mutable_rule()->set_chain("FORWARD");
  request.mutable_rule()->set_counter("guest");
  request.mutable_rule()->set_verdict(v1::VERDICT_DROP);
  request.mutable_rule()->set_id("mine");
  v1::CreateRuleResponse response;
  ASSERT_OK(Call(*server_.rule_stub, &v1::RuleService::Stub::CreateRule,
                 request, &response));
  const auto rules = Rules();
  for (const bool validate_only : {true, false}) {
    const grpc::Status status = Apply(WithoutQuota(), validate_only);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
    EXPECT_EQ(ErrorInfoOf(status).reason(), "QUOTA_OF_CAPS");
    EXPECT_EQ(ErrorInfoOf(status).metadata().at("counter"), "guest");
    EXPECT_EQ(ErrorInfoOf(status).metadata().at("rules"), "mine");
    EXPECT_EQ(Guest().quota().bytes(), 1000u);
    EXPECT_EQ(Rules(), rules);
  }
  EXPECT_OK(Apply(WithLimit(600)));
}

TEST_P(PlanQuotaChangeTest, LabelsAndDescriptionReachTheCounter) {
  v1::Plan plan = Capped();
  plan.mutable_accounts(0)->set_description("the guests' network");
  (*plan.mutable_accounts(0)->mutable_labels())["tenant"] = "b";
  EXPECT_THAT(Diff(plan).changes(0).fields(),
              ElementsAre("labels", "description"));
  ASSERT_OK(Apply(plan));
  EXPECT_EQ(Guest().description(), "the guests' network");
  EXPECT_EQ(Guest().labels().at("tenant"), "b");
  EXPECT_TRUE(Guest().managed());
  EXPECT_EQ(Diff(plan).change_count(), 0u);
  ASSERT_OK(Apply(Capped()));
  EXPECT_EQ(Guest().description(), "");
  EXPECT_TRUE(Guest().labels().empty());
}

TEST_P(PlanQuotaChangeTest, ANewCounterHasItsDescription) {
  v1::Plan plan = Capped();
  v1::Account& more = *plan.add_accounts();
  more.set_counter("dns");
  more.set_description("name servers");
  more.mutable_match()->set_protocol("tcp");
  ASSERT_OK(Apply(plan));
  EXPECT_EQ(Diff(plan).change_count(), 0u);
  v1::GetCounterRequest request;
  request.set_name("dns");
  v1::GetCounterResponse response;
  ASSERT_OK(Call(*server_.counter_stub, &v1::CounterService::Stub::GetCounter,
                 request, &response));
  EXPECT_EQ(response.counter().description(), "name servers");
}

TEST_F(PlanQuotaTest, WhatIsWrongIsNamed) {
  v1::Plan plan = Monthly("Europe/Nowhere");
  v1::PlanQuota& quota = *plan.mutable_accounts(0)->mutable_quota();
  quota.mutable_period()->set_start_day(32);
  quota.add_thresholds(80);
  quota.add_thresholds(100);
  EXPECT_THAT(WrongFieldsOf(Apply(plan)),
              ElementsAre("plan.accounts[0].quota.thresholds[2]",
                          "plan.accounts[0].quota.thresholds[3]",
                          "plan.accounts[0].quota.period.start_day",
                          "plan.accounts[0].quota.period.time_zone"));
}

}  // namespace
}  // namespace nfmeter
