// SPDX-License-Identifier: GPL-3.0-or-later
// nfmeter-collector with two PostgreSQL servers that Pgpool-II writes to at
// once: the same in both, whichever of the three is killed.
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "tests/collector/postgres_fixture.h"
#include "tests/collector/replicated_postgres.h"
#include "tests/support/status_matchers.h"

namespace nfmeter {
namespace {

using testing::CollectorProcess;
using ::testing::HasSubstr;
using testing::PostgresProcess;
using testing::RunCollector;

// All that a server keeps of nodes, but when it was stored.
std::string Contents(const PostgresProcess& server) {
  return server.Query(
      "TABLE nfmeter.nodes ORDER BY 1;"
      "SELECT node, epoch, sequence, record_time FROM nfmeter.cursors "
      "ORDER BY 1;"
      "TABLE nfmeter.counters ORDER BY 1, 2, 3;"
      "TABLE nfmeter.records ORDER BY 1, 3, 4, 5;"
      "TABLE nfmeter.gaps ORDER BY 1, 2, 3;"
      "TABLE nfmeter.leases ORDER BY 1;"
      "SELECT event - 'time' FROM nfmeter.outbox ORDER BY id;"
      "SELECT bucket, node, touched FROM nfmeter.rollup_due ORDER BY 1, 2");
}

class ReplicatedTest : public testing::PostgresFixture {
 protected:
  void SetUp() override {
    PostgresFixture::SetUp();
    ASSERT_OK(replica_.Start());
    ASSERT_OK(pool_.Start());
  }
  void TearDown() override {
    if (HasFailure()) ADD_FAILURE() << "Pgpool-II said:\n" << pool_.Log();
  }
  std::unique_ptr<CollectorProcess> Start(const std::string& name) {
    std::vector<std::string> arguments = Arguments(name);
    arguments[3] = pool_.url();
    return std::make_unique<CollectorProcess>(arguments);
  }

  const PostgresProcess& database() const override { return *database_; }
  // Counts and stores on, with the servers that are left.
  void GoOn() {
    for (int i = 0; i < 3; ++i) {
      Count(1);
      AwaitTotal();
    }
    EXPECT_EQ(DoubledRows(), "0");
  }
  // Whether Pgpool-II has parted with one of the two.
  bool IsAlone() const {
    return testing::Run(
               {"psql", "--no-psqlrc", "-qtAc", "SHOW pool_nodes", pool_.url()})
               .out.find("|down|") != std::string::npos;
  }

  PostgresProcess replica_;
  testing::ReplicatedPostgres pool_{postgres_, replica_};
  const PostgresProcess* database_ = &postgres_;
};

TEST_F(ReplicatedTest, BothServersHaveTheSame) {
  // Alone, until the schema is there: of two that make it at the same moment
  // one is refused by the main server and not by the other.
  auto first = Start("first");
  GoOn();
  auto second = Start("second");
  GoOn();
  first->Kill();
  Count(1);
  EXPECT_LE(AwaitTotal(), kLease + absl::Seconds(5));
  EXPECT_THAT(RunCollector({"status", "--sink", pool_.url()}).out,
              HasSubstr("256 of 256 shards held, 8 nodes"));
  EXPECT_EQ(second->Stop(), 0) << second->Log();
  EXPECT_FALSE(IsAlone()) << pool_.Log();
  EXPECT_EQ(DoubledRows(), "0");
  EXPECT_EQ(Contents(postgres_), Contents(replica_));
}

TEST_F(ReplicatedTest, WithoutTheReplicaItGoesOn) {
  auto collector = Start("one");
  GoOn();
  replica_.Kill();
  GoOn();
}

TEST_F(ReplicatedTest, TheReplicaTakesOverFromTheMainServer) {
  auto collector = Start("one");
  GoOn();
  postgres_.Kill();
  database_ = &replica_;
  GoOn();
}

// Between the COMMITs of two servers nothing makes them one: those that are cut
// there differ.
TEST_F(ReplicatedTest, AServerThatDiffersIsLeftOut) {
  auto collector = Start("one");
  GoOn();
  EXPECT_EQ(replica_.Query("UPDATE nfmeter.cursors SET sequence = sequence + 1 "
                           "WHERE node = 1"),
            "");
  GoOn();
  EXPECT_TRUE(IsAlone()) << pool_.Log();
}

TEST_F(ReplicatedTest, PgpoolKilledAtAnyMomentLosesAndDoublesNothing) {
  auto collector = Start("one");
  GoOn();
  for (int round = 0; round < 5; ++round) {
    const absl::Time until = absl::Now() + absl::Milliseconds(60 * round);
    do {
      Count(1);
    } while (absl::Now() < until);
    pool_.Kill();
    ASSERT_OK(pool_.Start());
  }
  GoOn();
  EXPECT_EQ(collector->Stop(), 0) << collector->Log();
  if (!IsAlone()) {
    EXPECT_EQ(Contents(postgres_), Contents(replica_));
  }
}

}  // namespace
}  // namespace nfmeter
