// SPDX-License-Identifier: GPL-3.0-or-later
// Docker-like, firewalld-like and service-like reloads of firewalls, all at
// once and without a pause, beside a plan and a rule of the server's.
//
// What holds: what they made last is as they made it, and where they do not
// stand in each other's way no reload fails. A table that belongs to the server
// misses nothing. Elsewhere own rules are back when the storm is over; and of
// what was sent at times that no gap tells of, all is counted.
#include <stdlib.h>

#include <algorithm>
#include <atomic>
#include <iostream>
#include <memory>
#include <ostream>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "tests/fault/accounts.h"
#include "tests/fault/fault_server.h"
#include "tests/fault/firewall.h"
#include "tests/fault/iptables.h"
#include "tests/fault/neighbours.h"
#include "tests/support/eventually.h"
#include "tests/support/status_matchers.h"

namespace nfmeter {
namespace {

using ::nfmeter::testing::FaultServer;
using ::nfmeter::testing::Firewall;
using ::nfmeter::testing::FirewallKind;
using ::nfmeter::testing::kPort;
using ::nfmeter::testing::Neighbour;
using ::nfmeter::testing::SendPackets;
using ::testing::SizeIs;

constexpr size_t kBurst = 10;

// NFMETER_STORM_SECONDS: how long it is.
absl::Duration StormTime() {
  int seconds = 0;
  const char* given = getenv("NFMETER_STORM_SECONDS");
  if (given == nullptr || !absl::SimpleAtoi(given, &seconds)) seconds = 6;
  return absl::Seconds(seconds);
}

struct Storm {
  FirewallKind kind;
  std::vector<std::unique_ptr<Neighbour>> (*neighbours)();
  bool misses_nothing;
  friend std::ostream& operator<<(std::ostream& out, const Storm& storm) {
    return out << storm.kind;
  }
};

class StormTest : public ::testing::TestWithParam<Storm> {
 protected:
  void SetUp() override {
    ASSERT_OK(server_.Start());
    client_ = server_.Connect();
    ASSERT_OK(testing::CountUdp(*client_, "planned"));
    ours_ = Ours();
  }

  // In whatever order their chains were made.
  std::vector<std::string> Ours() const {
    std::vector<std::string> rules = firewall_->ManagedRules();
    std::sort(rules.begin(), rules.end());
    return rules;
  }
  void Send() {
    const absl::Time begin = absl::Now();
    ASSERT_OK(SendPackets(kBurst, kPort, 1));
    bursts_.push_back({begin, absl::Now()});
  }
  // All of them reload until it is over, each by itself.
  void Rage(const std::vector<std::unique_ptr<Neighbour>>& neighbours) {
    const absl::Time end = absl::Now() + StormTime();
    std::vector<std::thread> threads;
    std::atomic<size_t> reloads = 0;
    std::atomic<size_t> failures = 0;
    for (const auto& neighbour : neighbours) {
      threads.emplace_back([&] {
        while (absl::Now() < end) {
          failures += !neighbour->Reload().ok();
          ++reloads;
        }
      });
    }
    while (absl::Now() < end) Send();
    for (std::thread& thread : threads) thread.join();
    std::cout << reloads << " reloads, " << failures
              << " of them undone by another one's, " << bursts_.size()
              << " bursts\n";
    // A flush of the ruleset takes away what iptables-nft has just read.
    if (GetParam().kind.backend == std::string("iptables")) {
      EXPECT_EQ(failures, 0u);
    }
    EXPECT_LT(failures, reloads / 2);
  }
  // Until all is as it should be, for as long as whoever is fought waits.
  void AwaitPeace() {
    EXPECT_TRUE(testing::Eventually([&] { return Ours() == ours_; },
                                    absl::Seconds(90)));
    EXPECT_EQ(Ours(), ours_);
  }

  struct Window {
    absl::Time begin;
    absl::Time end;
  };
  std::vector<Window> Gaps(const std::string& counter) {
    const auto response = client_->ListGaps();
    EXPECT_OK(response.status());
    std::vector<Window> gaps;
    if (!response.ok()) return gaps;
    for (const v1::UsageGap& gap : response->gaps()) {
      if (gap.counter() != counter && gap.counter_id() != 0) continue;
      gaps.push_back({TimeOf(gap.start_time()), TimeOf(gap.end_time())});
    }
    return gaps;
  }
  static absl::Time TimeOf(const google::protobuf::Timestamp& time) {
    return absl::FromUnixSeconds(time.seconds()) +
           absl::Nanoseconds(time.nanos());
  }
  // Packets that were sent while no gap tells that some may be missing.
  uint64_t SentOutside(const std::vector<Window>& gaps) const {
    uint64_t sent = 0;
    for (const Window& burst : bursts_) {
      bool inside = false;
      for (const Window& gap : gaps) {
        inside |= burst.begin <= gap.end && gap.begin <= burst.end;
      }
      if (!inside) sent += kBurst;
    }
    return sent;
  }

  const std::unique_ptr<Firewall> firewall_ = GetParam().kind.make();
  FaultServer server_{{.arguments = {"--backend", GetParam().kind.backend}}};
  std::unique_ptr<Client> client_;
  std::vector<std::string> ours_;
  std::vector<Window> bursts_;
};

TEST_P(StormTest, OwnRulesComeBackOthersKeepTheirsAndWindowsAreTold) {
  const auto neighbours = GetParam().neighbours();
  for (const auto& each : neighbours) ASSERT_OK(each->Start());
  for (int i = 0; i < 10; ++i) Send();
  Rage(neighbours);
  for (const auto& each : neighbours) ASSERT_OK(each->Reload());
  const auto theirs = firewall_->ForeignRules(/*with_counters=*/false);
  EXPECT_FALSE(theirs.empty());
  AwaitPeace();
  for (int i = 0; i < 10; ++i) Send();
  EXPECT_EQ(firewall_->ForeignRules(/*with_counters=*/false), theirs);
  const uint64_t sent = bursts_.size() * kBurst;
  for (const char* name : {"planned", "by-hand"}) {
    const std::vector<Window> gaps = Gaps(name);
    const auto counter = client_->GetCounter(name);
    ASSERT_OK(counter.status());
    const uint64_t total = counter->total_packets();
    std::cout << name << ": " << total << " of " << sent << ", "
              << SentOutside(gaps) << " outside of " << gaps.size()
              << " gaps\n";
    EXPECT_LE(total, sent) << name;
    EXPECT_GE(total, SentOutside(gaps)) << name;
    if (GetParam().misses_nothing) {
      EXPECT_EQ(total, sent) << name;
      EXPECT_THAT(gaps, SizeIs(0)) << name;
    }
  }
}

std::vector<std::unique_ptr<Neighbour>> OnNftables() {
  std::vector<std::unique_ptr<Neighbour>> neighbours;
  neighbours.push_back(testing::MakeNftablesService());
  neighbours.push_back(testing::MakeFirewalldLike());
  neighbours.push_back(testing::MakeDocker());
  return neighbours;
}

std::vector<std::unique_ptr<Neighbour>> OnIptables() {
  std::vector<std::unique_ptr<Neighbour>> neighbours;
  neighbours.push_back(testing::MakeIptablesService());
  neighbours.push_back(testing::MakeLegacyFirewalldLike());
  neighbours.push_back(testing::MakeLegacyDocker());
  return neighbours;
}

INSTANTIATE_TEST_SUITE_P(
    Firewalls, StormTest,
    ::testing::Values(Storm{testing::kIptables, OnIptables, false},
                      Storm{testing::kNftables, OnNftables, true},
                      Storm{testing::kPlainNftables, OnNftables, false}),
    [](const auto& info) { return info.param.kind.name; });

}  // namespace
}  // namespace nfmeter
