// SPDX-License-Identifier: GPL-3.0-or-later
// kill -9 at every system call of a change of a quota whose counter counts.
//
// What holds, whatever the call that was the last: the counter is there under
// its name, with its old quota or the new one; the rule counts into it, after
// the next start; and its total is what was sent, neither more nor less.
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "tests/conformance/acct_traffic.h"
#include "tests/fault/fault_server.h"
#include "tests/fault/injection.h"
#include "tests/support/status_matchers.h"

namespace nfmeter {
namespace {

using ::nfmeter::testing::FaultServer;
using ::nfmeter::testing::Injection;
using ::nfmeter::testing::kCounterLane;
using ::nfmeter::testing::kRuleLane;
using ::nfmeter::testing::SendUdp;
using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr uint16_t kPort = 5353;
constexpr int kKilled = 128 + 9;

// Which thread, and at which of its calls.
struct Place {
  const char* thread;
  const char* call;
};

class KillDuringQuotaChangeTest : public ::testing::TestWithParam<Place> {
 protected:
  void SetUp() override {
    ASSERT_OK(server_.Start());
    const auto client = server_.Connect();
    v1::CreateCounterRequest request;
    request.mutable_counter()->set_name("web");
    request.mutable_counter()->mutable_quota()->set_packets(kFirst);
    ASSERT_OK(client->CreateCounter(request).status());
    v1::Rule rule;
    rule.set_chain("OUTPUT");
    rule.set_counter("web");
    rule.mutable_match()->set_protocol("udp");
    rule.mutable_match()->add_destination_ports()->set_first(kPort);
    ASSERT_OK(client->CreateRule(rule).status());
  }

  void Send(int packets) {
    SendUdp(kPort, packets);
    sent_ += packets;
  }

  static constexpr uint64_t kFirst = 1'000'000;

  FaultServer server_;
  uint64_t sent_ = 0;
};

TEST_P(KillDuringQuotaChangeTest, NothingIsLostOrDoubledAndTheRuleCounts) {
  uint64_t quota = kFirst;
  size_t kills = 0;
  for (size_t n = 1;; ++n) {
    SCOPED_TRACE(absl::StrCat("killed at ", GetParam().call, " ", n));
    Send(3);
    const auto client = server_.Connect();
    // So that the total is in the ledger.
    ASSERT_OK(client->GetNode().status());
    v1::UpdateCounterRequest request;
    request.mutable_counter()->set_name("web");
    request.mutable_counter()->mutable_quota()->set_packets(quota + 1);
    absl::Status status;
    {
      const Injection kill(
          server_.pid(), GetParam().thread,
          absl::StrCat(GetParam().call, ":signal=KILL:when=", n));
      ASSERT_OK(kill.status());
      status = client->UpdateCounter(request).status();
      if (!status.ok()) {
        ASSERT_EQ(server_.AwaitEnd(), kKilled) << status;
        ++kills;
      }
    }
    // Into the counter or its stand-in, whichever the rule has now.
    Send(2);
    ASSERT_OK(server_.Start()) << "after a kill";
    Send(1);
    const auto counter = server_.Connect()->GetCounter("web");
    ASSERT_OK(counter.status());
    EXPECT_EQ(counter->total_packets(), sent_);
    EXPECT_EQ(counter->use_count(), 1u);
    EXPECT_THAT(counter->quota().packets(), AnyOf(quota, quota + 1));
    quota = counter->quota().packets();
    EXPECT_THAT(testing::Run({"nfacct", "list"}).out,
                Not(HasSubstr("nfmeterd.")));
    if (HasFailure() || status.ok()) break;
  }
  EXPECT_GT(kills, 0u);
}

INSTANTIATE_TEST_SUITE_P(Places, KillDuringQuotaChangeTest,
                         ::testing::Values(Place{kRuleLane, "setsockopt"},
                                           Place{kCounterLane, "sendto"},
                                           Place{kCounterLane, "recvmsg"}),
                         [](const auto& info) {
                           return absl::StrCat(
                               info.param.thread == kRuleLane ? "Rules"
                                                              : "Counters",
                               info.param.call == absl::string_view("sendto")
                                   ? "Sendto"
                               : info.param.call == absl::string_view("recvmsg")
                                   ? "Recvmsg"
                                   : "Setsockopt");
                         });

}  // namespace
}  // namespace nfmeter
