// SPDX-License-Identifier: GPL-3.0-or-later
// Plans on the real kernel: real packets to hundreds of addresses, others that
// flush, and a server that starts again.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <thread>

#include "absl/functional/function_ref.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "nfmeter/v1/counter.grpc.pb.h"
#include "nfmeter/v1/plan.grpc.pb.h"
#include "nfmeter/v1/usage.grpc.pb.h"
#include "tests/support/eventually.h"
#include "tests/support/status_matchers.h"
#include "tests/system/nfmeterd_process.h"

namespace nfmeter {
namespace {

using ::nfmeter::testing::NfmeterdProcess;
using ::nfmeter::testing::TemporaryDirectory;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr int kAddresses = 300;

// 127.1.0.0/16 and fd00::/64, all of them ours.
std::string V4(int i) {
  return absl::StrCat("127.1.", i / 250, ".", i % 250 + 1);
}
std::string V6(int i) { return absl::StrCat("fd00::", absl::Hex(i + 1)); }

// `from`: empty for what the kernel takes; else of IPv4.
void SendTo(const std::string& address, int packets,
            const std::string& from = "") {
  const bool v4 = address.find(':') == std::string::npos;
  const int fd = socket(v4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (!from.empty()) {
    sockaddr_in from4 = {.sin_family = AF_INET};
    ASSERT_EQ(inet_pton(AF_INET, from.c_str(), &from4.sin_addr), 1);
    ASSERT_EQ(
        bind(fd, reinterpret_cast<const sockaddr*>(&from4), sizeof(from4)), 0);
  }
  sockaddr_in to4 = {.sin_family = AF_INET, .sin_port = htons(9)};
  sockaddr_in6 to6 = {.sin6_family = AF_INET6, .sin6_port = htons(9)};
  const auto* to = reinterpret_cast<const sockaddr*>(&to4);
  socklen_t size = sizeof(to4);
  if (v4) {
    ASSERT_EQ(inet_pton(AF_INET, address.c_str(), &to4.sin_addr), 1);
  } else {
    ASSERT_EQ(inet_pton(AF_INET6, address.c_str(), &to6.sin6_addr), 1);
    to = reinterpret_cast<const sockaddr*>(&to6);
    size = sizeof(to6);
  }
  for (int i = 0; i < packets; ++i) {
    ASSERT_EQ(sendto(fd, "x", 1, 0, to, size), 1) << address << strerror(errno);
  }
  close(fd);
}

v1::Plan PerAddress() {
  v1::Plan plan;
  plan.set_name("customers");
  v1::AccountGroup& group = *plan.add_groups();
  group.set_key(v1::GROUP_KEY_DESTINATION);
  group.add_directions(v1::DIRECTION_OUT);
  // Not the ICMP errors that come back to our own address.
  group.mutable_match()->set_protocol("udp");
  for (int i = 0; i < kAddresses; ++i) {
    (*group.mutable_members())[V4(i)] = absl::StrCat("v4-", i);
    (*group.mutable_members())[V6(i)] = absl::StrCat("v6-", i);
  }
  v1::AccountGroup& nets = *plan.add_groups();
  nets.set_key(v1::GROUP_KEY_DESTINATION);
  nets.add_directions(v1::DIRECTION_OUT);
  nets.mutable_match()->set_protocol("udp");
  (*nets.mutable_members())["127.1.0.0/16"] = "all-v4";
  return plan;
}

// On both backends.
class PlanTest : public ::testing::TestWithParam<std::string> {
 protected:
  static bool OnNftables() { return GetParam() == "nftables"; }
  static std::string Sh(const std::string& command) {
    const auto result = testing::Run({"sh", "-c", command});
    EXPECT_EQ(result.exit_code, 0) << command << ": " << result.err;
    return result.out;
  }
  // A rule of somebody else's.
  static void AddForeignRule() {
    Sh(OnNftables() ? "nft 'add table inet other; add chain inet other out; "
                      "add rule inet other out ip daddr 192.0.2.1 accept'"
                    : "iptables-legacy -w -A OUTPUT -d 192.0.2.1 -j ACCEPT");
  }
  // All rules, with their own counters.
  static std::string Saved() {
    return Sh(OnNftables() ? "nft list ruleset" : "iptables-legacy-save -c");
  }

  void SetUp() override {
    ASSERT_EQ(
        testing::Run({"ip", "-6", "address", "add", "fd00::1/64", "dev", "lo"})
            .exit_code,
        0);
    ASSERT_EQ(testing::Run({"ip", "-6", "route", "add", "local", "fd00::/64",
                            "dev", "lo"})
                  .exit_code,
              0);
    Start();
  }
  void Start() {
    server_ = std::make_unique<NfmeterdProcess>(NfmeterdProcess::Options{
        .arguments = {"--backend", GetParam()}, .state_dir = state_ / "state"});
    ASSERT_OK(server_->WaitUntilReady());
    counters_ = v1::CounterService::NewStub(server_->Channel());
    plans_ = v1::PlanService::NewStub(server_->Channel());
  }

  v1::ApplyPlanResponse Apply(const v1::Plan& plan) {
    grpc::ClientContext context;
    v1::ApplyPlanRequest request;
    *request.mutable_plan() = plan;
    // Each server of the test has a socket of its own, and so another caller.
    request.set_take_over(true);
    v1::ApplyPlanResponse response;
    const grpc::Status status = plans_->ApplyPlan(&context, request, &response);
    EXPECT_OK(status);
    return response;
  }
  std::map<std::string, uint64_t> Packets() {
    grpc::ClientContext context;
    v1::ListCountersRequest request;
    request.set_page_size(10'000);
    v1::ListCountersResponse response;
    EXPECT_OK(counters_->ListCounters(&context, request, &response));
    EXPECT_EQ(response.next_page_token(), "");
    std::map<std::string, uint64_t> packets;
    for (const v1::Counter& counter : response.counters()) {
      packets[counter.name()] = counter.packets();
    }
    return packets;
  }
  // Over all that was made anew.
  std::map<std::string, uint64_t> TotalPackets() {
    grpc::ClientContext context;
    v1::ListCountersRequest request;
    request.set_page_size(10'000);
    v1::ListCountersResponse response;
    EXPECT_OK(counters_->ListCounters(&context, request, &response));
    std::map<std::string, uint64_t> packets;
    for (const v1::Counter& counter : response.counters()) {
      packets[counter.name()] = counter.total_packets();
    }
    return packets;
  }
  v1::PlanStatus Status() {
    grpc::ClientContext context;
    v1::GetPlanStatusRequest request;
    request.set_name("customers");
    v1::GetPlanStatusResponse response;
    EXPECT_OK(plans_->GetPlanStatus(&context, request, &response));
    return response.status();
  }

  // Of this cause.
  int Gaps(v1::UsageGapCause cause) {
    const auto usage = v1::UsageService::NewStub(server_->Channel());
    int found = 0;
    v1::ListGapsRequest request;
    request.set_page_size(10'000);
    grpc::ClientContext context;
    v1::ListGapsResponse response;
    const grpc::Status status = usage->ListGaps(&context, request, &response);
    EXPECT_OK(status);
    for (const v1::UsageGap& gap : response.gaps()) {
      found += gap.cause() == cause;
    }
    return found;
  }

  // What the ledger has read of a counter, at most ten seconds ago.
  uint64_t Recorded(const std::string& counter) {
    const auto usage = v1::UsageService::NewStub(server_->Channel());
    grpc::ClientContext context;
    v1::ListUsageRequest request;
    request.mutable_filter()->set_name_glob(counter);
    request.mutable_start_time()->set_seconds(
        absl::ToUnixSeconds(absl::Now() - absl::Hours(1)));
    v1::ListUsageResponse response;
    const grpc::Status status = usage->ListUsage(&context, request, &response);
    EXPECT_OK(status);
    uint64_t packets = 0;
    for (const v1::UsageRow& row : response.rows()) packets += row.packets();
    return packets;
  }

  void WaitForRepair() {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() +
                         std::chrono::seconds(60));
    const auto stream =
        plans_->WatchPlanStatus(&context, v1::WatchPlanStatusRequest());
    v1::WatchPlanStatusResponse response;
    while (response.status().repairs() == 0 && stream->Read(&response)) {
    }
    context.TryCancel();
  }

  // Tables of nf_tables have one transaction.
  static size_t Commits() { return OnNftables() ? 1 : 2; }

  TemporaryDirectory state_;
  std::unique_ptr<NfmeterdProcess> server_;
  std::unique_ptr<v1::CounterService::Stub> counters_;
  std::unique_ptr<v1::PlanService::Stub> plans_;
};

INSTANTIATE_TEST_SUITE_P(Backend, PlanTest,
                         ::testing::Values("iptables", "nftables"),
                         [](const auto& info) { return info.param; });

TEST_P(PlanTest, EachAddressIsCountedIntoItsCounterAndItsNetwork) {
  ASSERT_EQ(Apply(PerAddress()).commits(), Commits());
  uint64_t all = 0;
  for (int i = 0; i < kAddresses; ++i) {
    SendTo(V4(i), i % 5 + 1);
    SendTo(V6(i), i % 3 + 1);
    all += i % 5 + 1;
  }
  const std::map<std::string, uint64_t> packets = Packets();
  for (int i = 0; i < kAddresses; ++i) {
    ASSERT_EQ(packets.at(absl::StrCat("v4-", i)), i % 5 + 1u) << i;
    ASSERT_EQ(packets.at(absl::StrCat("v6-", i)), i % 3 + 1u) << i;
  }
  EXPECT_EQ(packets.at("all-v4"), all);
}

TEST_P(PlanTest, APacketCountsOnceForEachEndAlsoIfBothAreOne) {
  v1::Plan plan = PerAddress();
  for (v1::AccountGroup& group : *plan.mutable_groups()) {
    group.set_key(v1::GROUP_KEY_ADDRESS);
  }
  const v1::ApplyPlanResponse applied = Apply(plan);
  EXPECT_LE(applied.cost().max_rules_met(), 30u);
  uint64_t all = 0;
  for (int i = 0; i < kAddresses; ++i) {
    all += i % 5 + 1u + 3u;
    SendTo(V4(i), i % 5 + 1, "127.0.0.1");
    SendTo("127.0.0.1", 1, V4(i));
    SendTo(V4((i + 1) % kAddresses), 1, V4(i));
    SendTo(V4(i), 1, V4(i));
  }
  const std::map<std::string, uint64_t> packets = Packets();
  for (int i = 0; i < kAddresses; ++i) {
    ASSERT_EQ(packets.at(absl::StrCat("v4-", i)), i % 5 + 1u + 4u) << i;
  }
  EXPECT_EQ(packets.at("all-v4"), all);
}

TEST_P(PlanTest, NoPacketIsMissedOrDoubledWhileAnotherAccountComes) {
  v1::Plan plan = PerAddress();
  Apply(plan);
  constexpr int kRounds = 20;
  for (int i = 0; i < kRounds; ++i) {
    SendTo(V4(0), 50);
    (*plan.mutable_groups(0)->mutable_members())[absl::StrCat("127.2.0.", i)] =
        absl::StrCat("new-", i);
    ASSERT_GE(Apply(plan).commits(), 1u);
  }
  EXPECT_EQ(Packets().at("v4-0"), 50u * kRounds);
}

// Packets without end to one address, from a thread of its own.
class Traffic {
 public:
  explicit Traffic(const std::string& address)
      : thread_([this, address] {
          while (!stopping_) {
            SendTo(address, 20);
            sent_ += 20;
          }
        }) {}
  // How many it has sent.
  uint64_t Stop() {
    stopping_ = true;
    if (thread_.joinable()) thread_.join();
    return sent_;
  }
  ~Traffic() { Stop(); }

 private:
  std::atomic<bool> stopping_ = false;
  uint64_t sent_ = 0;
  std::thread thread_;
};

// The account stays while its neighbours, its own counter's labels, the shape
// of the tree above it and the place of the jump change.
TEST_P(PlanTest, NoPacketIsMissedOrDoubledWhileThePlanChangesUnderTraffic) {
  v1::Plan plan = PerAddress();
  Apply(plan);
  Traffic v4(V4(0));
  Traffic v6(V6(0));
  for (int i = 0; i < 12; ++i) {
    auto& members = *plan.mutable_groups(0)->mutable_members();
    for (int j = 0; j < 40; ++j) {
      const std::string address = absl::StrCat("127.", 3 + i, ".0.", j);
      members[address] = absl::StrCat("new-", i, "-", j);
    }
    if (i % 3 == 1) {
      for (int j = 1; j < kAddresses; j += 2) members.erase(V4(j));
    }
    // On nf_tables that is another hook, see docs/plans.md.
    if (i % 3 == 2 && !OnNftables()) {
      plan.set_placement(i % 2 == 0 ? v1::RULE_PLACEMENT_TAIL
                                    : v1::RULE_PLACEMENT_HEAD);
    }
    (*plan.mutable_groups(0)->mutable_labels())["round"] = absl::StrCat(i);
    ASSERT_GE(Apply(plan).commits(), 1u);
  }
  const uint64_t sent4 = v4.Stop();
  const uint64_t sent6 = v6.Stop();
  EXPECT_GT(sent4, 0u);
  const std::map<std::string, uint64_t> packets = Packets();
  EXPECT_EQ(packets.at("v4-0"), sent4);
  EXPECT_EQ(packets.at("v6-0"), sent6);
  EXPECT_EQ(packets.at("all-v4"), sent4);
}

// Quotas come, change, and go, of all members at once.
TEST_P(PlanTest, NoPacketIsMissedOrDoubledWhileQuotasChangeUnderTraffic) {
  constexpr uint64_t kFar = uint64_t{1} << 40;
  v1::Plan plan = PerAddress();
  Apply(plan);
  Traffic v4(V4(0));
  Traffic v6(V6(0));
  for (const uint64_t bytes : {kFar, 2 * kFar, uint64_t{0}, 3 * kFar}) {
    v1::AccountGroup& group = *plan.mutable_groups(0);
    group.clear_quota();
    if (bytes > 0) {
      group.mutable_quota()->set_bytes(bytes);
      group.mutable_quota()->set_over(v1::OVER_QUOTA_DROP);
    }
    EXPECT_GE(Apply(plan).change_count(), 2u * kAddresses);
    EXPECT_EQ(Apply(plan).change_count(), 0u);
  }
  const uint64_t sent4 = v4.Stop();
  const uint64_t sent6 = v6.Stop();
  EXPECT_GT(sent4, 0u);
  const std::map<std::string, uint64_t> packets = TotalPackets();
  EXPECT_EQ(packets.at("v4-0"), sent4);
  EXPECT_EQ(packets.at("v6-0"), sent6);
  EXPECT_EQ(packets.at("all-v4"), sent4);
  EXPECT_EQ(packets.size(), 2u * kAddresses + 1);
  EXPECT_EQ(Status().repairs(), 0u);
  // Nothing is left of what counted meanwhile.
  EXPECT_THAT(Sh(OnNftables() ? "nft list ruleset" : "nfacct list"),
              Not(HasSubstr("nfmeterd.")));
}

TEST_P(PlanTest, AFlushIsMendedWithinSecondsAndCountsStay) {
  if (OnNftables()) {
    // One that belongs to nfmeterd can't be flushed; a plain one that is there
    // already stays plain.
    ASSERT_EQ(server_->Stop(), 0);
    Sh("nft 'add table inet nfmeter { comment \"nfmeter\"; }'");
    Start();
  }
  Apply(PerAddress());
  SendTo(V4(7), 3);
  // Counters that go with the rules are another matter.
  Sh(OnNftables() ? "nft flush table inet nfmeter" : "iptables-legacy -w -F");
  AddForeignRule();
  WaitForRepair();
  ASSERT_EQ(Status().repairs(), 1u);
  SendTo(V4(7), 2);
  EXPECT_EQ(Packets().at("v4-7"), 5u);
  // Each counter that lost its rule has a declared gap; IPv6 lost none, unless
  // it has the same table.
  const int lost = (OnNftables() ? 2 : 1) * kAddresses + 1;
  EXPECT_TRUE(testing::Eventually(
      [&] { return Gaps(v1::USAGE_GAP_CAUSE_RULES_MISSING) >= lost; }));
  EXPECT_EQ(Gaps(v1::USAGE_GAP_CAUSE_RULES_MISSING), lost);
  EXPECT_THAT(Saved(), HasSubstr("192.0.2.1"));
}

// Legacy tables belong to nobody.
class OwnedPlanTest : public PlanTest {};
INSTANTIATE_TEST_SUITE_P(Backend, OwnedPlanTest, ::testing::Values("nftables"),
                         [](const auto& info) { return info.param; });

// A thousand rules, nearly, before the maps: so a packet is on its way whenever
// a commit happens.
class LongWayPlanTest : public OwnedPlanTest {
 protected:
  // Applies what `change` makes of the plan, several times, under traffic to
  // the first member of the first group.
  void CountWhile(absl::FunctionRef<void(v1::Plan& plan, bool back)> change) {
    v1::Plan plan = PerAddress();
    for (int i = 1; i <= 900; ++i) {
      v1::Account& account = *plan.add_accounts();
      account.set_counter(absl::StrCat("mark-", i));
      account.add_directions(v1::DIRECTION_OUT);
      account.mutable_match()->set_protocol("udp");
      account.mutable_match()->mutable_mark()->set_value(i);
    }
    v1::AccountGroup& others = *plan.add_groups();
    others = plan.groups(0);
    MatchOtherwise(others.mutable_match());
    others.clear_members();
    for (int i = 0; i < 20; ++i) {
      (*others.mutable_members())[absl::StrCat("127.2.0.", i)] =
          absl::StrCat("other-", i);
    }
    Apply(plan);
    Traffic v4(V4(0));
    for (int i = 0; i < 10; ++i) {
      change(plan, i % 2 != 0);
      ASSERT_GE(Apply(plan).commits(), 1u);
    }
    const uint64_t sent = v4.Stop();
    EXPECT_GT(sent, 0u);
    const std::map<std::string, uint64_t> packets = TotalPackets();
    EXPECT_EQ(packets.at("v4-0"), sent);
    EXPECT_EQ(packets.at("all-v4"), sent);
    EXPECT_EQ(Status().repairs(), 0u);
  }
  // The same packets, by another match.
  static void MatchOtherwise(v1::RuleMatch* match, uint32_t mark = 1 << 20) {
    match->mutable_mark()->set_value(mark);
    match->set_not_mark(true);
  }
};
INSTANTIATE_TEST_SUITE_P(Backend, LongWayPlanTest,
                         ::testing::Values("nftables"),
                         [](const auto& info) { return info.param; });

TEST_P(LongWayPlanTest, NoPacketIsMissedOrDoubledWhenMapsComeAndGo) {
  CountWhile([](v1::Plan& plan, bool back) {
    v1::AccountGroup& group = *plan.mutable_groups(0);
    if (back) {
      group.mutable_match()->clear_mark();
      group.mutable_match()->clear_not_mark();
    } else {
      MatchOtherwise(group.mutable_match());
    }
  });
}

TEST_P(LongWayPlanTest, NoPacketIsMissedOrDoubledWhenAnAccountChangesItsMap) {
  CountWhile([](v1::Plan& plan, bool back) {
    plan.mutable_groups(back ? 2 : 0)->mutable_members()->erase(V4(0));
    (*plan.mutable_groups(back ? 0 : 2)->mutable_members())[V4(0)] = "v4-0";
  });
}

TEST_P(LongWayPlanTest, NoPacketIsMissedOrDoubledWhenAnAccountLeavesItsMap) {
  CountWhile([](v1::Plan& plan, bool back) {
    if (back) {
      plan.mutable_accounts()->RemoveLast();
      (*plan.mutable_groups(0)->mutable_members())[V4(0)] = "v4-0";
      return;
    }
    plan.mutable_groups(0)->mutable_members()->erase(V4(0));
    v1::Account& account = *plan.add_accounts();
    account.set_counter("v4-0");
    account.add_directions(v1::DIRECTION_OUT);
    *account.mutable_match() = plan.groups(0).match();
    account.mutable_match()->set_destination(V4(0));
    MatchOtherwise(account.mutable_match(), 1 << 21);
  });
}

TEST_P(LongWayPlanTest, NoPacketIsMissedOrDoubledWhenQuotasComeAndGo) {
  CountWhile([](v1::Plan& plan, bool back) {
    v1::AccountGroup& group = *plan.mutable_groups(0);
    group.clear_quota();
    if (!back) group.mutable_quota()->set_bytes(uint64_t{1} << 40);
  });
}

// Another placement is another hook.
TEST_P(OwnedPlanTest, PacketsBetweenTwoHooksAreADeclaredGap) {
  v1::Plan plan = PerAddress();
  Apply(plan);
  SendTo(V4(0), 1);
  plan.set_placement(v1::RULE_PLACEMENT_TAIL);
  EXPECT_GE(Apply(plan).commits(), 1u);
  EXPECT_TRUE(testing::Eventually([&] {
    return Gaps(v1::USAGE_GAP_CAUSE_RULES_MISSING) >= 2 * kAddresses + 1;
  }));
}

TEST_P(OwnedPlanTest, AFlushOfTheRulesetDoesNotTouchIt) {
  Apply(PerAddress());
  SendTo(V4(7), 3);
  Sh("nft flush ruleset");
  SendTo(V4(7), 2);
  EXPECT_EQ(Packets().at("v4-7"), 5u);
  EXPECT_EQ(Apply(PerAddress()).change_count(), 0u);
}

// nfacct objects that rules hold can't be deleted.
TEST_P(OwnedPlanTest, ValuesThatAFlushTookArePutBackAndTheGapIsDeclared) {
  ASSERT_EQ(server_->Stop(), 0);
  Sh("nft 'add table inet nfmeter { comment \"nfmeter\"; }'");
  Start();
  Apply(PerAddress());
  SendTo(V4(7), 3);
  EXPECT_TRUE(testing::Eventually([&] { return Recorded("v4-7") >= 3; }));
  Sh("nft flush ruleset");
  WaitForRepair();
  SendTo(V4(7), 2);
  EXPECT_EQ(Packets().at("v4-7"), 5u);
  grpc::ClientContext context;
  v1::ListGapsRequest request;
  request.mutable_filter()->set_name_glob("v4-7");
  v1::ListGapsResponse response;
  const grpc::Status status = v1::UsageService::NewStub(server_->Channel())
                                  ->ListGaps(&context, request, &response);
  ASSERT_OK(status);
  EXPECT_GT(response.gaps_size(), 0);
}

TEST_P(PlanTest, AServerThatStartsAgainKeepsThePlanWithoutACommit) {
  Apply(PerAddress());
  SendTo(V4(3), 4);
  const std::string before = Saved();
  ASSERT_EQ(server_->Stop(), 0);
  Start();
  EXPECT_EQ(Status().state(), v1::PlanStatus::STATE_IN_SYNC);
  EXPECT_EQ(Status().repairs(), 0u);
  // Counters of rules would restart with a commit between read and write.
  const std::string after = Saved();
  const auto rules = [](const std::string& saved) {
    std::string lines;
    for (const auto line : absl::StrSplit(saved, '\n')) {
      if (!line.empty() && line[0] != '#') absl::StrAppend(&lines, line, "\n");
    }
    return lines;
  };
  EXPECT_EQ(rules(after), rules(before));
  EXPECT_EQ(Apply(PerAddress()).change_count(), 0u);
}

TEST_P(PlanTest, ASavedFirewallWithAPlanRestoresAsItWas) {
  if (OnNftables()) {
    // As it is on kernels where tables can't be owned.
    ASSERT_EQ(server_->Stop(), 0);
    Sh("nft 'add table inet nfmeter { comment \"nfmeter\"; }'");
    Start();
  }
  v1::Plan plan = PerAddress();
  // Whose family and protocol a tool need not print.
  v1::Account& web = *plan.add_accounts();
  web.set_counter("web");
  web.add_directions(v1::DIRECTION_OUT);
  web.mutable_match()->set_protocol("tcp");
  web.mutable_match()->set_out_interface("lo");
  web.mutable_match()->add_destination_ports()->set_first(443);
  web.mutable_match()->add_destination_ports()->set_first(8443);
  v1::Account& pings = *plan.add_accounts();
  pings.set_counter("pings");
  pings.add_directions(v1::DIRECTION_OUT);
  pings.set_family(v1::FAMILY_IPV4);
  pings.mutable_match()->set_protocol("icmp");
  pings.mutable_match()->set_destination("127.0.0.0/8");
  pings.mutable_match()->mutable_icmp()->set_type(8);
  Apply(plan);
  const std::string saved = Saved();
  const std::string path = state_ / "saved";
  Sh(OnNftables() ? absl::StrCat("{ echo flush ruleset; nft list ruleset; } > ",
                                 path, " && nft -f ", path)
                  : absl::StrCat("iptables-legacy-save > ", path,
                                 " && iptables-legacy-restore -w < ", path));
  const v1::ApplyPlanResponse again = Apply(plan);
  EXPECT_EQ(again.change_count(), 0u) << again.DebugString();
  EXPECT_THAT(saved, HasSubstr("NFM-"));
}

TEST_P(PlanTest, DeletedItLeavesNothingBehind) {
  AddForeignRule();
  Apply(PerAddress());
  grpc::ClientContext context;
  v1::DeletePlanRequest request;
  request.set_name("customers");
  v1::DeletePlanResponse response;
  const grpc::Status status = plans_->DeletePlan(&context, request, &response);
  ASSERT_OK(status);
  EXPECT_THAT(Saved(), Not(HasSubstr("NFM-")));
  EXPECT_THAT(Saved(), HasSubstr("192.0.2.1"));
  EXPECT_EQ(Packets().size(), 0u);
}

}  // namespace
}  // namespace nfmeter
