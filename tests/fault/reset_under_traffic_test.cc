// SPDX-License-Identifier: GPL-3.0-or-later
// Nothing is lost and nothing counted twice while counters are reset under
// traffic.
#include <atomic>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "tests/fault/fault_server.h"
#include "tests/fault/iptables.h"
#include "tests/support/status_matchers.h"

namespace nfmeter {
namespace {

using ::nfmeter::testing::FaultServer;
using ::nfmeter::testing::kPacketBytes;
using ::nfmeter::testing::SendPackets;
using ::testing::IsEmpty;

constexpr size_t kCounters = 2000;
constexpr uint16_t kFirstPort = 20'000;
constexpr size_t kRounds = 5;

struct Sum {
  uint64_t packets = 0;
  uint64_t bytes = 0;

  void Add(const v1::BatchResetCountersResponse& answer) {
    for (const v1::Counter& counter : answer.counters()) {
      packets += counter.packets();
      bytes += counter.bytes();
    }
  }
};

// On both backends.
class ResetUnderTrafficTest : public ::testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Backend, ResetUnderTrafficTest,
                         ::testing::Values("iptables", "nftables"),
                         [](const auto& info) { return info.param; });

TEST_P(ResetUnderTrafficTest, ValuesReturnedAndLeftAreThePacketsSent) {
  FaultServer server({.arguments = {"--backend", GetParam()}});
  ASSERT_OK(server.Start());
  const auto client = server.Connect();
  v1::BatchCreateCountersRequest counters;
  v1::BatchCreateRulesRequest rules;
  v1::BatchResetCountersRequest reset;
  for (size_t i = 0; i < kCounters; ++i) {
    const std::string name = absl::StrCat("port-", i);
    counters.add_counters()->set_name(name);
    reset.add_names(name);
    v1::Rule* rule = rules.add_rules();
    rule->set_chain("OUTPUT");
    rule->set_counter(name);
    rule->mutable_match()->set_protocol("udp");
    rule->mutable_match()->add_destination_ports()->set_first(kFirstPort + i);
  }
  ASSERT_OK(client->BatchCreateCounters(counters).status());
  ASSERT_OK(client->BatchCreateRules(rules).status());

  std::atomic<bool> stop = false;
  std::atomic<uint64_t> sent = 0;
  absl::Status sender_status;
  std::thread sender([&] {
    while (!stop && sender_status.ok()) {
      sender_status = SendPackets(kCounters, kFirstPort, kCounters);
      sent += kCounters;
    }
  });
  Sum returned;
  absl::Status failed;
  for (size_t round = 0; round < kRounds; ++round) {
    // Each reset has traffic before it, and meanwhile.
    const uint64_t before = sent;
    while (sent == before && sender_status.ok()) std::this_thread::yield();
    const auto answer = client->BatchResetCounters(reset);
    failed.Update(answer.status());
    if (!answer.ok()) break;
    EXPECT_THAT(answer->failures(), IsEmpty());
    returned.Add(*answer);
  }
  stop = true;
  sender.join();
  ASSERT_OK(failed);
  ASSERT_OK(sender_status);
  const uint64_t returned_meanwhile = returned.packets;

  Sum left;
  const auto answer = client->BatchResetCounters(reset);
  ASSERT_OK(answer.status());
  left.Add(*answer);
  EXPECT_EQ(returned.packets + left.packets, sent);
  EXPECT_EQ(returned.bytes + left.bytes, sent * kPacketBytes);
  EXPECT_GT(returned_meanwhile, 0u);
}

}  // namespace
}  // namespace nfmeter
