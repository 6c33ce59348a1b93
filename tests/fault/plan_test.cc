// SPDX-License-Identifier: GPL-3.0-or-later
// A plan among others who edit, flush, restore and reboot.
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <ostream>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "nfmeter/v1/plan.grpc.pb.h"
#include "nfmeter/v1/usage.grpc.pb.h"
#include "tests/fault/fault_server.h"
#include "tests/fault/firewall.h"
#include "tests/fault/iptables.h"
#include "tests/support/eventually.h"
#include "tests/support/status_matchers.h"
#include "tests/support/subprocess.h"
#include "tests/system/nfmeterd_process.h"

namespace nfmeter {
namespace {

using ::nfmeter::testing::FaultServer;
using ::nfmeter::testing::Firewall;
using ::nfmeter::testing::FirewallKind;
using ::nfmeter::testing::Iptables;
using ::nfmeter::testing::kPort;
using ::nfmeter::testing::SendPackets;
using ::nfmeter::testing::StatusIs;
using ::testing::HasSubstr;

// Between two comparisons, and what a busy host adds.
constexpr absl::Duration kReconciled = absl::Seconds(20);

// All UDP to loopback into "sent", and some addresses that nobody sends to.
v1::Plan PlanOf(int addresses) {
  v1::Plan plan;
  plan.set_name("customers");
  v1::Account& sent = *plan.add_accounts();
  sent.set_counter("sent");
  sent.add_directions(v1::DIRECTION_OUT);
  sent.mutable_match()->set_protocol("udp");
  v1::AccountGroup& group = *plan.add_groups();
  group.set_key(v1::GROUP_KEY_DESTINATION);
  group.add_directions(v1::DIRECTION_OUT);
  for (int i = 1; i <= addresses; ++i) {
    (*group.mutable_members())[absl::StrCat("192.0.2.", i)] =
        absl::StrCat("quiet-", i);
  }
  return plan;
}

class PlanBesideOthers : public ::testing::Test {
 protected:
  explicit PlanBesideOthers(const FirewallKind& kind)
      : addresses_(absl::string_view(kind.backend) == "nftables" ? 10 : 1),
        firewall_(kind.make()),
        server_({.arguments = {"--backend", kind.backend}}) {}

  void SetUp() override {
    std::ofstream(boot_id_) << "first\n";
    setenv("NFMETER_BOOT_ID_FILE", boot_id_.c_str(), 1);
    ASSERT_OK(server_.Start());
    client_ = server_.Connect();
    ASSERT_OK(Apply(ThePlan()).status());
  }
  v1::Plan ThePlan() const { return PlanOf(addresses_); }
  absl::StatusOr<v1::ApplyPlanResponse> Apply(const v1::Plan& plan,
                                              const CallOptions& how = {}) {
    v1::ApplyPlanRequest request;
    *request.mutable_plan() = plan;
    return client_->ApplyPlan(request, how);
  }
  v1::PlanStatus Status() {
    const auto status = client_->GetPlanStatus("customers");
    EXPECT_OK(status.status());
    return status.ok() ? *status : v1::PlanStatus();
  }
  std::vector<std::string> Theirs() const {
    return firewall_->ForeignRules(/*with_counters=*/false);
  }
  // What differs from the plan now.
  uint64_t Differences() {
    v1::ApplyPlanRequest request;
    *request.mutable_plan() = ThePlan();
    request.set_validate_only(true);
    const auto answer = client_->ApplyPlan(request);
    EXPECT_OK(answer.status());
    return answer.ok() ? answer->change_count() : UINT64_MAX;
  }
  // Until more than `repairs` have been made; how long it took.
  absl::Duration AwaitRepair(uint64_t repairs) {
    const absl::Time begin = absl::Now();
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(begin + absl::Minutes(1)));
    const auto stream =
        v1::PlanService::NewStub(
            grpc::CreateChannel(server_.target(),
                                grpc::InsecureChannelCredentials()))
            ->WatchPlanStatus(&context, v1::WatchPlanStatusRequest());
    v1::WatchPlanStatusResponse response;
    while (stream->Read(&response) && response.status().repairs() <= repairs) {
    }
    EXPECT_GT(response.status().repairs(), repairs);
    context.TryCancel();
    return absl::Now() - begin;
  }
  // In which rules of the counter were missing.
  std::vector<v1::UsageGap> Gaps(const std::string& counter) {
    grpc::ClientContext context;
    v1::ListGapsRequest request;
    v1::ListGapsResponse response;
    EXPECT_OK(v1::UsageService::NewStub(
                  grpc::CreateChannel(server_.target(),
                                      grpc::InsecureChannelCredentials()))
                  ->ListGaps(&context, request, &response));
    std::vector<v1::UsageGap> gaps;
    for (const v1::UsageGap& gap : response.gaps()) {
      if (gap.counter() == counter &&
          gap.cause() == v1::USAGE_GAP_CAUSE_RULES_MISSING) {
        gaps.push_back(gap);
      }
    }
    return gaps;
  }
  uint64_t Packets(const std::string& counter) {
    const auto read = client_->GetCounter(counter);
    EXPECT_OK(read.status());
    return read.ok() ? read->packets() : 0;
  }
  uint64_t TotalPackets(const std::string& counter) {
    const auto read = client_->GetCounter(counter);
    EXPECT_OK(read.status());
    return read.ok() ? read->total_packets() : 0;
  }

  testing::TemporaryDirectory dir_;
  const std::string boot_id_ = dir_ / "boot_id";
  const int addresses_;  // enough for a map where there are maps
  const std::unique_ptr<Firewall> firewall_;
  FaultServer server_;
  std::unique_ptr<Client> client_;
};

class PlanInSameTableTest : public PlanBesideOthers,
                            public ::testing::WithParamInterface<FirewallKind> {
 protected:
  PlanInSameTableTest() : PlanBesideOthers(GetParam()) {}
};

INSTANTIATE_TEST_SUITE_P(Firewalls, PlanInSameTableTest,
                         ::testing::Values(testing::kIptables,
                                           testing::kNftables,
                                           testing::kPlainNftables),
                         [](const auto& info) { return info.param.name; });

TEST_P(PlanInSameTableTest, NeitherSideLosesRules) {
  ASSERT_OK(firewall_->Count(kPort));
  std::atomic<bool> stop = false;
  uint64_t sent = 0;
  absl::Status sending;
  std::thread sender([&] {
    while (!stop && sending.ok()) {
      sending = SendPackets(10, kPort, 1);
      sent += 10;
    }
  });
  std::vector<std::string> theirs;
  absl::Status editing;
  std::atomic<int> edits = 0;
  std::thread other([&] {
    for (int i = 0; !stop && editing.ok(); ++i) {
      const std::string address =
          absl::StrCat("198.18.", i / 256, ".", i % 256);
      editing = firewall_->Add(address);
      theirs.push_back(firewall_->Adding(address));
      ++edits;
    }
  });
  v1::Plan plan = ThePlan();
  absl::Status applied;
  for (int i = 0; (i < 20 || edits < 10) && i < 200 && applied.ok(); ++i) {
    (*plan.mutable_groups(0)->mutable_members())[absl::StrCat("192.0.2.", i)] =
        absl::StrCat("quiet-", i);
    applied.Update(Apply(plan).status());
  }
  stop = true;
  other.join();
  sender.join();
  ASSERT_OK(applied);
  ASSERT_OK(editing);
  ASSERT_OK(sending);
  const std::string seen = firewall_->Counting(kPort);
  std::vector<std::string> foreign = Theirs();
  std::erase_if(foreign, [&](const std::string& rule) {
    return absl::StrContains(rule, seen);
  });
  EXPECT_EQ(foreign, theirs);
  EXPECT_EQ(firewall_->RulePackets(seen), sent);
  EXPECT_EQ(Packets("sent"), sent);
  EXPECT_EQ(Apply(plan)->change_count(), 0u);
}

// What somebody does to a plan's rules; {CHAIN} is the plan's chain, {MAP} its
// map.
struct PlanDeed {
  const char* name;
  FirewallKind kind;
  std::vector<std::string> commands;
  friend std::ostream& operator<<(std::ostream& out, const PlanDeed& deed) {
    return out << deed.kind << " " << deed.name;
  }
};

class PlanDeedTest : public PlanBesideOthers,
                     public ::testing::WithParamInterface<PlanDeed> {
 protected:
  PlanDeedTest() : PlanBesideOthers(GetParam().kind) {}
};

TEST_P(PlanDeedTest, IsHealedCountsAreKeptAndTheWindowIsTold) {
  ASSERT_OK(firewall_->Add("192.0.2.99"));
  ASSERT_OK(SendPackets(7, kPort, 1));
  const std::string chain = firewall_->PlanChain();
  const absl::Time before = absl::Now();
  for (const std::string& command : GetParam().commands) {
    ASSERT_OK(firewall_->Do(absl::StrReplaceAll(
        command, {{"{CHAIN}", chain}, {"{MAP}", firewall_->PlanMap()}})));
  }
  const std::vector<std::string> theirs = Theirs();
  EXPECT_LT(AwaitRepair(0), kReconciled);
  ASSERT_OK(SendPackets(5, kPort, 1));
  EXPECT_EQ(Packets("sent"), 12u);
  EXPECT_EQ(Theirs(), theirs);
  EXPECT_EQ(Differences(), 0u);
  const v1::PlanStatus status = Status();
  EXPECT_EQ(status.repairs(), 1u);
  // Somewhere in it: the last comparison that found all well came before.
  EXPECT_LE(status.missed_from().seconds(), absl::ToUnixSeconds(before) + 1);
  EXPECT_GE(status.missed_to().seconds(), absl::ToUnixSeconds(before));
}

std::vector<PlanDeed> Deeds() {
  const FirewallKind& xt = testing::kIptables;
  const FirewallKind& nft = testing::kPlainNftables;
  return {{"Flush", xt, {"-F"}},
          {"FlushAndDeleteChains", xt, {"-F", "-X"}},
          {"FlushOfTheChain", xt, {"-F {CHAIN}"}},
          {"DeletedJump", xt, {"-D OUTPUT -j {CHAIN}"}},
          {"RuleAmongOurs", xt, {"-I {CHAIN} -d 192.0.2.1 -j RETURN"}},
          {"RuleBeforeTheJump", xt, {"-I OUTPUT -d 192.0.2.7 -j ACCEPT"}},
          {"Flush", nft, {"flush table inet nfmeter"}},
          {"FlushOfTheChain", nft, {"flush chain inet nfmeter {CHAIN}"}},
          {"DeletedChain", nft, {"delete chain inet nfmeter {CHAIN}"}},
          {"FlushOfTheMap", nft, {"flush map inet nfmeter {MAP}"}},
          {"DeletedElement",
           nft,
           {"delete element inet nfmeter {MAP} { 192.0.2.1 }"}},
          {"OtherElement",
           nft,
           {"add element inet nfmeter {MAP} { 192.0.2.77 : \"c.sent\" }"}},
          {"RuleAmongOurs",
           nft,
           {"insert rule inet nfmeter {CHAIN} ip daddr 192.0.2.1 return"}}};
}

INSTANTIATE_TEST_SUITE_P(Others, PlanDeedTest, ::testing::ValuesIn(Deeds()),
                         [](const auto& info) {
                           return absl::StrCat(info.param.kind.name, "_",
                                               info.param.name);
                         });

// What iptables alone has: a lock, tables that are restored whole.
class PlanFaultTest : public PlanBesideOthers {
 protected:
  PlanFaultTest() : PlanBesideOthers(testing::kIptables) {}
};

// Somebody puts back a firewall that was saved before the plan, again and
// again, as tools do that know only their own rules.
TEST_F(PlanFaultTest, OutlivesAStormOfRestores) {
  ASSERT_OK(Iptables("-A OUTPUT -d 192.0.2.99/32 -j ACCEPT"));
  const std::string theirs =
      "*filter\n:OUTPUT ACCEPT [0:0]\n-A OUTPUT -d 192.0.2.99/32 -j ACCEPT\n"
      "COMMIT\n";
  constexpr int kRestores = 20;
  const absl::Time begin = absl::Now();
  uint64_t sent = 0;
  for (int i = 0; i < kRestores; ++i) {
    const testing::RunResult restored =
        testing::Run({"iptables-legacy-restore", "-w", "60"}, theirs);
    ASSERT_EQ(restored.exit_code, 0) << restored.err;
    ASSERT_OK(SendPackets(5, kPort, 1));
    sent += 5;
  }
  const absl::Time end = absl::Now();
  // Whoever keeps fighting is not fought at any price, and that is said.
  const uint64_t repairs = Status().repairs();
  EXPECT_LT(repairs, static_cast<uint64_t>(kRestores));
  EXPECT_TRUE(testing::Eventually([&] { return Differences() == 0; },
                                  absl::Seconds(90)));
  EXPECT_GT(Status().repairs(), 0u);
  EXPECT_EQ(Theirs(),
            std::vector<std::string>{"-A OUTPUT -d 192.0.2.99/32 -j ACCEPT"});
  const uint64_t before = Packets("sent");
  EXPECT_LE(before, sent);
  ASSERT_OK(SendPackets(7, kPort, 1));
  EXPECT_EQ(Packets("sent"), before + 7);
  // What may be missing lies in declared windows, which reach over the storm.
  const v1::PlanStatus status = Status();
  EXPECT_GE(
      absl::FromUnixSeconds(status.missed_to().seconds()) + absl::Seconds(1),
      begin);
  EXPECT_THAT(Gaps("sent"), ::testing::SizeIs(::testing::Ge(1u)));
  EXPECT_LE(Gaps("sent").front().start_time().seconds(),
            absl::ToUnixSeconds(end));
}

TEST_F(PlanFaultTest, ZeroedRuleCountersAreNothingToRepair) {
  ASSERT_OK(SendPackets(7, kPort, 1));
  ASSERT_OK(Iptables("-Z"));
  ASSERT_OK(SendPackets(5, kPort, 1));
  EXPECT_EQ(Differences(), 0u);
  EXPECT_EQ(Status().repairs(), 0u);
  EXPECT_EQ(Packets("sent"), 12u);
}

TEST_F(PlanFaultTest, AnApplyEndsAtItsDeadlineWhileTheLockIsHeld) {
  v1::Plan more = ThePlan();
  more.add_accounts()->set_counter("late");
  {
    const int lock =
        open(getenv("XTABLES_LOCKFILE"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    ASSERT_EQ(flock(lock, LOCK_EX), 0);
    absl::Status status;
    // The client's own deadline may be faster on a busy host.
    for (int i = 0; i < 10 && ErrorReason(status).empty(); ++i) {
      status = Apply(more, {.timeout = absl::Seconds(1)}).status();
      ASSERT_FALSE(status.ok());
    }
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kUnavailable,
                                 HasSubstr("xtables lock")));
    // Reads and snapshots go on, and the plan of before is in force.
    EXPECT_OK(client_->GetSnapshot().status());
    ASSERT_OK(SendPackets(4, kPort, 1));
    EXPECT_EQ(Packets("sent"), 4u);
    EXPECT_EQ(Differences(), 0u);
    EXPECT_THAT(client_->GetCounter("late").status(),
                StatusIs(absl::StatusCode::kNotFound));
    close(lock);
  }
  EXPECT_OK(Apply(more).status());
}

// A boot: nothing is in the kernel, and a saved firewall names our objects.
TEST_F(PlanFaultTest, AfterARebootASavedFirewallIsRestoredAndThePlanGoesOn) {
  v1::Counter capped;
  capped.set_name("capped");
  capped.mutable_quota()->set_bytes(1'000'000);
  v1::CreateCounterRequest create;
  *create.mutable_counter() = capped;
  ASSERT_OK(client_->CreateCounter(create).status());
  ASSERT_OK(
      Iptables("-A OUTPUT -d 192.0.2.50 -m nfacct --nfacct-name capped "
               "-j DROP"));
  ASSERT_OK(SendPackets(7, kPort, 1));
  const std::string saved = testing::Run({"iptables-legacy-save"}).out;
  // In the ledger.
  ASSERT_OK(client_->ResetCounter("sent").status());
  ASSERT_EQ(server_.process().Stop(), 0);

  ASSERT_OK(Iptables("-F"));
  ASSERT_OK(Iptables("-X"));
  ASSERT_EQ(testing::Run({"ip6tables-legacy", "-F"}).exit_code, 0);
  ASSERT_EQ(testing::Run({"ip6tables-legacy", "-X"}).exit_code, 0);
  ASSERT_EQ(testing::Run({"nfacct", "flush"}).exit_code, 0);
  std::ofstream(boot_id_) << "second\n";
  const auto restore = [&] {
    return testing::Run({"iptables-legacy-restore", "-w", "60"}, saved);
  };
  ASSERT_NE(restore().exit_code, 0) << "it does not need our objects";

  const testing::RunResult objects =
      testing::Run({testing::NfmeterdPath(), "--restore-objects", "--config",
                    "/dev/null", "--state-dir", server_.state_dir()});
  EXPECT_EQ(objects.exit_code, 0) << objects.err;
  EXPECT_THAT(objects.out, HasSubstr("counters made: 3"));
  const testing::RunResult restored = restore();
  ASSERT_EQ(restored.exit_code, 0) << restored.err;
  // With its quota, or the rule would drop everything.
  EXPECT_THAT(testing::Run({"nfacct", "get", "capped"}).out,
              HasSubstr("1000000"));

  ASSERT_OK(server_.Start());
  client_ = server_.Connect();
  EXPECT_EQ(Status().state(), v1::PlanStatus::STATE_IN_SYNC);
  EXPECT_EQ(Differences(), 0u);
  ASSERT_OK(SendPackets(5, kPort, 1));
  EXPECT_EQ(Packets("sent"), 5u);
  EXPECT_EQ(TotalPackets("sent"), 12u);
  grpc::ClientContext context;
  v1::ListGapsResponse gaps;
  ASSERT_OK(v1::UsageService::NewStub(
                grpc::CreateChannel(server_.target(),
                                    grpc::InsecureChannelCredentials()))
                ->ListGaps(&context, {}, &gaps));
  EXPECT_THAT(gaps.DebugString(), HasSubstr("USAGE_GAP_CAUSE_REBOOT"));
}

}  // namespace
}  // namespace nfmeter
