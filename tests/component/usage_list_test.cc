// SPDX-License-Identifier: GPL-3.0-or-later
// UsageService: sums of what was counted, and gaps.
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "nfmeter/v1/usage.grpc.pb.h"
#include "tests/component/component_server.h"
#include "tests/component/usage_fixture.h"
#include "tests/support/status_matchers.h"

namespace nfmeter::testing {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

using Stub = v1::UsageService::Stub;

using UsageListTest = UsageTest;

std::string Time(const google::protobuf::Timestamp& time) {
  return absl::FormatTime("%d %H:%M", absl::FromUnixSeconds(time.seconds()),
                          absl::UTCTimeZone());
}

std::vector<std::string> Rows(const v1::ListUsageResponse& response) {
  std::vector<std::string> rows;
  for (const v1::UsageRow& row : response.rows()) {
    std::string text = Time(row.start_time());
    for (const auto& [key, value] : row.labels()) {
      absl::StrAppend(&text, " ", key, "=", value);
    }
    if (!row.counter().empty()) absl::StrAppend(&text, " ", row.counter());
    rows.push_back(absl::StrCat(text, " ", row.packets()));
  }
  return rows;
}

class UsageSumTest : public UsageTest {
 protected:
  // 00:05 a 1, 00:10 b 2 and c 4, 10:00 a 8.
  UsageSumTest() {
    Make("a", "x");
    Make("b", "x");
    Make("c");
    Record(absl::Minutes(5) - (server_.clock.WallTime() - kMidnight));
    CountAndRecord("a", 1, absl::Seconds(10));
    Record(absl::Minutes(5) - absl::Seconds(10));
    Count("b", 2);
    CountAndRecord("c", 4, absl::Seconds(10));
    Record(absl::Hours(10) - absl::Minutes(10) - absl::Seconds(10));
    CountAndRecord("a", 8, absl::Seconds(10));
  }
};

TEST_F(UsageSumTest, InBucketsOfAnyLength) {
  v1::ListUsageRequest request = Day();
  EXPECT_THAT(Rows(List(request)), ElementsAre("01 00:00 15"));
  request.set_bucket(v1::USAGE_BUCKET_FIVE_MINUTES);
  EXPECT_THAT(Rows(List(request)),
              ElementsAre("01 00:05 1", "01 00:10 6", "01 10:00 8"));
  request.set_bucket(v1::USAGE_BUCKET_HOUR);
  EXPECT_THAT(Rows(List(request)), ElementsAre("01 00:00 7", "01 10:00 8"));
  request.set_bucket(v1::USAGE_BUCKET_DAY);
  EXPECT_THAT(Rows(List(request)), ElementsAre("01 00:00 15"));
  request.set_bucket(v1::USAGE_BUCKET_MONTH);
  EXPECT_THAT(Rows(List(request)), ElementsAre("01 00:00 15"));
}

// In Honolulu it is 14:00 of the day before at midnight, and 00:00 at 10:00.
TEST_F(UsageSumTest, DaysAndMonthsAreThoseOfTheTimeZone) {
  v1::ListUsageRequest request = Day();
  request.set_time_zone("Pacific/Honolulu");
  request.set_bucket(v1::USAGE_BUCKET_DAY);
  EXPECT_THAT(Rows(List(request)), ElementsAre("01 00:00 7", "01 10:00 8"));
  request.set_bucket(v1::USAGE_BUCKET_MONTH);
  EXPECT_THAT(Rows(List(request)), ElementsAre("01 00:00 7", "01 10:00 8"));
}

TEST_F(UsageSumTest, ByLabelCounterAndBoth) {
  v1::ListUsageRequest request = Day();
  request.add_group_by_labels("tenant");
  EXPECT_THAT(Rows(List(request)),
              ElementsAre("01 00:00 4", "01 00:00 tenant=x 11"));
  request.set_group_by_counter(true);
  EXPECT_THAT(Rows(List(request)),
              ElementsAre("01 00:00 c 4", "01 00:00 tenant=x a 9",
                          "01 00:00 tenant=x b 2"));
  request.clear_group_by_labels();
  EXPECT_THAT(Rows(List(request)),
              ElementsAre("01 00:00 a 9", "01 00:00 b 2", "01 00:00 c 4"));
  request.mutable_filter()->set_name_glob("[ab]");
  EXPECT_THAT(Rows(List(request)), ElementsAre("01 00:00 a 9", "01 00:00 b 2"));
}

TEST_F(UsageSumTest, PagesAreTheWholeInPieces) {
  v1::ListUsageRequest request = Day();
  request.set_bucket(v1::USAGE_BUCKET_HOUR);
  request.set_group_by_counter(true);
  const std::vector<std::string> whole = Rows(List(request));
  EXPECT_THAT(whole, SizeIs(4));
  for (int size = 1; size <= 5; ++size) {
    request.set_page_size(size);
    request.clear_page_token();
    std::vector<std::string> rows;
    do {
      const v1::ListUsageResponse page = List(request);
      EXPECT_LE(page.rows_size(), size);
      for (std::string& row : Rows(page)) rows.push_back(std::move(row));
      request.set_page_token(page.next_page_token());
    } while (!request.page_token().empty());
    EXPECT_EQ(rows, whole) << size;
  }
  request.set_page_size(1);
  request.set_page_token(List(request).next_page_token());
  request.set_group_by_counter(false);  // of another listing
  v1::ListUsageResponse response;
  EXPECT_EQ(Call(*server_.usage_stub, &Stub::ListUsage, request, &response)
                .error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(UsageSumTest, PeakIsThatOfFiveMinutes) {
  const v1::ListUsageResponse response = List(Day());
  ASSERT_THAT(response.rows(), SizeIs(1));
  EXPECT_DOUBLE_EQ(response.rows(0).peak_packets_per_second(), 8 / 300.0);
  EXPECT_DOUBLE_EQ(response.rows(0).peak_bytes_per_second(), 800 / 300.0);
  // Of 288 five minutes, 3 had traffic.
  EXPECT_EQ(response.rows(0).p95_bytes_per_second(), 0);
  EXPECT_TRUE(response.rows(0).five_minutes_known());
}

TEST_F(UsageListTest, The95thPercentileLeavesOutTheTopTwentieth) {
  Make("a");
  Record(absl::Hours(1) - (server_.clock.WallTime() - kMidnight));
  // An hour and 40 minutes: 20 times five minutes with 1 to 20 packets.
  for (uint64_t i = 1; i <= 20; ++i) {
    CountAndRecord("a", i, absl::Seconds(10));
    Record(absl::Minutes(5) - absl::Seconds(10));
  }
  v1::ListUsageRequest request = Day();
  request.mutable_start_time()->set_seconds(
      absl::ToUnixSeconds(kMidnight + absl::Hours(1)));
  request.mutable_end_time()->set_seconds(
      absl::ToUnixSeconds(kMidnight + absl::Minutes(160)));
  const v1::ListUsageResponse response = List(request);
  ASSERT_THAT(response.rows(), SizeIs(1));
  EXPECT_EQ(response.rows(0).packets(), 210u);
  EXPECT_DOUBLE_EQ(response.rows(0).peak_packets_per_second(), 20 / 300.0);
  EXPECT_DOUBLE_EQ(response.rows(0).p95_packets_per_second(), 19 / 300.0);
}

TEST_F(UsageListTest, TimesThatMakeNoSenseAreRefused) {
  v1::ListUsageRequest request;
  EXPECT_THAT(WrongFields(request), ElementsAre("start_time"));
  request = Day();
  request.mutable_start_time()->Swap(request.mutable_end_time());
  EXPECT_THAT(WrongFields(request), ElementsAre("start_time"));
  request = Day();
  request.mutable_start_time()->set_seconds(-62'135'596'800);
  EXPECT_THAT(WrongFields(request), ElementsAre("start_time"));
  request = Day();
  request.mutable_end_time()->set_seconds(253'402'300'799);
  EXPECT_THAT(WrongFields(request), ElementsAre("end_time"));
  request = Day();
  request.mutable_end_time()->set_nanos(-1);
  EXPECT_THAT(WrongFields(request), ElementsAre("end_time"));
  request = Day();
  request.set_time_zone("Mars/Olympus");
  request.set_bucket(static_cast<v1::UsageBucket>(77));
  request.set_page_size(-1);
  for (int i = 0; i < 17; ++i) request.add_group_by_labels("x");
  EXPECT_THAT(WrongFields(request),
              UnorderedElementsAre("time_zone", "bucket", "page_size",
                                   "group_by_labels"));
  request = Day();
  request.mutable_start_time()->set_seconds(0);
  request.set_bucket(v1::USAGE_BUCKET_FIVE_MINUTES);
  v1::ListUsageResponse response;
  const grpc::Status status =
      Call(*server_.usage_stub, &Stub::ListUsage, request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(ErrorInfoOf(status).reason(), "TOO_MANY_BUCKETS");
  EXPECT_THAT(WrongFieldsOf(status), ElementsAre("bucket"));
}

// --- Gaps --------------------------------------------------------------------

TEST_F(UsageListTest, GapsAreListedAndMarkRows) {
  Make("a");
  Make("b");
  Count("b", 1);
  CountAndRecord("a", 5);
  ASSERT_THAT(server_.acct.GetAndReset({"a"}), ElementsAre(IsOk()));
  CountAndRecord("a", 2);
  v1::ListGapsRequest request;
  v1::ListGapsResponse response;
  ASSERT_OK(Call(*server_.usage_stub, &Stub::ListGaps, request, &response));
  ASSERT_THAT(response.gaps(), SizeIs(1));
  EXPECT_EQ(response.gaps(0).counter(), "a");
  EXPECT_EQ(response.gaps(0).cause(), v1::USAGE_GAP_CAUSE_FOREIGN_RESET);
  v1::ListUsageRequest usage = Day();
  usage.set_group_by_counter(true);
  const v1::ListUsageResponse rows = List(usage);
  EXPECT_THAT(Rows(rows), ElementsAre("01 00:00 a 7", "01 00:00 b 1"));
  EXPECT_TRUE(rows.rows(0).at_least());
  EXPECT_FALSE(rows.rows(1).at_least());
  // Not before it, not of another counter.
  request.mutable_end_time()->set_seconds(absl::ToUnixSeconds(kMidnight));
  ASSERT_OK(Call(*server_.usage_stub, &Stub::ListGaps, request, &response));
  EXPECT_THAT(response.gaps(), IsEmpty());
  request.clear_end_time();
  request.mutable_filter()->set_name_glob("b");
  ASSERT_OK(Call(*server_.usage_stub, &Stub::ListGaps, request, &response));
  EXPECT_THAT(response.gaps(), IsEmpty());
}

TEST_F(UsageListTest, ADeletionByOthersIsOneGapUntilTheCounterIsBack) {
  for (const char* name : {"a", "b"}) server_.AddObject({.name = name});
  Record();
  const absl::Time seen = server_.clock.WallTime();
  ASSERT_THAT(server_.acct.Delete({"a", "b"}), Each(IsOk()));
  Record();
  for (const char* name : {"a", "b"}) server_.AddObject({.name = name});
  Record();
  v1::ListGapsResponse response;
  ASSERT_OK(Call(*server_.usage_stub, &Stub::ListGaps, {}, &response));
  ASSERT_THAT(response.gaps(), SizeIs(2));
  for (const v1::UsageGap& gap : response.gaps()) {
    EXPECT_EQ(gap.cause(), v1::USAGE_GAP_CAUSE_FOREIGN_DELETE);
    EXPECT_EQ(gap.start_time().seconds(), absl::ToUnixSeconds(seen));
    EXPECT_EQ(gap.end_time().seconds(),
              absl::ToUnixSeconds(server_.clock.WallTime()));
  }
}

TEST_F(UsageListTest, AGapOfAllMarksCountersThatWereThere) {
  Make("gone");
  Make("there");
  Count("gone", 1);
  CountAndRecord("there", 2);
  v1::DeleteCounterRequest deletion;
  v1::DeleteCounterResponse deleted;
  deletion.set_name("gone");
  ASSERT_OK(Call(*server_.counter_stub,
                 &v1::CounterService::Stub::DeleteCounter, deletion, &deleted));
  Record();
  Record(absl::Minutes(10));  // between two readings
  Record();
  Make("new");
  CountAndRecord("new", 3);
  v1::ListGapsResponse gaps;
  ASSERT_OK(Call(*server_.usage_stub, &Stub::ListGaps, {}, &gaps));
  ASSERT_THAT(gaps.gaps(), SizeIs(1));
  v1::ListUsageRequest usage = Day();
  usage.set_group_by_counter(true);
  const v1::ListUsageResponse rows = List(usage);
  EXPECT_THAT(Rows(rows), ElementsAre("01 00:00 gone 1", "01 00:00 new 3",
                                      "01 00:00 there 2"));
  EXPECT_FALSE(rows.rows(0).at_least());
  EXPECT_FALSE(rows.rows(1).at_least());
  EXPECT_TRUE(rows.rows(2).at_least());
}

// As where another program has reset a counter every ten seconds for a day.
TEST_F(UsageListTest, AGapBehindTenThousandOthersMarksItsRow) {
  Make("a");
  Make("b");
  Count("b", 1);
  CountAndRecord("a", 5);
  accounting::Ledger& ledger = server_.domain->ledger();
  const absl::Time end = server_.clock.WallTime();
  for (int i = 10'001; i > 0; --i) {
    const absl::Time at = end - absl::Microseconds(2 * i);
    ledger.NoteGap("a", accounting::GapCause::kForeignReset, at, at);
  }
  ledger.NoteGap("b", accounting::GapCause::kForeignReset, end, end);
  Record();
  v1::ListUsageRequest usage = Day();
  usage.set_group_by_counter(true);
  const v1::ListUsageResponse rows = List(usage);
  ASSERT_THAT(rows.rows(), SizeIs(2));
  EXPECT_TRUE(rows.rows(0).at_least());
  EXPECT_TRUE(rows.rows(1).at_least());
}

TEST_F(UsageListTest, GapsComeInPages) {
  Make("a");
  for (int i = 0; i < 5; ++i) {
    CountAndRecord("a", 5);
    ASSERT_THAT(server_.acct.GetAndReset({"a"}), ElementsAre(IsOk()));
    Record();
  }
  v1::ListGapsRequest request;
  request.set_page_size(2);
  std::vector<int> pages;
  do {
    v1::ListGapsResponse page;
    ASSERT_OK(Call(*server_.usage_stub, &Stub::ListGaps, request, &page));
    pages.push_back(page.gaps_size());
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  EXPECT_THAT(pages, ElementsAre(2, 2, 1));
}

}  // namespace
}  // namespace nfmeter::testing
