// SPDX-License-Identifier: GPL-3.0-or-later
// Totals in PostgreSQL, whatever happens on the way: equal to what the nodes
// counted.
#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <ostream>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "tests/collector/postgres_fixture.h"
#include "tests/fault/fault_server.h"
#include "tests/fault/injection.h"
#include "tests/support/eventually.h"

namespace nfmeter {
namespace {

using testing::CollectorProcess;
using testing::FakeFleet;
using ::testing::HasSubstr;
using testing::Injection;

using PostgresFaultTest = testing::PostgresFixture;

// The system calls over which a collector speaks with the database and with
// nodes.
class KillSweepTest : public PostgresFaultTest,
                      public ::testing::WithParamInterface<const char*> {};

TEST_P(KillSweepTest, KilledAtEachCallItLosesAndDoublesNothing) {
  Count(1);
  int kills = 0;
  for (int n = 1; n <= 64; n = n < 6 ? n + 1 : n * 2) {
    SCOPED_TRACE(absl::StrCat("killed at ", GetParam(), " ", n));
    auto collector = Start(absl::StrCat("one-", n));
    AwaitTotal();
    {
      const Injection kill(collector->pid(), "",
                           absl::StrCat(GetParam(), ":signal=KILL:when=", n));
      ASSERT_OK(kill.status());
      const absl::Time until = absl::Now() + absl::Seconds(5);
      while (collector->IsRunning() && absl::Now() < until) Count(1);
    }
    if (!collector->IsRunning()) ++kills;
    collector->Kill();
    FreeLeases();
  }
  auto collector = Start();
  AwaitTotal();
  EXPECT_EQ(DoubledRows(), "0");
  EXPECT_GT(kills, 5);
}

INSTANTIATE_TEST_SUITE_P(Calls, KillSweepTest,
                         ::testing::Values("sendto", "recvfrom", "sendmsg"));

// A database whose disk is full refuses, and goes on when there is room.
TEST_F(PostgresFaultTest, AFullDiskOfTheDatabaseIsWaitedOut) {
  testing::TemporaryDirectory disk;
  ASSERT_EQ(mount("tmpfs", disk.path().c_str(), "tmpfs", 0, "size=24m"), 0);
  if (geteuid() == 0) testing::Run({"chown", "postgres:", disk.path()});
  ASSERT_EQ(postgres_.Query(absl::StrCat("CREATE TABLESPACE small LOCATION '",
                                         disk.path(), "'")),
            "");
  ASSERT_EQ(postgres_.Query("ALTER DATABASE postgres SET default_tablespace = "
                            "small"),
            "");
  auto collector = Start();
  Count(1);
  AwaitTotal();
  const std::string filler = disk / "filler";
  const int fd = open(filler.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  const char page[4096] = {};
  while (write(fd, page, sizeof(page)) > 0) {
  }
  close(fd);
  // Enough that the tables have to grow.
  const absl::Time deadline = absl::Now() + kPatience;
  while (collector->Log().find("could not extend file") == std::string::npos &&
         absl::Now() < deadline) {
    Count(1);
  }
  EXPECT_THAT(collector->Log(), HasSubstr("could not extend file"));
  std::filesystem::remove(filler);
  AwaitTotal();
  EXPECT_EQ(DoubledRows(), "0");
  collector.reset();
  umount2(disk.path().c_str(), MNT_DETACH);
}

TEST_F(PostgresFaultTest, ADatabaseThatIsStoppedForAWhileIsWaitedOut) {
  auto collector = Start();
  Count(1);
  AwaitTotal();
  const std::string backends = postgres_.Query(
      "SELECT string_agg(pid::text, ' ') FROM pg_stat_activity WHERE "
      "application_name = 'nfmeter-collector'");
  testing::Run({"sh", "-c", "kill -STOP " + backends});
  Count(1);
  Count(1);
  // Beyond the lease, which nobody can renew.
  const absl::Time until = absl::Now() + kLease * 1.5;
  while (absl::Now() < until) Count(1);
  testing::Run({"sh", "-c", "kill -CONT " + backends});
  AwaitTotal();
  EXPECT_EQ(DoubledRows(), "0");
}

// The nodes are in the test's namespace, the collector in another one; the
// database is reached by its socket.
TEST_F(PostgresFaultTest, ANetworkThatIsCutIsWaitedOut) {
  const testing::Background other({"unshare", "--net", "sleep", "600"}, "");
  const std::string pid = absl::StrCat(other.pid());
  const auto sh = [](const std::string& command) {
    const auto result = testing::Run({"sh", "-ec", command});
    ASSERT_EQ(result.exit_code, 0) << command << result.err;
  };
  const std::string link =
      absl::StrCat("ip link add cut0 type veth peer name cut1 netns ", pid);
  ASSERT_TRUE(testing::Eventually([&] {
    return testing::Run({"sh", "-c",
                         absl::StrCat("[ /proc/", pid,
                                      "/ns/net -ef /proc/self/ns/net ]")})
               .exit_code != 0;
  }));
  sh(link);
  sh("ip addr add 10.99.0.1/16 dev cut0; ip link set cut0 up");
  for (int i = 0; i < kNodes; ++i) {
    if (i > 0) sh(absl::StrCat("ip addr add 10.99.0.", i + 1, "/16 dev cut0"));
  }
  const std::string inside = absl::StrCat("nsenter -t ", pid, " -n ");
  sh(absl::StrCat(inside, "ip addr add 10.99.1.1/16 dev cut1"));
  sh(absl::StrCat(inside, "ip link set cut1 up; ", inside,
                  "ip link set lo up"));
  FakeFleet fleet(kNodes, kCounters, "10.99.");
  std::ofstream(targets_) << fleet.Targets();
  const CollectorProcess collector(Arguments(), {},
                                   {"nsenter", "-t", pid, "-n"});
  const auto count_all = [&fleet] {
    for (int i = 0; i < kNodes; ++i) {
      fleet.node(i).Count(1, 3);
      fleet.node(i).Tick();
    }
  };
  const auto await = [&] {
    EXPECT_TRUE(testing::Eventually(
        [&] { return Total() == absl::StrCat(fleet.Total()); }, kPatience))
        << collector.Log();
  };
  count_all();
  await();
  for (int round = 0; round < 3; ++round) {
    sh("ip link set cut0 down");
    count_all();
    count_all();
    sh("ip link set cut0 up");
    count_all();
    await();
  }
  EXPECT_EQ(DoubledRows(), "0");
}

}  // namespace
}  // namespace nfmeter
