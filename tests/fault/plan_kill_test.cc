// SPDX-License-Identifier: GPL-3.0-or-later
// kill -9 at every system call of a plan's application, on both backends; of
// one that changes quotas, too, and of one that is larger than a transaction of
// nf_tables may be.
//
// What holds, whatever the call that was the last: the next server has the plan
// of before or the new one, whole, with its rules and counters and without
// anything of the other's rules; and an account that is in both has counted
// each packet once, whatever became of its quota.
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"
#include "nfmeter/v1/plan.pb.h"
#include "tests/fault/fault_server.h"
#include "tests/fault/firewall.h"
#include "tests/fault/injection.h"
#include "tests/fault/iptables.h"
#include "tests/support/status_matchers.h"

namespace nfmeter {
namespace {

using ::nfmeter::testing::FaultServer;
using ::nfmeter::testing::Firewall;
using ::nfmeter::testing::FirewallKind;
using ::nfmeter::testing::Injection;
using ::nfmeter::testing::kCounterLane;
using ::nfmeter::testing::kKilled;
using ::nfmeter::testing::kPort;
using ::nfmeter::testing::kRuleLane;
using ::nfmeter::testing::SendPackets;
using ::nfmeter::testing::StatusIs;
using ::nfmeter::testing::SweepPoints;
using ::testing::AnyOf;
using ::testing::Eq;
using ::testing::StartsWith;

constexpr char kPlanLane[] = "nfm-plans";
constexpr int kMembers = 40;
// Their elements alone are more than twice the send buffer, which has at least
// twice this (sock_setsockopt()).
constexpr int kSplitMembers = 1'500;
constexpr char kSendBufferBytes[] = "16384";
constexpr uint64_t kFar = uint64_t{1} << 40;

// The accounts of all that is sent, which both plans have, and whose quotas
// change where a sweep changes quotas.
constexpr const char* kSent[] = {"other-quota", "first-quota", "no-quota-more"};

// What the quota of such an account is; 0: none.
uint64_t QuotaOf(const std::string& account, const std::string& kind) {
  if (account == "other-quota") return kind == "old" ? kFar : 2 * kFar;
  return (account == "first-quota") == (kind == "new") ? kFar : 0;
}

// `members` accounts are in one of the plans only.
v1::Plan PlanOf(const std::string& kind, bool quotas, int members) {
  v1::Plan plan;
  plan.set_name("customers");
  for (const char* name : kSent) {
    v1::Account& sent = *plan.add_accounts();
    sent.set_counter(name);
    sent.add_directions(v1::DIRECTION_OUT);
    sent.mutable_match()->set_protocol("udp");
    const uint64_t quota = quotas ? QuotaOf(name, kind) : 0;
    if (quota > 0) sent.mutable_quota()->set_bytes(quota);
  }
  v1::AccountGroup& group = *plan.add_groups();
  group.set_key(v1::GROUP_KEY_DESTINATION);
  for (int i = 0; i < members; ++i) {
    (*group.mutable_members())[absl::StrCat("198.18.", i / 256, ".", i % 256)] =
        absl::StrCat(kind, "-", i);
  }
  return plan;
}

struct Place {
  FirewallKind kind;
  bool quotas;
  const char* thread;
  const char* call;
  bool split = false;  // in several transactions
  friend std::ostream& operator<<(std::ostream& out, const Place& place) {
    return out << place.kind << " " << place.thread << " " << place.call;
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
  static v1::Plan Plan(const std::string& kind) {
    return PlanOf(kind, GetParam().quotas,
                  GetParam().split ? kSplitMembers : kMembers);
  }

  void Send() {
    ASSERT_OK(SendPackets(3, kPort, 1));
    sent_ += 3;
  }
  // The old plan or the new one, whole, and each packet once.
  void ExpectOneOfBoth(Client& client) {
    const auto plan = client.GetPlan("customers");
    ASSERT_OK(plan.status());
    const std::string first = plan->plan().groups(0).members().at("198.18.0.0");
    ASSERT_THAT(first, AnyOf(Eq("old-0"), Eq("new-0")));
    const std::string kind = first.substr(0, 3);
    uint64_t changes = 1;
    ASSERT_OK(Apply(client, Plan(kind), /*dry_run=*/true, &changes));
    EXPECT_EQ(changes, 0u) << kind << ": "
                           << client.GetPlanStatus("customers")->DebugString();
    for (const char* name : kSent) {
      const auto counted = client.GetCounter(name);
      ASSERT_OK(counted.status());
      EXPECT_EQ(counted->total_packets(), sent_) << name;
      EXPECT_EQ(counted->total_bytes(), sent_ * testing::kPacketBytes) << name;
      if (GetParam().quotas) {
        EXPECT_EQ(counted->quota().bytes(), QuotaOf(name, kind)) << name;
      }
    }
    // Nothing is told of what has all been counted; but of stand-ins that were
    // being read when the server ended.
    const auto gaps = client.ListGaps();
    ASSERT_OK(gaps.status());
    for (const v1::UsageGap& gap : gaps->gaps()) {
      if (gap.cause() == v1::USAGE_GAP_CAUSE_INTERRUPTED_RESET) {
        EXPECT_EQ(GetParam().thread, std::string(kCounterLane))
            << gap.DebugString();
        continue;
      }
      EXPECT_THAT(gap.counter(), AnyOf(StartsWith("old-"), StartsWith("new-")))
          << gap.DebugString();
    }
  }

  static std::unique_ptr<Firewall> MakeFirewall() {
    std::unique_ptr<Firewall> firewall = GetParam().kind.make();
    if (GetParam().split) {
      setenv("LD_PRELOAD", NETLINK_LACK_LIBRARY, 1);
      setenv("NETLINK_LACK_SEND_BUFFER", kSendBufferBytes, 1);
    }
    return firewall;
  }

  const std::unique_ptr<Firewall> firewall_ = MakeFirewall();
  FaultServer server_{{.arguments = {"--backend", GetParam().kind.backend}}};
  uint64_t sent_ = 0;
};

TEST_P(PlanKillTest, LeavesTheOldPlanOrTheNewOne) {
  const Place place = GetParam();
  ASSERT_OK(server_.Start());
  size_t kills = 0;
  SweepPoints points;
  for (;;) {
    const size_t n = points.Next();
    SCOPED_TRACE(absl::StrCat("killed at ", place.call, " ", n));
    ASSERT_OK(Apply(*server_.Connect(), Plan("old"), /*dry_run=*/false));
    ASSERT_NO_FATAL_FAILURE(Send());
    absl::Status status;
    {
      const Injection kill(server_.pid(), place.thread,
                           absl::StrCat(place.call, ":signal=KILL:when=", n));
      ASSERT_OK(kill.status());
      status = Apply(*server_.Connect(), Plan("new"), /*dry_run=*/false);
      if (!status.ok()) {
        ASSERT_EQ(server_.AwaitEnd(), kKilled) << status;
      }
    }
    // Nobody serves, and the kernel counts on.
    ASSERT_NO_FATAL_FAILURE(Send());
    if (!status.ok()) {
      EXPECT_THAT(status, StatusIs(absl::StatusCode::kUnavailable));
      ++kills;
    }
    ASSERT_OK(server_.Start());
    ASSERT_NO_FATAL_FAILURE(Send());
    ExpectOneOfBoth(*server_.Connect());
    if (status.ok() || HasFatalFailure()) break;
  }
  EXPECT_GT(kills, 0u) << "no " << place.call << " was met";
}

std::vector<Place> Places() {
  std::vector<Place> places;
  for (const bool quotas : {false, true}) {
    const auto add = [&](const FirewallKind& kind, const char* thread,
                         const char* call) {
      places.push_back({kind, quotas, thread, call});
    };
    for (const FirewallKind& kind : {testing::kIptables, testing::kNftables}) {
      add(kind, kCounterLane, "sendto");
      add(kind, kPlanLane, "pwrite64");
      add(kind, kPlanLane, "fdatasync");
    }
    add(testing::kIptables, kRuleLane, "setsockopt");
    add(testing::kIptables, kRuleLane, "getsockopt");
    add(testing::kIptables, kRuleLane, "flock");
    add(testing::kNftables, kRuleLane, "sendto");
    add(testing::kNftables, kRuleLane, "recvmsg");
    add(testing::kPlainNftables, kRuleLane, "sendto");
  }
  for (const FirewallKind& kind :
       {testing::kNftables, testing::kPlainNftables}) {
    places.push_back({kind, false, kRuleLane, "sendto", /*split=*/true});
  }
  return places;
}

INSTANTIATE_TEST_SUITE_P(
    SystemCalls, PlanKillTest, ::testing::ValuesIn(Places()),
    [](const auto& info) {
      const Place& place = info.param;
      const std::string thread = absl::StrReplaceAll(place.thread, {{"-", ""}});
      return absl::StrCat(place.kind.name,
                          place.quotas  ? "Quotas_"
                          : place.split ? "Split_"
                                        : "_",
                          thread, "_", place.call);
    });

}  // namespace
}  // namespace nfmeter
