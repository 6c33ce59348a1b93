// SPDX-License-Identifier: GPL-3.0-or-later
// kill -9 at every system call of a plan's application.
//
// What holds, whatever the call that was the last: the next server has the plan
// of before or the new one, whole, with its rules and counters and without
// anything of the other's rules; and an account that is in both has counted
// each packet once.
#include <memory>
#include <ostream>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "nfmeter/v1/plan.pb.h"
#include "tests/fault/fault_server.h"
#include "tests/fault/injection.h"
#include "tests/fault/iptables.h"
#include "tests/support/status_matchers.h"

namespace nfmeter {
namespace {

using ::nfmeter::testing::FaultServer;
using ::nfmeter::testing::Injection;
using ::nfmeter::testing::kCounterLane;
using ::nfmeter::testing::kRuleLane;
using ::nfmeter::testing::SendPackets;
using ::nfmeter::testing::StatusIs;
using ::testing::AnyOf;
using ::testing::Eq;

constexpr int kKilled = 128 + 9;
constexpr uint16_t kPort = 20'000;
constexpr char kPlanLane[] = "nfm-plans";

// The two plans share the account "sent"; 40 others are in one only.
v1::Plan PlanOf(const std::string& kind) {
  v1::Plan plan;
  plan.set_name("customers");
  v1::Account& sent = *plan.add_accounts();
  sent.set_counter("sent");
  sent.add_directions(v1::DIRECTION_OUT);
  sent.mutable_match()->set_protocol("udp");
  v1::AccountGroup& group = *plan.add_groups();
  group.set_key(v1::GROUP_KEY_DESTINATION);
  for (int i = 0; i < 40; ++i) {
    (*group.mutable_members())[absl::StrCat("192.0.2.", i)] =
        absl::StrCat(kind, "-", i);
  }
  return plan;
}

struct Place {
  const char* name;
  const char* thread;
  const char* call;
  friend std::ostream& operator<<(std::ostream& out, const Place& place) {
    return out << place.name;
  }
};

class PlanKillTest : public ::testing::TestWithParam<Place> {
 protected:
  static absl::Status Apply(Client& client, const v1::Plan& plan, bool dry_run,
                            uint64_t* changes = nullptr) {
    v1::ApplyPlanRequest request;
    *request.mutable_plan() = plan;
    request.set_validate_only(dry_run);
    const auto answer = client.ApplyPlan(request);
    if (answer.ok() && changes != nullptr) *changes = answer->change_count();
    return answer.status();
  }

  FaultServer server_;
};

TEST_P(PlanKillTest, LeavesTheOldPlanOrTheNewOne) {
  const Place place = GetParam();
  ASSERT_OK(server_.Start());
  ASSERT_OK(Apply(*server_.Connect(), PlanOf("old"), /*dry_run=*/false));
  uint64_t sent = 0;
  const auto send = [&] {
    ASSERT_OK(SendPackets(3, kPort, 1));
    sent += 3;
  };
  size_t kills = 0;
  for (size_t n = 1; n < 2000; n = n < 6 ? n + 1 : n * 2 + 1) {
    SCOPED_TRACE(absl::StrCat("killed at ", place.call, " ", n));
    ASSERT_OK(Apply(*server_.Connect(), PlanOf("old"), /*dry_run=*/false));
    send();
    absl::Status status;
    {
      const Injection kill(server_.pid(), place.thread,
                           absl::StrCat(place.call, ":signal=KILL:when=", n));
      ASSERT_OK(kill.status());
      status = Apply(*server_.Connect(), PlanOf("new"), /*dry_run=*/false);
      if (!status.ok()) {
        ASSERT_EQ(server_.AwaitEnd(), kKilled) << status;
      }
    }
    send();  // nobody serves, and the kernel counts on
    if (!status.ok()) {
      EXPECT_THAT(status, StatusIs(absl::StatusCode::kUnavailable));
      ++kills;
    }
    ASSERT_OK(server_.Start());
    const auto client = server_.Connect();
    send();
    const auto plan = client->GetPlan("customers");
    ASSERT_OK(plan.status());
    const std::string first = plan->plan().groups(0).members().at("192.0.2.0");
    ASSERT_THAT(first, AnyOf(Eq("old-0"), Eq("new-0")));
    uint64_t changes = 1;
    ASSERT_OK(
        Apply(*client, PlanOf(first.substr(0, 3)), /*dry_run=*/true, &changes));
    EXPECT_EQ(changes, 0u) << first;
    const auto counted = client->GetCounter("sent");
    ASSERT_OK(counted.status());
    EXPECT_EQ(counted->packets(), sent);
    if (status.ok()) break;
  }
  EXPECT_GT(kills, 0u) << "no " << place.call << " was met";
}

INSTANTIATE_TEST_SUITE_P(
    SystemCalls, PlanKillTest,
    ::testing::Values(Place{"Commit", kRuleLane, "setsockopt"},
                      Place{"Read", kRuleLane, "getsockopt"},
                      Place{"Lock", kRuleLane, "flock"},
                      Place{"Creation", kCounterLane, "sendto"},
                      Place{"Store", kPlanLane, "pwrite64"},
                      Place{"Sync", kPlanLane, "fdatasync"}),
    [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace nfmeter
