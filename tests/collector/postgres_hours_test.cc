// SPDX-License-Identifier: GPL-3.0-or-later
// What PostgreSQL says was counted in each five minutes, hour and month, as
// roll-ups, retention, clocks and backups come in between.
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "collector/postgres.h"
#include "collector/postgres_sink.h"
#include "gmock/gmock.h"
#include "tests/collector/postgres_process.h"
#include "tests/collector/records.h"
#include "tests/support/eventually.h"
#include "tests/support/status_matchers.h"

namespace nfmeter {
namespace {

using collector::Cursor;
using collector::PostgresSink;
using testing::Eventually;
using testing::MakeRecord;

constexpr int64_t kNovember = 1'698'796'800;  // 2023-11-01 00:00 UTC
constexpr int64_t kHour = 3'600;

class PostgresHoursTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK(postgres_.Start());
    auto sink = PostgresSink::Open({.url = postgres_.url()});
    ASSERT_OK(sink.status());
    sink_ = *std::move(sink);
    const auto leases = sink_->KeepLeases("a", {3}, absl::Minutes(5));
    ASSERT_OK(leases.status());
    lease_ = leases->front();
  }

  // Counter c5 has counted so many packets in all at `seconds`.
  void Store(uint64_t sequence, int64_t seconds, uint64_t packets,
             bool refused = false) {
    const std::vector<v1::UsageRecord> records = {MakeRecord(
        {.sequence = sequence,
         .full = !cursor_.has_value() || cursor_->sequence + 1 != sequence,
         .seconds = seconds},
        {{5, packets}})};
    ASSERT_OK(sink_->Store(
        {.node = "gw1",
         .lease = lease_,
         .expected = cursor_,
         .records = records,
         .set_back = refused ||
                     (cursor_.has_value() && cursor_->sequence >= sequence)}));
    cursor_ = Cursor{"id-1", 7, sequence};
  }
  std::string RollUp() const {
    return postgres_.Query("SELECT nfmeter.roll_up()");
  }
  std::string Hours() const {
    return postgres_.Query(
        "SELECT string_agg(packets::text, ' ' ORDER BY hour) FROM "
        "nfmeter.usage_hour");
  }
  std::string FiveMinutes() const {
    return postgres_.Query(
        "SELECT string_agg(packets::text, ' ' ORDER BY bucket) FROM "
        "nfmeter.usage_five_minutes");
  }

  testing::PostgresProcess postgres_;
  std::unique_ptr<PostgresSink> sink_;
  collector::Lease lease_;
  std::optional<Cursor> cursor_;
};

TEST_F(PostgresHoursTest, RecordsThatComeWhileTheirTimeIsRolledUpAreInIt) {
  Store(1, kNovember, 100);
  RollUp();
  Store(2, kNovember + 60, 150);
  // Another batch of the same five minutes has not committed yet.
  collector::postgres::Connection storing(postgres_.url());
  ASSERT_OK(storing.Begin());
  ASSERT_OK(storing.Execute(absl::StrCat(
      "INSERT INTO nfmeter.records SELECT node, time + interval '1 minute', "
      "epoch, sequence + 1, counter_id, 400, 40000 FROM nfmeter.records WHERE "
      "sequence = 2; UPDATE nfmeter.rollup_due SET touched = touched + 1")));
  std::thread rolling([this] { EXPECT_EQ(RollUp(), "1"); });
  EXPECT_TRUE(Eventually([this] {
    return postgres_.Query("SELECT count(*) FROM pg_locks WHERE NOT granted") !=
           "0";
  }));
  ASSERT_OK(storing.Execute("COMMIT"));
  rolling.join();
  RollUp();
  EXPECT_EQ(FiveMinutes(), "300");
  EXPECT_EQ(Hours(), "300");
}

TEST_F(PostgresHoursTest, WhatRetentionForgetsIsNotInWhatStays) {
  // The last three months, in partitions and the default one.
  const int64_t last = absl::ToUnixSeconds(absl::Now()) - kHour;
  for (int i = 0; i <= 9; ++i) {
    Store(i + 1, last - (9 - i) * 10 * 24 * kHour, 1'000 + 10 * i);
  }
  RollUp();
  EXPECT_EQ(FiveMinutes(), "0 10 10 10 10 10 10 10 10 10");
  postgres_.Query(
      "UPDATE nfmeter.policy SET keep_five_minutes = '36 hours', keep_hours = "
      "'60 hours'");
  for (int i = 0; i < 2; ++i) {
    postgres_.Query("SELECT nfmeter.retain()");
    // Months are dropped as a whole.
    EXPECT_THAT(FiveMinutes(), ::testing::MatchesRegex("10( 10)*"));
    EXPECT_EQ(Hours(), "10");
  }
  // As if its month was over.
  postgres_.Query(
      "INSERT INTO nfmeter.usage_5m_other SELECT node, epoch, counter_id, "
      "bucket - interval '2 years', 5000, 5000 FROM nfmeter.usage_5m WHERE "
      "bucket > '-infinity' ORDER BY bucket LIMIT 1; SELECT nfmeter.retain()");
  EXPECT_THAT(FiveMinutes(), ::testing::MatchesRegex("0( 0)*"));
  EXPECT_EQ(postgres_.Query("SELECT packets FROM nfmeter.usage_total"), "1090");
}

TEST_F(PostgresHoursTest, PartitionsThatThePolicyDoesNotKeepAreNotMade) {
  const auto partitions = [this] {
    return postgres_.Query(
        "SELECT count(*) FROM pg_inherits WHERE inhparent IN "
        "('nfmeter.records'::regclass, 'nfmeter.usage_5m'::regclass)");
  };
  postgres_.Query(
      "UPDATE nfmeter.policy SET keep_records = '3 days', keep_five_minutes = "
      "'3 days'; SELECT nfmeter.retain()");
  const std::string kept = partitions();
  postgres_.Query("SELECT nfmeter.make_partitions()");
  EXPECT_EQ(partitions(), kept);
}

TEST_F(PostgresHoursTest, AGapTouchesNoCounterThatWasMadeAfterIt) {
  const std::vector<v1::UsageRecord> records =
      testing::RecordsAroundAGap(kNovember);
  ASSERT_OK(sink_->Store({.node = "gw1",
                          .lease = lease_,
                          .expected = std::nullopt,
                          .records = records}));
  EXPECT_EQ(postgres_.Query("SELECT counter, uncertain FROM "
                            "nfmeter.usage_total ORDER BY counter"),
            "c5|t\nc6|f");
}

TEST_F(PostgresHoursTest, AClockThatIsAheadTakesNoPartitionFromOtherNodes) {
  const std::string last = postgres_.Query(
      "SELECT max(inhrelid::regclass::text) FROM pg_inherits WHERE inhparent = "
      "'nfmeter.records'::regclass AND inhrelid::regclass::text ~ '[0-9]$'");
  // Of three days ahead: as if it was to be made only now.
  postgres_.Query("DROP TABLE " + last);
  Store(1, absl::ToUnixSeconds(absl::Now()) + 3 * 24 * kHour, 100);
  EXPECT_EQ(postgres_.Query("SELECT count(*) FROM nfmeter.records_other"), "1");
  postgres_.Query("SELECT nfmeter.make_partitions()");
  EXPECT_EQ(postgres_.Query("SELECT count(*) FROM nfmeter.records_other"), "0");
  EXPECT_EQ(postgres_.Query("SELECT packets FROM " + last), "100");
  EXPECT_EQ(postgres_.Query("SELECT count(*) FROM pg_indexes WHERE schemaname "
                            "|| '.' || tablename = '" +
                            last + "'"),
            "1");
}

TEST_F(PostgresHoursTest, AClockThatWasAheadTakesNothingFromOtherHours) {
  Store(1, kNovember, 100);
  Store(2, kNovember + 50 * kHour, 110);  // two days ahead
  Store(3, kNovember + 2 * kHour, 130);
  Store(4, kNovember + 3 * kHour, 170);
  RollUp();
  EXPECT_EQ(Hours(), "0 30 40 0");
  EXPECT_EQ(postgres_.Query("SELECT packets FROM "
                            "nfmeter.usage_month_by_tenant"),
            "70");
}

TEST_F(PostgresHoursTest, ALedgerThatWasSetBackMayHaveGrownBeyondTheCursor) {
  Store(1, kNovember, 100);
  RollUp();
  Store(2, kNovember + kHour, 1'200);
  Store(5, kNovember + kHour + 10, 200, /*refused=*/true);
  Store(6, kNovember + kHour + 20, 210);
  RollUp();
  EXPECT_EQ(postgres_.Query("SELECT packets, uncertain FROM "
                            "nfmeter.usage_total"),
            "1210|t");
  EXPECT_EQ(Hours(), "0 1110");
}

// The same sequences come again and again.
TEST_F(PostgresHoursTest, ALedgerMayBeSetBackToTheSameBackupManyTimes) {
  Store(1, kNovember, 100);
  Store(2, kNovember + 10, 200);
  RollUp();
  Store(3, kNovember + 20, 1'200);
  for (int i = 1; i <= 3; ++i) {
    Store(2, kNovember + i * kHour, 200);
    Store(3, kNovember + i * kHour + 10, 210);
  }
  RollUp();
  EXPECT_EQ(postgres_.Query("SELECT packets, uncertain FROM "
                            "nfmeter.usage_total"),
            "1230|t");
  EXPECT_EQ(Hours(), "1100 10 10 10");
  EXPECT_EQ(postgres_.Query("SELECT count(*) FROM nfmeter.uncertain"), "3");
  EXPECT_EQ(postgres_.Query("SELECT count(DISTINCT id) FROM nfmeter.outbox "
                            "WHERE event ->> 'type' = 'nfmeter.usage.gap'"),
            "3");
}

}  // namespace
}  // namespace nfmeter
