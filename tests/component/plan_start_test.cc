// SPDX-License-Identifier: GPL-3.0-or-later
// What plans may have missed is told after a start, too.
#include <memory>
#include <string>

#include "gmock/gmock.h"
#include "nfmeter/v1/plan.pb.h"
#include "tests/component/component_server.h"
#include "tests/support/status_matchers.h"
#include "tests/support/subprocess.h"

namespace nfmeter {
namespace {

using ::nfmeter::testing::Call;
using ::nfmeter::testing::ComponentServer;
using ::nfmeter::testing::TemporaryDirectory;

using PlanStub = v1::PlanService::Stub;

// A server that starts again finds a kernel that has nothing, as after a boot.
class PlanStartTest : public ::testing::Test {
 protected:
  PlanStartTest() { Start(); }
  void Start() {
    server_ = nullptr;
    ComponentServer::Options options;
    options.later = passed_;
    options.domain.plans_path = files_ / "plans.db";
    options.domain.ledger.path = files_ / "ledger.db";
    server_ = std::make_unique<ComponentServer>(options);
  }
  void Pass(absl::Duration time) {
    passed_ += time;
    server_->Advance(time);
  }
  // Between the end of a server and the next start.
  void Off(absl::Duration time) { passed_ += time; }
  // A record of the ledger.
  absl::Time Record() {
    const absl::Time now = server_->clock.WallTime();
    server_->domain->ledger().NoteGap(
        "other", accounting::GapCause::kForeignReset, now, now);
    EXPECT_OK(server_->domain->ledger().Commit());
    return now;
  }
  void Apply() {
    v1::ApplyPlanRequest request;
    request.mutable_plan()->set_name("all");
    request.mutable_plan()->add_accounts()->set_counter("web");
    v1::ApplyPlanResponse response;
    ASSERT_TRUE(
        Call(*server_->plan_stub, &PlanStub::ApplyPlan, request, &response)
            .ok());
  }
  void Flush() {
    for (const auto family : kernel::kAllFamilies) {
      server_->rule_table.Flush(family, kernel::Table::kFilter);
    }
  }
  accounting::PlanStatus Status() {
    return *server_->domain->plans().Status("all");
  }

  TemporaryDirectory files_;
  absl::Duration passed_;
  std::unique_ptr<ComponentServer> server_;
};

// Not when the plan was applied, which may have been months ago.
TEST_F(PlanStartTest, TheWindowBeginsWithTheLastLookBefore) {
  Apply();
  Pass(absl::Hours(1));
  const absl::Time last = Record();
  Off(absl::Minutes(10));
  Start();
  EXPECT_EQ(Status().repairs, 1u);
  EXPECT_EQ(Status().missed_from, last - ComponentServer::kLookInterval);
  EXPECT_EQ(Status().missed_to, last + absl::Minutes(10));
}

TEST_F(PlanStartTest, ThePlanMayHaveBeenAppliedAfterThat) {
  Record();
  Pass(absl::Hours(1));
  Apply();
  const absl::Time applied = server_->clock.WallTime();
  Off(absl::Minutes(10));
  Start();
  EXPECT_EQ(Status().missed_from, applied);
}

TEST_F(PlanStartTest, OfAPlanThatWasNotWellItBeginsWhenItLastWas) {
  Apply();
  absl::Time repaired;
  for (int i = 0; i < 3; ++i) {
    Flush();
    Pass(ComponentServer::kLookInterval);
    repaired = server_->clock.WallTime();
  }
  ASSERT_EQ(Status().state, accounting::PlanStatus::State::kFought);
  // Nobody looks until the pause is over.
  Pass(absl::Seconds(9));
  Record();
  Start();
  EXPECT_EQ(Status().missed_from, repaired);
  // That is told now, and well.
  Pass(absl::Hours(1));
  const absl::Time last = Record();
  Start();
  EXPECT_EQ(Status().missed_from, last - ComponentServer::kLookInterval);
}

}  // namespace
}  // namespace nfmeter
