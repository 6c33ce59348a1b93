// SPDX-License-Identifier: GPL-3.0-or-later
// The questions that a SQLite file answers, as docs/fleet.md says.
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "collector/sqlite_schema.h"
#include "collector/sqlite_sink.h"
#include "gmock/gmock.h"
#include "tests/collector/records.h"
#include "tests/support/status_matchers.h"
#include "tests/support/subprocess.h"

namespace nfmeter {
namespace {

using collector::Cursor;
using collector::Lease;
using collector::SqliteSink;
using testing::MakeRecord;

constexpr int64_t kFirstOfNovember = 1'698'796'800;  // 2023-11-01 00:00 UTC

class SqliteViewsTest : public ::testing::Test {
 protected:
  std::string Query(const std::string& sql) const {
    const auto result = testing::Run({"sqlite3", path_, sql});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return result.out;
  }
  // The first record, before which no node is known, alone.
  static void StoreAll(SqliteSink& sink, const Lease& lease,
                       absl::Span<const v1::UsageRecord> records) {
    ASSERT_OK(sink.Store({.node = "gw1",
                          .lease = lease,
                          .expected = std::nullopt,
                          .records = records.first(1)}));
    ASSERT_OK(sink.Store({.node = "gw1",
                          .lease = lease,
                          .expected = Cursor{"id-1", 7, 1},
                          .records = records.subspan(1)}));
  }

  testing::TemporaryDirectory dir_;
  const std::string path_ = dir_ / "usage.db";
};

// A month has 8,640 five minutes: the largest 432 are not billed, the next is.
TEST_F(SqliteViewsTest, TheMonthAndItsPercentileAreToldByTenant) {
  const auto sink = SqliteSink::Open({.path = path_});
  ASSERT_OK(sink.status());
  const auto leases = (*sink)->KeepLeases("a", {3}, absl::Minutes(5));
  ASSERT_OK(leases.status());
  std::vector<v1::UsageRecord> records;
  uint64_t packets = 1'000;  // before it was collected: in no month
  for (int i = 0; i <= 500; ++i) {
    records.push_back(
        MakeRecord({.sequence = static_cast<uint64_t>(i) + 1,
                    .full = i == 0,
                    .seconds = kFirstOfNovember + int64_t{300} * i,
                    .labels = {{"tenant", "blue"}},
                    .described = i == 0},
                   {{5, packets}}));
    packets += i < 432 ? 100 : 6;
  }
  StoreAll(**sink, leases->front(), records);
  EXPECT_EQ(Query("SELECT * FROM p95_by_tenant"), "2023-11|blue|0.02|2.0\n");
  EXPECT_EQ(Query("SELECT * FROM usage_month_by_tenant"),
            absl::StrCat("2023-11|blue|", 43'608, "|", 4'360'800, "\n"));
  EXPECT_EQ(Query("SELECT packets FROM usage_five_minutes WHERE bucket = "
                  "'2023-11-01 00:05:00'"),
            "100\n");
  EXPECT_EQ(Query("SELECT packets FROM usage_hour LIMIT 1"), "1100\n");
  EXPECT_EQ(Query("SELECT packets, uncertain FROM usage_total"), "44608|0\n");
}

TEST_F(SqliteViewsTest, WhatIsForgottenAndClocksTakeNothingFromOtherTimes) {
  absl::Time now = absl::FromUnixSeconds(kFirstOfNovember);
  const auto sink =
      SqliteSink::Open({.path = path_, .now = [&now] { return now; }});
  ASSERT_OK(sink.status());
  const auto leases = (*sink)->KeepLeases("a", {3}, absl::Hours(24 * 365));
  ASSERT_OK(leases.status());
  std::vector<v1::UsageRecord> records;
  // The third is of a clock that was two days ahead.
  constexpr int64_t kDays[] = {0, 40, 42, 41, 43};
  for (uint64_t i = 0; i < 5; ++i) {
    records.push_back(
        MakeRecord({.sequence = i + 1,
                    .full = i == 0,
                    .seconds = kFirstOfNovember + kDays[i] * 86'400,
                    .described = i == 0},
                   {{5, 1'000 + 10 * i}}));
  }
  StoreAll(**sink, leases->front(), records);
  EXPECT_EQ(Query("SELECT packets FROM usage_five_minutes ORDER BY bucket"),
            "0\n10\n20\n0\n10\n");
  EXPECT_EQ(Query("SELECT packets FROM usage_hour ORDER BY hour"),
            "0\n10\n20\n0\n10\n");
  now += absl::Hours(24 * 120);
  for (int i = 0; i < 2; ++i) {
    ASSERT_OK((*sink)->Tidy());
    EXPECT_EQ(Query("SELECT packets FROM usage_five_minutes ORDER BY bucket"),
              "10\n20\n0\n10\n");
  }
  now += absl::Hours(24 * 12);
  ASSERT_OK((*sink)->Tidy());
  EXPECT_EQ(Query("SELECT packets FROM usage_five_minutes"), "0\n10\n");
}

TEST_F(SqliteViewsTest, AGapTouchesNoCounterThatWasMadeAfterIt) {
  const auto sink = SqliteSink::Open({.path = path_});
  ASSERT_OK(sink.status());
  const auto leases = (*sink)->KeepLeases("a", {3}, absl::Minutes(5));
  ASSERT_OK(leases.status());
  const std::vector<v1::UsageRecord> records =
      testing::RecordsAroundAGap(kFirstOfNovember);
  ASSERT_OK((*sink)->Store({.node = "gw1",
                            .lease = leases->front(),
                            .expected = std::nullopt,
                            .records = records}));
  EXPECT_EQ(Query("SELECT counter, uncertain FROM usage_total"),
            "c5|1\nc6|0\n");
}

TEST_F(SqliteViewsTest, AFileOfAnOlderVersionGetsWhatIsNew) {
  ASSERT_EQ(Query(absl::StrCat(
                collector::SqliteMigrations().front(),
                "PRAGMA application_id = ", collector::kSqliteApplicationId,
                "; PRAGMA user_version = 1;")),
            "");
  ASSERT_OK(SqliteSink::Open({.path = path_}).status());
  EXPECT_EQ(Query("SELECT count(*) FROM p95_by_tenant"), "0\n");
  EXPECT_EQ(Query("PRAGMA user_version"),
            absl::StrCat(collector::SqliteMigrations().size(), "\n"));
}

}  // namespace
}  // namespace nfmeter
