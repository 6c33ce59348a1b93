// SPDX-License-Identifier: GPL-3.0-or-later
// nfmeter-collector with a real PostgreSQL and nodes that count: every packet
// is in the database once, whatever is killed, stopped or cut.
#include "collector/postgres.h"

#include <signal.h>

#include <algorithm>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "collector/postgres_schema.h"
#include "gmock/gmock.h"
#include "tests/collector/postgres_fixture.h"
#include "tests/support/eventually.h"
#include "tests/support/status_matchers.h"
#include "tests/support/subprocess.h"

namespace nfmeter {
namespace {

using testing::CollectorProcess;
using testing::Eventually;
using ::testing::HasSubstr;
using testing::RunCollector;
using ::testing::StartsWith;

using PostgresTest = testing::PostgresFixture;

TEST_F(PostgresTest, TotalsInTheDatabaseAreThoseOfTheNodes) {
  Count(10);
  auto collector = Start();
  AwaitTotal();
  Count(1);
  AwaitTotal();
  EXPECT_EQ(postgres_.Query("SELECT count(*) FROM nfmeter.usage_total WHERE "
                            "node = 'n3' AND counter = 'c2' AND packets = 15 "
                            "AND bytes = 1500 AND NOT uncertain"),
            "1");
  EXPECT_EQ(postgres_.Query("SELECT labels->>'tenant' FROM nfmeter.counters "
                            "WHERE name = 'c2' LIMIT 1"),
            "blue");
  EXPECT_THAT(RunCollector({"status", "--sink", postgres_.url()}).out,
              HasSubstr("256 of 256 shards held, 8 nodes"));
  EXPECT_EQ(collector->Stop(), 0) << collector->Log();
  EXPECT_EQ(postgres_.Query("SELECT count(*) FROM nfmeter.leases WHERE holder "
                            "LIKE 'one%'"),
            "0");
}

TEST_F(PostgresTest, KilledAtAnyMomentItLosesAndDoublesNothing) {
  Count(1);
  for (int round = 0; round < 12; ++round) {
    auto collector = Start(absl::StrCat("one-", round));
    // Kills at moments that move through start, leases, copies and commits.
    const absl::Time until = absl::Now() + absl::Milliseconds(60 * round);
    do {
      Count(1);
    } while (absl::Now() < until);
    collector->Kill();
    FreeLeases();
  }
  auto collector = Start();
  AwaitTotal();
}

TEST_F(PostgresTest, TheDatabaseKilledAndStartedAgainHasEverything) {
  auto collector = Start();
  Count(1);
  AwaitTotal();
  for (int round = 0; round < 4; ++round) {
    const absl::Time until = absl::Now() + absl::Milliseconds(40 * round);
    do {
      Count(1);
    } while (absl::Now() < until);
    postgres_.Kill();
    Count(1);
    ASSERT_OK(postgres_.Start());
  }
  AwaitTotal();
}

TEST_F(PostgresTest, TheNodesOfAKilledCollectorAreTakenOver) {
  auto first = Start("first");
  auto second = Start("second");
  Count(1);
  AwaitTotal();
  const auto shares = [this] {
    return postgres_.Query(
        "SELECT count(DISTINCT holder) FROM nfmeter.leases WHERE shard >= 0 "
        "AND expires > now()");
  };
  EXPECT_TRUE(Eventually([&] { return shares() == "2"; }, kPatience));
  first->Kill();
  Count(1);
  EXPECT_LE(AwaitTotal(), kLease + absl::Seconds(5));
}

TEST_F(PostgresTest, WhoLeavesGivesItsNodesBackAtOnce) {
  const absl::Duration lease = absl::Minutes(2);
  const auto start = [&](const std::string& name) {
    std::vector<std::string> arguments = Arguments(name);
    arguments.back() = absl::FormatDuration(lease);
    return std::make_unique<testing::CollectorProcess>(arguments);
  };
  auto first = start("first");
  Count(1);
  AwaitTotal();
  EXPECT_EQ(first->Stop(), 0);
  auto second = start("second");
  Count(1);
  EXPECT_LE(AwaitTotal(), lease / 2);
}

TEST_F(PostgresTest, ACollectorStoppedBeyondItsLeaseStoresNothingMore) {
  auto first = Start("first");
  Count(1);
  AwaitTotal();
  first->Signal(SIGSTOP);
  // It finds these when it wakes, and believes that it still holds the nodes.
  Count(1);
  auto second = Start("second");
  EXPECT_LE(AwaitTotal(), kLease + absl::Seconds(5));
  Count(1);
  first->Signal(SIGCONT);
  AwaitTotal();
  Count(1);
  AwaitTotal();
  EXPECT_EQ(DoubledRows(), "0");
}

TEST_F(PostgresTest, ASilentNodeHoldsUpNoOther) {
  fleet_.node(0).SetSilent(true);
  auto collector = Start();
  Count(1);
  const auto others = [this] {
    return postgres_.Query("SELECT count(*) FROM nfmeter.cursors");
  };
  EXPECT_TRUE(Eventually([&] { return others() == absl::StrCat(kNodes - 1); },
                         kPatience));
  fleet_.node(0).SetSilent(false);
  AwaitTotal();
}

TEST_F(PostgresTest, TwoTargetsThatAreOneNodeAreTold) {
  fleet_.node(1).SetId("id-0");
  auto collector = Start();
  Count(1);
  std::string status;
  EXPECT_TRUE(Eventually(
      [&] {
        status = RunCollector({"status", "--sink", postgres_.url()}).out;
        return absl::StrContains(status, "are the same node, id-0");
      },
      kPatience))
      << status;
  // The second one asks again and again, and takes no stream from the first.
  const auto streams = [this] {
    return fleet_.node(0).streams() + fleet_.node(1).streams();
  };
  const auto asked = [this] {
    return fleet_.node(0).introductions() + fleet_.node(1).introductions();
  };
  const int streams_before = streams();
  const int asked_before = asked();
  EXPECT_TRUE(
      Eventually([&] { return asked() >= asked_before + 3; }, kPatience));
  EXPECT_EQ(streams(), streams_before);
}

// As addresses of a name in the DNS do.
TEST_F(PostgresTest, NamesThatNodesExchangeGoWithThem) {
  auto collector = Start();
  Count(1);
  AwaitTotal();
  std::ofstream(targets_) << absl::StrReplaceAll(
      fleet_.Targets(),
      {{"name: n0,", "name: n1,"}, {"name: n1,", "name: n0,"}});
  const auto name = [this] {
    return postgres_.Query(
        "SELECT string_agg(name, ' ' ORDER BY node_id) FROM nfmeter.nodes "
        "WHERE node_id IN ('id-0', 'id-1')");
  };
  EXPECT_TRUE(Eventually(
      [&] {
        Count(1);
        return name() == "n1 n0";
      },
      kPatience))
      << name() << collector->Log();
  AwaitTotal();
}

TEST_F(PostgresTest, ALedgerSetBackToABackupIsAGapAndTotalsNeverFall) {
  Count(1);
  auto collector = Start();
  Count(5);
  AwaitTotal();
  const uint64_t before = fleet_.node(0).total(1);
  fleet_.node(0).SetBack(/*sequence=*/2, /*epoch=*/9);
  const uint64_t backup = fleet_.node(0).total(1);
  ASSERT_LT(backup, before);
  fleet_.node(0).Count(1, 7);
  fleet_.node(0).Tick();
  const std::string query =
      "SELECT packets, uncertain FROM nfmeter.usage_total WHERE node = 'n0' "
      "AND counter = 'c1'";
  // The collector may see the backup's totals first, or those after it.
  EXPECT_TRUE(Eventually(
      [&] { return absl::StrContains(postgres_.Query(query), "|t"); },
      kPatience));
  fleet_.node(0).Count(1, 3);
  fleet_.node(0).Tick();
  uint64_t total = 0;
  EXPECT_TRUE(Eventually(
      [&] {
        const std::vector<std::string> columns =
            absl::StrSplit(postgres_.Query(query), '|');
        EXPECT_TRUE(absl::SimpleAtoi(columns[0], &total));
        EXPECT_GE(total, before);
        return total >= before + 3;
      },
      kPatience));
  EXPECT_LE(total, before + 10);
  EXPECT_EQ(postgres_.Query("SELECT cause FROM nfmeter.uncertain WHERE node = "
                            "'n0'"),
            "LEDGER_SET_BACK");
}

TEST_F(PostgresTest, ALedgerSetBackToACopyThatGrewBeyondTheCursorIsSeen) {
  Count(1);
  auto collector = Start();
  Count(5);
  AwaitTotal();
  EXPECT_EQ(collector->Stop(), 0);
  testing::FakeNode& node = fleet_.node(0);
  const uint64_t before = node.total(1);
  const uint64_t cursor = node.sequence();
  node.SetBack(/*sequence=*/2, /*epoch=*/1);
  while (node.sequence() <= cursor) {
    node.Count(1, 100);
    node.Tick();
  }
  collector = Start();
  const std::string query =
      "SELECT packets, uncertain FROM nfmeter.usage_total WHERE node = 'n0' "
      "AND counter = 'c1'";
  const std::string now = absl::StrCat(std::max(before, node.total(1)), "|t");
  EXPECT_TRUE(
      Eventually([&] { return postgres_.Query(query) == now; }, kPatience))
      << postgres_.Query(query) << " instead of " << now << collector->Log();
  EXPECT_EQ(postgres_.Query("SELECT cause FROM nfmeter.uncertain WHERE node = "
                            "'n0'"),
            "LEDGER_SET_BACK");
}

TEST_F(PostgresTest, AClockThatIsDaysAheadChangesNoTotal) {
  fleet_.node(2).SetClockAhead(3 * 86'400 * 10);
  auto collector = Start();
  Count(1);
  AwaitTotal();
  EXPECT_NE(postgres_.Query("SELECT count(*) FROM nfmeter.records_other"), "0");
}

TEST_F(PostgresTest, RollUpsAreTheUsageOfTheirTime) {
  auto collector = Start();
  Count(1);
  AwaitTotal();
  Count(4);
  AwaitTotal();
  // As if the five minutes were over.
  EXPECT_EQ(
      postgres_.Query(
          "UPDATE nfmeter.records SET time = time - interval '10 minutes';"
          "UPDATE nfmeter.rollup_due SET bucket = bucket - interval '10 "
          "minutes';"
          "SELECT nfmeter.roll_up() > 0"),
      "t");
  // What a node had counted before it was collected is in no bucket.
  const std::string carried =
      " (SELECT sum(carried_packets) FROM nfmeter.counters)";
  for (const char* view : {"usage_five_minutes", "usage_month_by_tenant"}) {
    EXPECT_EQ(postgres_.Query(absl::StrCat("SELECT sum(packets) + ", carried,
                                           " FROM nfmeter.", view)),
              absl::StrCat(fleet_.Total()));
  }
  EXPECT_EQ(postgres_.Query("SELECT count(*) FROM nfmeter.top_counters"),
            absl::StrCat(kNodes * kCounters));
  EXPECT_EQ(postgres_.Query("SELECT count(*) FROM nfmeter.p95_by_tenant"), "2");
}

TEST_F(PostgresTest, OldPartitionsAreDropped) {
  auto collector = Start();
  Count(1);
  AwaitTotal();
  EXPECT_EQ(postgres_.Query(
                "UPDATE nfmeter.policy SET keep_records = '1 day';"
                "SELECT nfmeter.retain();"
                "SELECT count(*) > 3 AND count(*) < 8 FROM pg_inherits WHERE "
                "inhparent = 'nfmeter.records'::regclass"),
            "t");
  AwaitTotal();
}

TEST_F(PostgresTest, ReadersReadAndChangeNothing) {
  auto collector = Start();
  Count(1);
  AwaitTotal();
  EXPECT_EQ(postgres_.Query("SET ROLE nfmeter_reader; SELECT count(*) FROM "
                            "nfmeter.usage_total"),
            absl::StrCat(kNodes * kCounters));
  EXPECT_THAT(postgres_.Query("SET ROLE nfmeter_reader; DELETE FROM "
                              "nfmeter.gaps"),
              HasSubstr("permission denied"));
}

TEST_F(PostgresTest, CollectorsThatStartTogetherMakeTheSchemaOnce) {
  for (int round = 0; round < 5; ++round) {
    std::vector<std::unique_ptr<CollectorProcess>> collectors;
    for (int i = 0; i < 6; ++i) {
      collectors.push_back(Start(absl::StrCat("c", i)));
    }
    Count(3);
    AwaitTotal();
    for (const auto& each : collectors) {
      EXPECT_TRUE(each->IsRunning()) << each->Log();
      EXPECT_EQ(each->Stop(), 0) << each->Log();
    }
    postgres_.Query("DROP SCHEMA nfmeter CASCADE");
  }
}

// Which drew keys from sequences.
TEST_F(PostgresTest, AnOlderSchemaIsMigratedWithWhatIsInIt) {
  postgres_.Query(
      "CREATE SCHEMA nfmeter; CREATE TABLE nfmeter.schema_version (only_row "
      "boolean PRIMARY KEY DEFAULT true, version int NOT NULL); INSERT INTO "
      "nfmeter.schema_version (version) VALUES (3)");
  const std::vector<std::string> migrations = collector::PostgresMigrations();
  for (int i = 0; i < 3; ++i) postgres_.Query(migrations[i]);
  postgres_.Query(
      "INSERT INTO nfmeter.nodes (node_id, name) VALUES ('a', 'old-a'), ('b', "
      "'old-b'); INSERT INTO nfmeter.outbox (event) VALUES ('{}')");
  auto collector = Start();
  Count(1);
  AwaitTotal();
  EXPECT_EQ(postgres_.Query("SELECT node FROM nfmeter.nodes WHERE name = "
                            "'old-b'"),
            "2");
  EXPECT_EQ(postgres_.Query("SELECT min(node), count(*) FROM nfmeter.nodes "
                            "WHERE name NOT LIKE 'old-%'"),
            absl::StrCat("3|", kNodes));
  EXPECT_EQ(postgres_.Query("SELECT event FROM nfmeter.outbox WHERE id = '1'"),
            "{}");
  EXPECT_EQ(collector->Stop(), 0) << collector->Log();
}

TEST_F(PostgresTest, ANewerSchemaIsLeftAlone) {
  auto collector = Start();
  Count(1);
  AwaitTotal();
  collector->Stop();
  postgres_.Query("UPDATE nfmeter.schema_version SET version = 99");
  const auto refused = RunCollector(Arguments());
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_THAT(refused.err, HasSubstr("schema version 99"));
}

TEST_F(PostgresTest, ADatabaseWithoutUsageIsTold) {
  const auto status = RunCollector({"status", "--sink", postgres_.url()});
  EXPECT_EQ(status.exit_code, 2);
  EXPECT_THAT(status.err, HasSubstr("nothing was collected into it yet"));
  std::vector<std::string> check = Arguments();
  check.emplace_back("--check-config");
  EXPECT_EQ(RunCollector(check).exit_code, 0);
  check[3] = absl::StrReplaceAll(check[3], {{"/postgres?", "/nodatabase?"}});
  const auto refused = RunCollector(check);
  EXPECT_EQ(refused.exit_code, 2) << refused.out;
  EXPECT_THAT(refused.err, HasSubstr("\"nodatabase\" does not exist"));
}

TEST_F(PostgresTest, WhatTheDatabaseLacksIsTold) {
  postgres_.Query("DROP EXTENSION plpgsql CASCADE");
  const auto refused = RunCollector(Arguments());
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_THAT(refused.err,
              HasSubstr("the database lacks what nfmeter-collector needs: "
                        "PL/pgSQL with exceptions (language \"plpgsql\" does "
                        "not exist)."));
  // It is tried again from where it was.
  postgres_.Query("CREATE EXTENSION plpgsql");
  auto collector = Start();
  Count(1);
  AwaitTotal();
}

TEST_F(PostgresTest, RightsThatAreLackingAreTold) {
  postgres_.Query("CREATE ROLE weak LOGIN");
  const auto refused = RunCollector(
      {"--targets", targets_, "--sink",
       absl::StrReplaceAll(postgres_.url(), {{"postgres@", "weak@"}})});
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_THAT(refused.err, HasSubstr("permission denied for database"));
}

TEST_F(PostgresTest, WhoMayOnlyReadIsToldBeforeItCollects) {
  auto collector = Start();
  Count(1);
  AwaitTotal();
  EXPECT_EQ(collector->Stop(), 0) << collector->Log();
  postgres_.Query("CREATE ROLE reader LOGIN; GRANT nfmeter_reader TO reader");
  std::vector<std::string> arguments = Arguments();
  arguments[3] = absl::StrReplaceAll(arguments[3], {{"postgres@", "reader@"}});
  const auto refused = RunCollector(arguments);
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_THAT(refused.err, HasSubstr("permission denied for table leases"));
  EXPECT_EQ(RunCollector({"status", "--sink", arguments[3]}).exit_code, 0);
  arguments.emplace_back("--check-config");
  EXPECT_EQ(RunCollector(arguments).exit_code, 2);
  // As a standby says, until it is the main server.
  postgres_.Query("ALTER ROLE postgres SET default_transaction_read_only = on");
  EXPECT_EQ(RunCollector(Arguments()).exit_code, 1);
}

TEST_F(PostgresTest, WithoutBrinIndexesItHasAnOrdinaryOne) {
  postgres_.Query(
      "SET allow_system_table_mods = on; DELETE FROM pg_am WHERE amname = "
      "'brin'");
  auto collector = Start();
  Count(1);
  AwaitTotal();
  EXPECT_THAT(postgres_.Query("SELECT indexdef FROM pg_indexes WHERE indexname "
                              "= 'records_by_time'"),
              HasSubstr("USING btree"));
}

TEST_F(PostgresTest, AConnectionThatBreaksSaysWhy) {
  collector::postgres::Connection connection(postgres_.url());
  ASSERT_OK(connection.Execute("SELECT 1"));
  const std::string session = postgres_.Query(
      "SELECT pid FROM pg_stat_activity WHERE application_name = "
      "'nfmeter-collector'");
  testing::Run({"sh", "-c", "kill -KILL " + session});
  const absl::Status broken = connection.Execute("SELECT 1");
  EXPECT_EQ(broken.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(broken.message()),
              StartsWith("the database: server closed the connection"));
}

TEST(PostgresUrlTest, ADatabaseThatIsNotThereIsTold) {
  testing::TemporaryDirectory dir;
  std::ofstream(dir / "nodes.yaml")
      << "targets:\n  - {name: a, address: \"unix:/nowhere.sock\"}\n";
  const auto result =
      RunCollector({"--targets", dir / "nodes.yaml", "--sink",
                    "postgresql://postgres@127.0.0.1:1/x", "--check-config"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, HasSubstr("Connection refused"));
}

}  // namespace
}  // namespace nfmeter
