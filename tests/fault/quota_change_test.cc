// SPDX-License-Identifier: GPL-3.0-or-later
// kill -9 at every system call of a change of a quota whose counter counts, on
// both backends: another quota, a first one, none any more.
//
// What holds, whatever the call that was the last: the counter is there under
// its name, with its old quota or the new one; the rule counts into it, after
// the next start; and its total is what was sent, neither more nor less.
#include <ostream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "tests/conformance/acct_traffic.h"
#include "tests/fault/fault_server.h"
#include "tests/fault/injection.h"
#include "tests/support/status_matchers.h"
#include "tests/support/subprocess.h"

namespace nfmeter {
namespace {

using ::nfmeter::testing::FaultServer;
using ::nfmeter::testing::Injection;
using ::nfmeter::testing::kCounterLane;
using ::nfmeter::testing::kKilled;
using ::nfmeter::testing::kRuleLane;
using ::nfmeter::testing::SendUdp;
using ::nfmeter::testing::SweepPoints;
using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr uint16_t kQuotaPort = 5353;
constexpr uint64_t kFarQuota = uint64_t{1} << 40;

// A quota before and after; 0: none.
struct Change {
  const char* name;
  uint64_t before;
  uint64_t after;
};

// Which thread, and at which of its calls.
struct ChangePlace {
  const char* backend;
  Change change;
  const char* thread;
  const char* call;
  friend std::ostream& operator<<(std::ostream& out, const ChangePlace& place) {
    return out << place.backend << " " << place.change.name << " "
               << place.thread << " " << place.call;
  }
};

class KillDuringQuotaChangeTest : public ::testing::TestWithParam<ChangePlace> {
 protected:
  void SetUp() override {
    ASSERT_OK(server_.Start());
    const auto client = server_.Connect();
    ASSERT_OK(client->CreateCounter("web").status());
    v1::Rule rule;
    rule.set_chain("OUTPUT");
    rule.set_counter("web");
    rule.mutable_match()->set_protocol("udp");
    rule.mutable_match()->add_destination_ports()->set_first(kQuotaPort);
    ASSERT_OK(client->CreateRule(rule).status());
  }

  void Send(int packets) {
    SendUdp(kQuotaPort, packets);
    sent_ += packets;
  }

  absl::Status SetQuota(uint64_t bytes) {
    v1::UpdateCounterRequest request;
    request.mutable_counter()->set_name("web");
    request.mutable_update_mask()->add_paths("quota");
    if (bytes > 0) request.mutable_counter()->mutable_quota()->set_bytes(bytes);
    return server_.Connect()->UpdateCounter(request).status();
  }

  // The kernel's objects as its own tools list them.
  static std::string Listed() {
    return GetParam().backend == std::string("nftables")
               ? testing::Run({"nft", "list", "ruleset"}).out
               : testing::Run({"nfacct", "list"}).out;
  }

  FaultServer server_{{.arguments = {"--backend", GetParam().backend}}};
  uint64_t sent_ = 0;
};

TEST_P(KillDuringQuotaChangeTest, NothingIsLostOrDoubledAndTheRuleCounts) {
  const Change change = GetParam().change;
  size_t kills = 0;
  SweepPoints points;
  for (;;) {
    const size_t n = points.Next();
    SCOPED_TRACE(absl::StrCat("killed at ", GetParam().call, " ", n));
    ASSERT_OK(SetQuota(change.before));
    Send(3);
    absl::Status status;
    {
      const Injection kill(
          server_.pid(), GetParam().thread,
          absl::StrCat(GetParam().call, ":signal=KILL:when=", n));
      ASSERT_OK(kill.status());
      status = SetQuota(change.after);
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
    EXPECT_THAT(counter->quota().bytes(), AnyOf(change.before, change.after));
    EXPECT_THAT(Listed(), Not(HasSubstr("nfmeterd.")));
    // Of what a stand-in has counted the counters' lane alone can tell too
    // late, and then may have told all the same.
    if (GetParam().thread == kRuleLane) {
      const auto gaps = server_.Connect()->ListGaps();
      ASSERT_OK(gaps.status());
      EXPECT_EQ(gaps->gaps_size(), 0) << gaps->DebugString();
    }
    if (HasFailure() || status.ok()) break;
  }
  EXPECT_GT(kills, 0u);
}

std::vector<ChangePlace> ChangePlaces() {
  std::vector<ChangePlace> places;
  for (const Change& change : {Change{"OtherQuota", kFarQuota, 2 * kFarQuota},
                               Change{"FirstQuota", 0, kFarQuota},
                               Change{"NoQuotaMore", kFarQuota, 0}}) {
    for (const char* backend : {"iptables", "nftables"}) {
      for (const char* call : {"sendto", "recvmsg"}) {
        places.push_back({backend, change, kCounterLane, call});
      }
    }
    places.push_back({"iptables", change, kRuleLane, "setsockopt"});
    // nf_tables changes another quota in place.
    if (change.before > 0 && change.after > 0) continue;
    places.push_back({"nftables", change, kRuleLane, "sendto"});
    places.push_back({"nftables", change, kRuleLane, "recvmsg"});
  }
  return places;
}

INSTANTIATE_TEST_SUITE_P(ChangePlaces, KillDuringQuotaChangeTest,
                         ::testing::ValuesIn(ChangePlaces()),
                         [](const auto& info) {
                           const ChangePlace& place = info.param;
                           return absl::StrCat(
                               place.backend, "_", place.change.name, "_",
                               place.thread == kRuleLane ? "Rules" : "Counters",
                               "_", place.call);
                         });

}  // namespace
}  // namespace nfmeter
