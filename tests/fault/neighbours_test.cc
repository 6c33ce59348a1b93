// SPDX-License-Identifier: GPL-3.0-or-later
// nfmeterd on nf_tables, beside firewalls that come, load their rules again and
// go.
//
// What holds: nothing of theirs differs from what they made it, and that they
// are there is told. A table that belongs to nfmeterd misses no packet. A plain
// one, as on kernels before Linux 6.9, goes where somebody flushes the ruleset:
// rules and counters are then made again, values go on from the last reading,
// and the plan's status and gaps say so.
#include "tests/fault/neighbours.h"

#include <functional>
#include <memory>
#include <ostream>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "tests/fault/accounts.h"
#include "tests/fault/fault_server.h"
#include "tests/fault/firewall.h"
#include "tests/fault/iptables.h"
#include "tests/support/eventually.h"
#include "tests/support/status_matchers.h"
#include "tests/support/subprocess.h"

namespace nfmeter {
namespace {

using ::nfmeter::testing::FaultServer;
using ::nfmeter::testing::ForeignRuleset;
using ::nfmeter::testing::kPort;
using ::nfmeter::testing::Neighbour;
using ::nfmeter::testing::SendPackets;
using ::testing::HasSubstr;
using ::testing::Not;

struct Kind {
  const char* name;
  std::unique_ptr<Neighbour> (*make)();
  // Deletes tables that are not its own.
  bool flushes = false;
  friend std::ostream& operator<<(std::ostream& out, const Kind& kind) {
    return out << kind.name;
  }
};

class NeighbourTest : public ::testing::TestWithParam<Kind> {
 protected:
  // All UDP into "sent" by a plan, and into "by-hand" by a rule.
  void StartServer() {
    ASSERT_OK(server_.Start());
    client_ = server_.Connect();
    ASSERT_OK(testing::CountUdp(*client_, "sent"));
  }

  void Send(int packets) {
    ASSERT_OK(SendPackets(packets, kPort, 1));
    sent_ += packets;
  }
  void ExpectAllCounted() {
    for (const char* name : {"sent", "by-hand"}) {
      const auto counter = client_->GetCounter(name);
      ASSERT_OK(counter.status());
      EXPECT_EQ(counter->total_packets(), sent_) << name;
    }
  }
  // Until `plan` has been repaired for the first time.
  void AwaitRepair(const std::string& plan) {
    const auto watch = client_->WatchPlanStatus(plan);
    uint64_t repairs = 0;
    while (repairs == 0) {
      const auto status = watch->Next();
      ASSERT_OK(status.status());
      repairs = status->repairs();
    }
  }
  v1::PlanStatus StatusOf(const std::string& plan) {
    const auto status = client_->GetPlanStatus(plan);
    EXPECT_OK(status.status());
    return status.ok() ? *status : v1::PlanStatus();
  }
  std::string Gaps() {
    const auto gaps = client_->ListGaps();
    EXPECT_OK(gaps.status());
    return gaps.ok() ? gaps->DebugString() : "";
  }
  // Declared soon after the repair.
  void AwaitGap(const std::string& counter) {
    const std::string wanted = absl::StrCat("counter: \"", counter, "\"");
    EXPECT_TRUE(testing::Eventually([&] {
      return absl::StrContains(Gaps(), wanted);
    })) << Gaps();
  }
  std::string Notices() {
    const auto node = client_->GetNode();
    EXPECT_OK(node.status());
    return node.ok() ? absl::StrJoin(node->notices(), "\n") : "";
  }
  // Its life: each act, and what holds after it.
  void LiveBeside(Neighbour& neighbour, const std::function<void()>& verify) {
    for (const auto act :
         {&Neighbour::Start, &Neighbour::Reload, &Neighbour::Stop}) {
      Send(7);
      ASSERT_OK((neighbour.*act)());
      const std::string theirs = ForeignRuleset();
      Send(5);
      ExpectAllCounted();
      EXPECT_EQ(ForeignRuleset(), theirs);
      if (!theirs.empty()) {
        EXPECT_THAT(Notices(),
                    HasSubstr("other programs have nf_tables rules"));
      }
      verify();
      if (HasFatalFailure()) return;
    }
  }
  void ExpectNothingWasMissed() {
    for (const char* plan : {"customers", ".rules"}) {
      EXPECT_EQ(StatusOf(plan).repairs(), 0u);
      EXPECT_EQ(StatusOf(plan).state(), v1::PlanStatus::STATE_IN_SYNC);
    }
    EXPECT_THAT(Gaps(), Not(HasSubstr("cause")));
  }

  FaultServer server_{{.arguments = {"--backend", "nftables"}}};
  std::unique_ptr<Client> client_;
  uint64_t sent_ = 0;
};

const Kind kNftablesService = {"NftablesService", testing::MakeNftablesService,
                               /*flushes=*/true};
const Kind kFirewalld = {"Firewalld", testing::MakeFirewalld};
const Kind kUfw = {"Ufw", testing::MakeUfw};
const Kind kDocker = {"Docker", testing::MakeDocker};
const Kind kIptablesNft = {"IptablesNft", testing::MakeIptablesNft};

INSTANTIATE_TEST_SUITE_P(Kinds, NeighbourTest,
                         ::testing::Values(kNftablesService, kFirewalld, kUfw,
                                           kDocker, kIptablesNft),
                         [](const auto& info) { return info.param.name; });

TEST_P(NeighbourTest, OurTableMissesNothingAndTheirsAreTheirs) {
  const auto neighbour = GetParam().make();
  StartServer();
  const auto ours = [] {
    return testing::Run({"nft", "-s", "list", "table", "inet", "nfmeter"}).out;
  };
  const std::string before = ours();
  LiveBeside(*neighbour, [&] { EXPECT_EQ(ours(), before); });
  ExpectNothingWasMissed();
}

class PlainTableTest : public NeighbourTest {};
INSTANTIATE_TEST_SUITE_P(Kinds, PlainTableTest,
                         ::testing::Values(kNftablesService, kFirewalld,
                                           kIptablesNft),
                         [](const auto& info) { return info.param.name; });

TEST_P(PlainTableTest, SurvivesOrIsMadeAgainAndThatIsTold) {
  const auto neighbour = GetParam().make();
  ASSERT_OK(testing::MakePlainTable());
  StartServer();
  if (!GetParam().flushes) {
    LiveBeside(*neighbour, [] {});
    ExpectNothingWasMissed();
    return;
  }
  Send(7);
  // The last reading.
  ASSERT_OK(client_->ResetCounter("sent").status());
  ASSERT_OK(client_->ResetCounter("by-hand").status());
  ASSERT_OK(neighbour->Start());
  const std::string theirs = ForeignRuleset();
  AwaitRepair("customers");
  AwaitRepair(".rules");
  Send(5);
  ExpectAllCounted();
  EXPECT_EQ(ForeignRuleset(), theirs);
  EXPECT_TRUE(StatusOf("customers").has_missed_from());
  EXPECT_THAT(Notices(), HasSubstr("(tables inet filter)"));
  AwaitGap("sent");
  AwaitGap("by-hand");
}

// nft refuses the whole of it, as the table belongs to nfmeterd.
TEST(SavedRulesetTest, WithOurTableInItIsRefusedAndChangesNothing) {
  const auto neighbour = testing::MakeNftablesService();
  FaultServer server({.arguments = {"--backend", "nftables"}});
  ASSERT_OK(neighbour->Start());
  ASSERT_OK(server.Start());
  ASSERT_OK(server.Connect()->CreateCounter("sent").status());
  const std::string saved = testing::Run({"nft", "list", "ruleset"}).out;
  ASSERT_THAT(saved, HasSubstr("table inet nfmeter"));
  const auto restored =
      testing::Run({"nft", "-f", "-"}, "flush ruleset\n" + saved);
  EXPECT_NE(restored.exit_code, 0);
  EXPECT_THAT(restored.err, HasSubstr("Operation not permitted"));
  EXPECT_EQ(testing::Run({"nft", "list", "ruleset"}).out, saved);
  EXPECT_OK(server.Connect()->GetCounter("sent").status());
}

}  // namespace
}  // namespace nfmeter
