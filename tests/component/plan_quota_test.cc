// SPDX-License-Identifier: GPL-3.0-or-later
// Quotas of plans over time: thresholds that tell, periods that start anew.
#include <memory>
#include <string>

#include "absl/time/civil_time.h"
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
  grpc::Status Apply(const v1::Plan& plan) {
    v1::ApplyPlanRequest request;
    *request.mutable_plan() = plan;
    v1::ApplyPlanResponse response;
    return Call(*server_.plan_stub, &Stub::ApplyPlan, request, &response);
  }
  void Look() {
    server_.clock.Advance(absl::Seconds(5));
    server_.domain->plans().LookNow();
  }
  void GoTo(absl::Time time) {
    server_.clock.Advance(time - server_.clock.WallTime());
    server_.domain->plans().LookNow();
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
  ASSERT_TRUE(Apply(Capped()).ok());
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

TEST_F(PlanQuotaTest, AfterAResetTheyAreToldAgain) {
  ASSERT_TRUE(Apply(Capped()).ok());
  Events events(server_);
  Pass(600);
  Look();
  EXPECT_EQ(events.Next().threshold_percent(), 50u);
  v1::ResetCounterRequest reset;
  reset.set_name("guest");
  v1::ResetCounterResponse response;
  ASSERT_TRUE(Call(*server_.counter_stub,
                   &v1::CounterService::Stub::ResetCounter, reset, &response)
                  .ok());
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
  ASSERT_TRUE(Apply(Monthly("Europe/Berlin")).ok());
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

TEST_F(PlanQuotaTest, ANewPeriodForgetsNothingOfTheTotals) {
  ASSERT_TRUE(Apply(Monthly("")).ok());
  Pass(700);
  GoTo(server_.clock.WallTime() + absl::Hours(24 * 32));
  EXPECT_EQ(Bytes(), 0u);
  v1::GetCounterRequest request;
  request.set_name("guest");
  v1::GetCounterResponse response;
  ASSERT_TRUE(Call(*server_.counter_stub, &v1::CounterService::Stub::GetCounter,
                   request, &response)
                  .ok());
  EXPECT_EQ(response.counter().total_bytes(), 700u);
}

TEST_F(PlanQuotaTest, ApplyingThePlanAgainStartsNothingAnew) {
  ASSERT_TRUE(Apply(Monthly("")).ok());
  Pass(700);
  v1::Plan changed = Monthly("");
  changed.mutable_accounts(0)->set_description("guests");
  ASSERT_TRUE(Apply(changed).ok());
  Look();
  EXPECT_EQ(Bytes(), 700u);
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
