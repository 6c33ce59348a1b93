// SPDX-License-Identifier: GPL-3.0-or-later
// One suite for every sink, the one in memory that other tests use included.
#include "collector/sink.h"

#include <limits>
#include <memory>
#include <optional>
#include <ostream>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "collector/nats_sink.h"
#include "collector/postgres_sink.h"
#include "collector/record.h"
#include "collector/sqlite_sink.h"
#include "gmock/gmock.h"
#include "tests/collector/memory_sink.h"
#include "tests/collector/nats_cluster.h"
#include "tests/collector/nats_reader.h"
#include "tests/collector/postgres_process.h"
#include "tests/collector/records.h"
#include "tests/support/eventually.h"
#include "tests/support/status_matchers.h"
#include "tests/support/subprocess.h"

namespace nfmeter {
namespace {

using collector::Cursor;
using collector::Lease;
using collector::Sink;
using ::testing::ElementsAre;
using testing::Eventually;
using testing::MakeRecord;
using testing::MemorySink;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

constexpr absl::Duration kLongLease = absl::Minutes(5);

// A sink that is empty, and what a test looks at beside its interface.
class Place {
 public:
  virtual ~Place() = default;
  virtual Sink& sink() = 0;
  virtual MemorySink::Totals Totals() = 0;
  virtual std::vector<std::string> Gaps() = 0;
};

MemorySink::Totals ReadTotals(const std::string& rows) {
  MemorySink::Totals totals;
  for (absl::string_view row : absl::StrSplit(rows, '\n', absl::SkipEmpty())) {
    const std::vector<std::string> columns = absl::StrSplit(row, '|');
    EXPECT_THAT(columns, SizeIs(4)) << rows;
    auto& [packets, bytes] = totals[{columns.at(0), columns.at(1)}];
    EXPECT_TRUE(absl::SimpleAtoi(columns.at(2), &packets)) << row;
    EXPECT_TRUE(absl::SimpleAtoi(columns.at(3), &bytes)) << row;
  }
  return totals;
}

constexpr char kTotalsQuery[] = "SELECT node, counter, packets, bytes FROM ";

class InMemory final : public Place {
 public:
  Sink& sink() override { return sink_; }
  MemorySink::Totals Totals() override { return sink_.totals(); }
  std::vector<std::string> Gaps() override { return sink_.gaps(); }

 private:
  MemorySink sink_;
};

class InSqlite final : public Place {
 public:
  InSqlite() {
    auto sink = collector::SqliteSink::Open({.path = path_});
    EXPECT_OK(sink.status());
    sink_ = *std::move(sink);
  }
  Sink& sink() override { return *sink_; }
  MemorySink::Totals Totals() override {
    return ReadTotals(Query(absl::StrCat(kTotalsQuery, "usage_total")));
  }
  std::vector<std::string> Gaps() override {
    return absl::StrSplit(Query("SELECT cause FROM gaps ORDER BY rowid"), '\n',
                          absl::SkipEmpty());
  }

 private:
  std::string Query(const std::string& sql) {
    return testing::Run({"sqlite3", path_, sql}).out;
  }

  testing::TemporaryDirectory dir_;
  const std::string path_ = dir_ / "usage.db";
  std::unique_ptr<Sink> sink_;
};

class InPostgres final : public Place {
 public:
  InPostgres() {
    EXPECT_OK(postgres_.Start());
    auto sink = collector::PostgresSink::Open({.url = postgres_.url()});
    EXPECT_OK(sink.status()) << postgres_.Log();
    sink_ = *std::move(sink);
  }
  Sink& sink() override { return *sink_; }
  MemorySink::Totals Totals() override {
    return ReadTotals(
        postgres_.Query(absl::StrCat(kTotalsQuery, "nfmeter.usage_total")));
  }
  std::vector<std::string> Gaps() override {
    return absl::StrSplit(postgres_.Query("SELECT cause FROM nfmeter.gaps"),
                          '\n', absl::SkipEmpty());
  }

 private:
  testing::PostgresProcess postgres_;
  std::unique_ptr<Sink> sink_;
};

class InNats final : public Place {
 public:
  InNats() {
    EXPECT_OK(server_.Start());
    auto sink = collector::NatsSink::Open({.url = server_.url()});
    EXPECT_OK(sink.status()) << server_.Log(0);
    sink_ = *std::move(sink);
  }
  Sink& sink() override { return *sink_; }
  MemorySink::Totals Totals() override {
    return testing::ReadStream(server_.url()).totals;
  }
  std::vector<std::string> Gaps() override {
    return testing::ReadStream(server_.url()).gaps;
  }

 private:
  testing::NatsCluster server_{1};
  std::unique_ptr<Sink> sink_;
};

struct Kind {
  const char* name;
  std::unique_ptr<Place> (*make)();
  friend std::ostream& operator<<(std::ostream& out, const Kind& kind) {
    return out << kind.name;
  }
};

class SinkTest : public ::testing::TestWithParam<Kind> {
 protected:
  void SetUp() override {
    place_ = GetParam().make();
    const auto leases = sink().KeepLeases("a", {3}, kLongLease);
    ASSERT_OK(leases.status());
    ASSERT_THAT(*leases, SizeIs(1));
    lease_ = leases->front();
  }

  Sink& sink() { return place_->sink(); }
  absl::Status Store(const std::vector<v1::UsageRecord>& records,
                     std::optional<Cursor> expected, bool set_back = false) {
    return sink().Store({.node = "gw1",
                         .lease = lease_,
                         .expected = std::move(expected),
                         .records = records,
                         .set_back = set_back});
  }
  // Of counter c5.
  int64_t Packets() { return place_->Totals()[{"gw1", "c5"}].first; }

  std::unique_ptr<Place> place_;
  Lease lease_;
};

TEST_P(SinkTest, RecordsAndTheirCursorAreStoredTogether) {
  ASSERT_OK(Store({MakeRecord({.sequence = 4, .full = true}, {{5, 10}, {6, 1}}),
                   MakeRecord({.sequence = 5, .described = false}, {{5, 12}})},
                  std::nullopt));
  const auto node = sink().FindNode("gw1");
  ASSERT_OK(node.status());
  ASSERT_TRUE(node->has_value());
  EXPECT_EQ((*node)->cursor, (Cursor{"id-1", 7, 5}));
  EXPECT_EQ((*node)->cursor.time, collector::Micros(MakeRecord({}, {}).time()));
  const MemorySink::Totals totals = place_->Totals();
  EXPECT_THAT(totals,
              UnorderedElementsAre(
                  std::pair(std::pair("gw1", "c5"), std::pair(12, 1200)),
                  std::pair(std::pair("gw1", "c6"), std::pair(1, 100))));
}

TEST_P(SinkTest, ANodeThatIsNotKnownIsAbsent) {
  const auto by_name = sink().FindNode("gw9");
  ASSERT_OK(by_name.status());
  EXPECT_FALSE(by_name->has_value());
  const auto by_id = sink().FindNodeById("id-9");
  ASSERT_OK(by_id.status());
  EXPECT_FALSE(by_id->has_value());
}

TEST_P(SinkTest, ABatchThatDoesNotBeginAtTheCursorChangesNothing) {
  ASSERT_OK(Store({MakeRecord({.sequence = 4, .full = true}, {{5, 10}})},
                  std::nullopt));
  const std::optional<Cursor> wrong[] = {std::nullopt, Cursor{"id-1", 7, 3},
                                         Cursor{"id-1", 8, 4}};
  for (const auto& expected : wrong) {
    EXPECT_EQ(Store({MakeRecord({.sequence = 5}, {{5, 99}})}, expected).code(),
              absl::StatusCode::kFailedPrecondition);
  }
  EXPECT_EQ(Packets(), 10);
  EXPECT_EQ((*sink().FindNode("gw1"))->cursor.sequence, 4u);
}

TEST_P(SinkTest, WhoseLeaseWasTakenStoresNothing) {
  ASSERT_OK(Store({MakeRecord({.sequence = 4, .full = true}, {{5, 10}})},
                  std::nullopt));
  ASSERT_OK(sink().KeepLeases("a", {}, kLongLease).status());
  ASSERT_THAT(*sink().KeepLeases("b", {3}, kLongLease), SizeIs(1));
  EXPECT_EQ(
      Store({MakeRecord({.sequence = 5}, {{5, 99}})}, Cursor{"id-1", 7, 4})
          .code(),
      absl::StatusCode::kAborted);
  EXPECT_EQ(Packets(), 10);
}

TEST_P(SinkTest, ALeaseIsKeptByItsHolderAndTakenWhenItsTimeIsOver) {
  const auto kept = sink().KeepLeases("a", {3, 4}, kLongLease);
  ASSERT_OK(kept.status());
  ASSERT_THAT(*kept, SizeIs(2));
  EXPECT_EQ(kept->front().token, lease_.token);
  ASSERT_THAT(*sink().KeepLeases("b", {3, 200}, kLongLease), SizeIs(1));
  ASSERT_OK(sink().KeepLeases("a", {3, 4}, absl::Milliseconds(10)).status());
  std::vector<Lease> taken;
  ASSERT_TRUE(Eventually([&] {
    taken = *sink().KeepLeases("b", {3, 200}, kLongLease);
    return taken.size() == 2;
  }));
  EXPECT_EQ(taken.front().shard, 3);
  EXPECT_GT(taken.front().token, lease_.token);
  // "a" keeps what nobody has taken, as nobody else can have stored meanwhile.
  const auto rest = sink().KeepLeases("a", {3, 4}, kLongLease);
  ASSERT_OK(rest.status());
  ASSERT_THAT(*rest, SizeIs(1));
  EXPECT_EQ(rest->front().shard, 4);
}

TEST_P(SinkTest, WhatACollectorLeavesIsFreeAtOnce) {
  ASSERT_THAT(*sink().Join("a", kLongLease), ElementsAre("a"));
  ASSERT_THAT(*sink().Join("b", kLongLease), ElementsAre("a", "b"));
  ASSERT_OK(sink().Leave("a"));
  EXPECT_THAT(*sink().Join("b", kLongLease), ElementsAre("b"));
  EXPECT_THAT(*sink().KeepLeases("b", {3}, kLongLease), SizeIs(1));
}

TEST_P(SinkTest, ACollectorThatIsSilentIsNotAliveAnyMore) {
  ASSERT_OK(sink().Join("a", absl::Milliseconds(100)).status());
  EXPECT_TRUE(Eventually([&] {
    return *sink().Join("b", kLongLease) == std::vector<std::string>{"b"};
  }));
}

TEST_P(SinkTest, LeasesWhoseTimeIsOverAreHeldByNobody) {
  ASSERT_OK(sink().KeepLeases("a", {3, 4}, absl::Milliseconds(10)).status());
  EXPECT_TRUE(Eventually([&] { return sink().Inspect()->shards_held == 0; }));
}

TEST_P(SinkTest, TotalsNeverFallWhenALedgerIsSetBack) {
  ASSERT_OK(Store({MakeRecord({.sequence = 9, .full = true}, {{5, 100}})},
                  std::nullopt));
  // The same ledger, an older copy of the file.
  ASSERT_OK(Store({MakeRecord({.sequence = 2, .full = true}, {{5, 60}})},
                  Cursor{"id-1", 7, 9}, /*set_back=*/true));
  EXPECT_EQ(Packets(), 100);
  ASSERT_OK(
      Store({MakeRecord({.sequence = 3}, {{5, 65}})}, Cursor{"id-1", 7, 2}));
  EXPECT_EQ(Packets(), 105);
  EXPECT_THAT(place_->Gaps(), ElementsAre("LEDGER_SET_BACK"));
}

TEST_P(SinkTest, ACounterGoesOnInANewEpoch) {
  ASSERT_OK(
      Store({MakeRecord({.sequence = 9, .full = true}, {{5, 100}, {6, 50}})},
            std::nullopt));
  // Counter 6 is another one there: made at another time.
  v1::UsageRecord record =
      MakeRecord({.epoch = 8, .sequence = 1, .full = true}, {{5, 110}});
  *record.mutable_counters()->Add() =
      MakeRecord({.created = 2'000}, {{6, 3}}).counters(0);
  record.add_counter_ids(6);
  record.add_total_packets(3);
  record.add_total_bytes(300);
  ASSERT_OK(Store({record}, Cursor{"id-1", 7, 9}, /*set_back=*/true));
  EXPECT_EQ(Packets(), 110);
  EXPECT_EQ((place_->Totals()[{"gw1", "c6"}].first), 53);
}

TEST_P(SinkTest, GapsAreKept) {
  v1::UsageRecord record = MakeRecord({.sequence = 1, .full = true}, {{5, 1}});
  v1::UsageGap& gap = *record.add_gaps();
  gap.set_cause(v1::USAGE_GAP_CAUSE_REBOOT);
  gap.mutable_end_time()->set_seconds(1'700'000'000);
  ASSERT_OK(Store({record}, std::nullopt));
  EXPECT_THAT(place_->Gaps(), ElementsAre("REBOOT"));
}

TEST_P(SinkTest, ANodeKeepsItsUsageUnderAnotherName) {
  ASSERT_OK(Store({MakeRecord({.sequence = 1, .full = true}, {{5, 10}})},
                  std::nullopt));
  const std::vector<v1::UsageRecord> more = {
      MakeRecord({.sequence = 2}, {{5, 11}})};
  ASSERT_OK(sink().Store({.node = "gw1-new",
                          .lease = lease_,
                          .expected = Cursor{"id-1", 7, 1},
                          .records = more}));
  EXPECT_FALSE(sink().FindNode("gw1")->has_value());
  EXPECT_EQ((place_->Totals()[{"gw1-new", "c5"}].first), 11);
  ASSERT_OK(sink().Report("a", {{.name = "gw1"}}));
  const auto status = sink().Inspect();
  ASSERT_OK(status.status());
  for (const collector::NodeStatus& node : status->nodes) {
    EXPECT_EQ(node.sequence, node.name == "gw1" ? 0u : 2u) << node.name;
  }
}

TEST_P(SinkTest, ANameFindsTheNodeThatHadItLast) {
  const auto store = [this](const std::string& id, uint64_t sequence,
                            std::optional<Cursor> expected) {
    ASSERT_OK(
        Store({MakeRecord({.node_id = id, .sequence = sequence, .full = true},
                          {{5, 10}})},
              std::move(expected)));
    const auto found = sink().FindNode("gw1");
    ASSERT_OK(found.status());
    ASSERT_TRUE(found->has_value());
    EXPECT_EQ((*found)->cursor.node_id, id);
  };
  store("id-1", 1, std::nullopt);
  store("id-2", 1, std::nullopt);
  store("id-1", 2, Cursor{"id-1", 7, 1});
}

TEST_P(SinkTest, ATotalThatDatabasesDoNotHoldIsRefused) {
  v1::UsageRecord record = MakeRecord({.sequence = 1, .full = true}, {{5, 1}});
  record.set_total_bytes(0, std::numeric_limits<uint64_t>::max());
  EXPECT_EQ(Store({record}, std::nullopt).code(),
            absl::StatusCode::kOutOfRange);
  EXPECT_FALSE(sink().FindNode("gw1")->has_value());
}

TEST_P(SinkTest, TidyingKeepsTotals) {
  ASSERT_OK(Store({MakeRecord({.sequence = 1, .full = true}, {{5, 10}})},
                  std::nullopt));
  ASSERT_OK(sink().Tidy());
  ASSERT_OK(sink().Tidy());
  EXPECT_EQ(Packets(), 10);
}

template <typename Where>
std::unique_ptr<Place> Make() {
  return std::make_unique<Where>();
}

INSTANTIATE_TEST_SUITE_P(Kinds, SinkTest,
                         ::testing::Values(Kind{"Memory", &Make<InMemory>},
                                           Kind{"Sqlite", &Make<InSqlite>},
                                           Kind{"Postgres", &Make<InPostgres>},
                                           Kind{"Nats", &Make<InNats>}),
                         [](const ::testing::TestParamInfo<Kind>& info) {
                           return std::string(info.param.name);
                         });

}  // namespace
}  // namespace nfmeter
