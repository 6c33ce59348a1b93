// SPDX-License-Identifier: GPL-3.0-or-later
// Usage on hosts with neighbours, reboots, full disks and clocks that are set:
// equal to what was sent, or less by what a gap tells.
#include <sched.h>
#include <stdlib.h>

#include <cstdlib>
#include <fstream>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "tests/fault/firewall.h"
#include "tests/fault/iptables.h"
#include "tests/fault/small_disk.h"
#include "tests/fault/usage_fixture.h"
#include "tests/support/eventually.h"
#include "tests/support/status_matchers.h"

namespace nfmeter {
namespace {

using ::nfmeter::testing::Collector;
using ::nfmeter::testing::Firewall;
using ::nfmeter::testing::FirewallKind;
using ::nfmeter::testing::kPacketBytes;
using ::nfmeter::testing::SmallDisk;
using ::nfmeter::testing::UsageFaultTest;
using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::Contains;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class UsageHostTest : public UsageFaultTest {
 protected:
  using UsageFaultTest::UsageFaultTest;

  static void Succeeds(const std::vector<std::string>& argv) {
    const testing::RunResult run = testing::Run(argv);
    ASSERT_EQ(run.exit_code, 0) << run.err;
  }
  // The server makes what is missing again: the counter, and then its rule.
  static void AwaitRule() {
    ASSERT_TRUE(testing::Eventually(
        [] { return !testing::kIptables.make()->ManagedRules().empty(); }));
  }
};

// --- Neighbours --------------------------------------------------------------

// What another program does, as a command of the shell.
struct Deed {
  const char* name;
  FirewallKind kind;
  std::string command;
  friend std::ostream& operator<<(std::ostream& out, const Deed& deed) {
    return out << deed.kind << " " << deed.name;
  }
};

class ForeignDeedTest : public UsageHostTest,
                        public ::testing::WithParamInterface<Deed> {
 protected:
  ForeignDeedTest()
      : UsageHostTest("", GetParam().kind.backend),
        firewall_(GetParam().kind.make()) {}

  static bool Do() {
    return testing::Run({"bash", "-c", GetParam().command}).exit_code == 0;
  }
  // The server makes what is missing again: the counter, and then its rule.
  void AwaitRule() {
    ASSERT_TRUE(testing::Eventually(
        [&] { return !firewall_->ManagedRules().empty(); }));
  }

  const std::unique_ptr<Firewall> firewall_;
};

std::string NameOfDeed(const ::testing::TestParamInfo<Deed>& info) {
  return absl::StrCat(info.param.kind.name, "_", info.param.name);
}

// Values can be reset by everybody, also in a table that is the server's.
class ForeignResetTest : public ForeignDeedTest {};

INSTANTIATE_TEST_SUITE_P(
    Others, ForeignResetTest,
    ::testing::Values(
        Deed{"ByName", testing::kIptables, "nfacct get counted reset"},
        Deed{"OfAll", testing::kIptables, "nfacct list reset"},
        Deed{"ByName", testing::kNftables,
             "nft reset counter inet nfmeter c.counted"},
        Deed{"OfAll", testing::kNftables, "nft reset counters"},
        Deed{"ByName", testing::kPlainNftables,
             "nft reset counter inet nfmeter c.counted"},
        Deed{"OfAll", testing::kPlainNftables, "nft reset counters"}),
    NameOfDeed);

TEST_P(ForeignResetTest, LosesWhatNoReadingSawAndIsAGap) {
  ASSERT_NO_FATAL_FAILURE(Send(10));
  EXPECT_EQ(TotalAfterTick(), 10u);
  ASSERT_NO_FATAL_FAILURE(Send(6));
  ASSERT_TRUE(Do());
  ASSERT_NO_FATAL_FAILURE(Send(1));
  EXPECT_EQ(TotalAfterTick(), sent_ - 6);
  EXPECT_THAT(GapCauses(), ElementsAre(v1::USAGE_GAP_CAUSE_FOREIGN_RESET));
  ASSERT_NO_FATAL_FAILURE(Send(2));
  EXPECT_EQ(TotalAfterTick(), sent_ - 6);
}

TEST_P(ForeignResetTest, WhileTheServerIsAwayIsSeenWhenItIsBack) {
  ASSERT_NO_FATAL_FAILURE(Send(10));
  EXPECT_EQ(TotalAfterTick(), 10u);
  server_.process().Stop();
  ASSERT_NO_FATAL_FAILURE(Send(3));
  ASSERT_TRUE(Do());
  ASSERT_NO_FATAL_FAILURE(Send(4));
  ASSERT_OK(server_.Start());
  EXPECT_EQ(TotalAfterTick(), sent_ - 3);
  EXPECT_THAT(GapCauses(), ElementsAre(v1::USAGE_GAP_CAUSE_FOREIGN_RESET));
}

// NFT_MSG_GETRULE_RESET for all rules, as nft 1.0.7 and newer send it for "nft
// reset rules".
constexpr char kResetRules[] = R"(python3 -c "
import socket, struct
s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)
s.send(struct.pack('=IHHIIBBH', 20, 10 << 8 | 25, 0x301, 1, 0, 1, 0, 0))
while struct.unpack_from('=IH', s.recv(1 << 16))[1] != 3: pass")";

// Rules have counters of their own, which are only shown.
class ForeignRuleResetTest : public ForeignDeedTest {};

INSTANTIATE_TEST_SUITE_P(
    Others, ForeignRuleResetTest,
    ::testing::Values(Deed{"Zero", testing::kIptables, "iptables-legacy -Z"},
                      Deed{"Reset", testing::kNftables, kResetRules},
                      Deed{"Reset", testing::kPlainNftables, kResetRules}),
    NameOfDeed);

TEST_P(ForeignRuleResetTest, LosesNothing) {
  ASSERT_NO_FATAL_FAILURE(Send(10));
  EXPECT_EQ(TotalAfterTick(), 10u);
  ASSERT_NO_FATAL_FAILURE(Send(6));
  ASSERT_TRUE(Do());
  const auto rules = server_.Connect()->ListRules();
  ASSERT_OK(rules.status());
  ASSERT_THAT(rules->rules(), SizeIs(1));
  EXPECT_EQ(rules->rules(0).packets(), 0u);
  ASSERT_NO_FATAL_FAILURE(Send(1));
  EXPECT_EQ(TotalAfterTick(), sent_);
  EXPECT_THAT(GapCauses(), IsEmpty());
}

class ForeignDeletionTest : public ForeignDeedTest {};

INSTANTIATE_TEST_SUITE_P(
    Others, ForeignDeletionTest,
    ::testing::Values(Deed{"Delete", testing::kIptables,
                           "iptables-legacy -w 60 -F && nfacct delete counted"},
                      Deed{"Delete", testing::kPlainNftables,
                           "nft 'flush chain inet nfmeter ip-filter-OUTPUT; "
                           "delete counter inet nfmeter c.counted'"}),
    NameOfDeed);

TEST_P(ForeignDeletionTest, LosesWhatNoReadingSawAndTheTotalGoesOn) {
  ASSERT_NO_FATAL_FAILURE(Send(10));
  EXPECT_EQ(TotalAfterTick(), 10u);
  ASSERT_NO_FATAL_FAILURE(Send(6));
  // The server may have made the rule again, which needs the counter.
  while (!Do()) {
  }
  ASSERT_NO_FATAL_FAILURE(AwaitRule());
  ASSERT_NO_FATAL_FAILURE(Send(4));
  EXPECT_EQ(TotalAfterTick(), sent_ - 6);
  EXPECT_THAT(GapCauses(), Contains(v1::USAGE_GAP_CAUSE_FOREIGN_DELETE));
}

// --- Reboots -----------------------------------------------------------------

class RebootTest : public UsageHostTest {
 protected:
  // The kernel is another one: nothing of ours is in it.
  void EnterFreshNamespace() {
    ASSERT_EQ(unshare(CLONE_NEWNET), 0);
    ASSERT_NO_FATAL_FAILURE(Succeeds({"ip", "link", "set", "lo", "up"}));
  }
  // Of that, and of the moments until the rule was there again.
  void ExpectOnlyGapsOf(v1::UsageGapCause cause) {
    EXPECT_THAT(GapCauses(),
                AllOf(Contains(cause),
                      Each(AnyOf(cause, v1::USAGE_GAP_CAUSE_RULES_MISSING))));
  }
};

TEST_F(RebootTest, TotalsGoOnAndTheGapIsTold) {
  ASSERT_NO_FATAL_FAILURE(Send(10));
  EXPECT_EQ(TotalAfterTick(), 10u);
  ASSERT_NO_FATAL_FAILURE(Send(5));  // what nobody has read before the crash
  Collector collector("billing");
  collector.Open(server_.target());
  ASSERT_TRUE(collector.Collect());
  collector.Finish();
  server_.process().process().Signal(SIGKILL);
  server_.AwaitEnd();
  ASSERT_NO_FATAL_FAILURE(EnterFreshNamespace());
  std::ofstream(boot_id_) << "second\n";
  ASSERT_OK(server_.Start());
  ASSERT_NO_FATAL_FAILURE(AwaitRule());
  ASSERT_NO_FATAL_FAILURE(Send(3));
  EXPECT_EQ(TotalAfterTick(), sent_ - 5);
  ExpectOnlyGapsOf(v1::USAGE_GAP_CAUSE_REBOOT);
  // A collector goes on over it, and is told.
  collector.Open(server_.target());
  collector.CollectUpTo(Newest());
  collector.Finish();
  EXPECT_EQ(collector.Total("counted"), sent_ - 5);
  ASSERT_FALSE(collector.gaps().empty());
  EXPECT_EQ(collector.gaps()[0].cause(), v1::USAGE_GAP_CAUSE_REBOOT);
}

TEST_F(RebootTest, AnotherNamespaceIsTold) {
  ASSERT_NO_FATAL_FAILURE(Send(10));
  EXPECT_EQ(TotalAfterTick(), 10u);
  server_.process().Stop();
  ASSERT_NO_FATAL_FAILURE(EnterFreshNamespace());
  ASSERT_OK(server_.Start());
  ASSERT_NO_FATAL_FAILURE(AwaitRule());
  ASSERT_NO_FATAL_FAILURE(Send(3));
  EXPECT_EQ(TotalAfterTick(), sent_);
  ExpectOnlyGapsOf(v1::USAGE_GAP_CAUSE_NAMESPACE_CHANGED);
}

// --- Disks -------------------------------------------------------------------

class FullDiskTest : public UsageHostTest {
 protected:
  FullDiskTest() : FullDiskTest(new SmallDisk) {}
  explicit FullDiskTest(SmallDisk* disk)
      : UsageHostTest(disk->state_dir()), disk_(disk) {}
  ~FullDiskTest() override { server_.process().Stop(); }

  const std::unique_ptr<SmallDisk> disk_;
};

TEST_F(FullDiskTest, NothingIsLostAndRecordsFollow) {
  ASSERT_OK(disk_->status());
  ASSERT_NO_FATAL_FAILURE(Send(10));
  EXPECT_EQ(TotalAfterTick(), 10u);
  disk_->Fill();
  for (int i = 0; i < 3; ++i) {
    ASSERT_NO_FATAL_FAILURE(Send(7));
    const auto reset = server_.Connect()->ResetCounter("counted");
    // Whatever it answers, what it took is counted.
    const auto counter = server_.Connect()->GetCounter("counted");
    ASSERT_OK(counter.status());
    EXPECT_EQ(counter->total_packets(), sent_);
    EXPECT_EQ(counter->total_bytes(), sent_ * kPacketBytes);
  }
  disk_->MakeRoom();
  Collector collector("billing");
  collector.Open(server_.target());
  while (collector.Total("counted") < sent_ && collector.Collect()) {
  }
  EXPECT_EQ(collector.Total("counted"), sent_);
  collector.Finish();
  EXPECT_THAT(GapCauses(), IsEmpty());
  // It was durable before it was told.
  ASSERT_OK(server_.Start());  // kills the one before
  EXPECT_EQ(TotalAfterTick(), sent_);
}

// --- Clocks ------------------------------------------------------------------

class ClockStepTest : public UsageHostTest,
                      public ::testing::WithParamInterface<int> {};

TEST_P(ClockStepTest, TotalsAndSequencesDoNotCare) {
  ASSERT_NO_FATAL_FAILURE(Send(10));
  EXPECT_EQ(TotalAfterTick(), 10u);
  // The clock of the next process is set a second after it started.
  setenv("LD_PRELOAD", CLOCK_STEP_LIBRARY, 1);
  setenv("CLOCK_STEP", absl::StrCat(GetParam()).c_str(), 1);
  const absl::Status started = server_.Start();
  unsetenv("LD_PRELOAD");
  ASSERT_OK(started);
  Collector collector("billing");
  collector.Open(server_.target());
  ASSERT_TRUE(collector.Collect());
  ASSERT_NO_FATAL_FAILURE(Send(4));
  const auto client = server_.Connect();
  int64_t away = 0;
  while (std::abs(away) < std::abs(GetParam()) / 2) {
    const auto counter = client->GetCounter("counted");
    ASSERT_OK(counter.status());
    away = counter->read_time().seconds() - absl::ToUnixSeconds(absl::Now());
  }
  ASSERT_NO_FATAL_FAILURE(Send(5));
  EXPECT_EQ(TotalAfterTick(), sent_);
  collector.CollectUpTo(Newest());  // without holes, or it says so
  EXPECT_EQ(collector.Total("counted"), sent_);
  collector.Finish();
  EXPECT_THAT(GapCauses(), IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(Seconds, ClockStepTest,
                         ::testing::Values(-86'400, 86'400));

}  // namespace
}  // namespace nfmeter
