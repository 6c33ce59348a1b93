// SPDX-License-Identifier: GPL-3.0-or-later
// nfmeter-collector with what speaks PostgreSQL's protocol and is not one plain
// PostgreSQL: a pooler in front of it, and databases that roll transactions
// back for others.
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "tests/collector/pooler_process.h"
#include "tests/collector/postgres_fixture.h"
#include "tests/support/eventually.h"
#include "tests/support/status_matchers.h"

namespace nfmeter {
namespace {

using testing::CollectorProcess;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::PoolerProcess;
using testing::RunCollector;

class PoolerTest : public testing::PostgresFixture {
 protected:
  void SetUp() override {
    PostgresFixture::SetUp();
    ASSERT_OK(pooler_.Start());
  }
  std::unique_ptr<CollectorProcess> Start(const std::string& name) {
    std::vector<std::string> arguments = Arguments(name);
    arguments[3] = pooler_.url();
    return std::make_unique<CollectorProcess>(arguments);
  }

  PoolerProcess pooler_{postgres_};
};

TEST_F(PoolerTest, CollectorsNeedNoSessionOfTheirOwn) {
  auto first = Start("first");
  auto second = Start("second");
  for (int i = 0; i < 5; ++i) {
    Count(1);
    AwaitTotal();
  }
  first->Kill();
  Count(1);
  EXPECT_LE(AwaitTotal(), kLease + absl::Seconds(5));
  EXPECT_EQ(DoubledRows(), "0");
  EXPECT_THAT(RunCollector({"status", "--sink", pooler_.url()}).out,
              HasSubstr("8 nodes"));
  EXPECT_EQ(second->Stop(), 0) << second->Log();
  // Nothing that a collector has set is left to whoever comes next.
  const auto settings = testing::Run(
      {"psql", "--no-psqlrc", "-qtA", pooler_.url(), "-c",
       "SELECT count(*) FROM pg_settings WHERE source = 'session' AND name IN "
       "('statement_timeout', 'lock_timeout', "
       "'idle_in_transaction_session_timeout')"});
  EXPECT_EQ(settings.out, "0\n") << settings.err;
}

class RollBackTest : public testing::PostgresFixture {
 protected:
  // Of three changes of the table that are to be committed, two fail as in a
  // database that has given way to another transaction.
  void RollBackSome(const std::string& table) {
    ASSERT_EQ(postgres_.Query(absl::StrCat(
                  "CREATE SEQUENCE IF NOT EXISTS tries;"
                  "CREATE OR REPLACE FUNCTION give_way() RETURNS trigger "
                  "LANGUAGE plpgsql AS $$ BEGIN "
                  "IF nextval('tries') % 3 <> 0 THEN RAISE EXCEPTION "
                  "'restart transaction' USING ERRCODE = '40001'; END IF; "
                  "RETURN NEW; END $$;"
                  "CREATE CONSTRAINT TRIGGER give_way AFTER INSERT OR UPDATE "
                  "ON nfmeter.",
                  table,
                  " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE "
                  "FUNCTION give_way()")),
              "");
  }
};

TEST_F(RollBackTest, RecordsAreStoredAgainOverTheSameStream) {
  auto collector = Start();
  Count(1);
  AwaitTotal();
  RollBackSome("cursors");
  for (int i = 0; i < 3; ++i) {
    Count(1);
    AwaitTotal();
  }
  EXPECT_EQ(DoubledRows(), "0");
  for (int i = 0; i < kNodes; ++i) EXPECT_EQ(fleet_.node(i).streams(), 1);
  EXPECT_THAT(collector->Log(), Not(HasSubstr("restart transaction")));
}

TEST_F(RollBackTest, LeasesAreKept) {
  auto collector = Start();
  Count(1);
  AwaitTotal();
  RollBackSome("collectors");
  EXPECT_TRUE(testing::Eventually(
      [this] {
        return postgres_.Query("SELECT last_value > 30 FROM tries") == "t";
      },
      kPatience));
  Count(1);
  AwaitTotal();
  EXPECT_THAT(collector->Log(), Not(HasSubstr("restart transaction")));
}

TEST_F(RollBackTest, CollectorsShareASerializableDatabase) {
  postgres_.Query(
      "ALTER DATABASE postgres SET default_transaction_isolation = "
      "'serializable'");
  std::vector<std::unique_ptr<CollectorProcess>> collectors;
  for (int i = 0; i < 4; ++i) collectors.push_back(Start(absl::StrCat("c", i)));
  for (int i = 0; i < 5; ++i) {
    Count(1);
    AwaitTotal();
  }
  EXPECT_EQ(DoubledRows(), "0");
  for (const auto& each : collectors) {
    EXPECT_TRUE(each->IsRunning()) << each->Log();
    EXPECT_THAT(each->Log(), Not(HasSubstr("could not serialize")));
  }
}

}  // namespace
}  // namespace nfmeter
