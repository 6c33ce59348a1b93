// SPDX-License-Identifier: GPL-3.0-or-later
// UsageService: records and what is refused of their consumers, sums, gaps.
#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "nfmeter/v1/usage.grpc.pb.h"
#include "tests/component/component_server.h"
#include "tests/support/status_matchers.h"

namespace nfmeter::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

using Stub = v1::UsageService::Stub;

// The messages of one stream.
class Stream {
 public:
  explicit Stream(const ComponentServer& server,
                  const v1::CollectUsageStart& start)
      : stub_(v1::UsageService::NewStub(server.NewChannel())),
        stream_(stub_->CollectUsage(&context_)) {
    v1::CollectUsageRequest request;
    *request.mutable_start() = start;
    stream_->Write(request);
  }
  ~Stream() { context_.TryCancel(); }

  // The next record; without a position: the stream has ended.
  v1::UsageRecord Read() {
    v1::CollectUsageResponse response;
    return stream_->Read(&response) ? response.record() : v1::UsageRecord();
  }
  void Write(const v1::CollectUsageRequest& request) {
    stream_->Write(request);
  }
  void Acknowledge(uint64_t epoch, uint64_t sequence) {
    v1::CollectUsageRequest request;
    request.mutable_acknowledged()->set_epoch(epoch);
    request.mutable_acknowledged()->set_sequence(sequence);
    Write(request);
  }
  void Acknowledge(const v1::UsageRecord& record) {
    Acknowledge(record.position().epoch(), record.position().sequence());
  }
  void CloseOwnSide() { stream_->WritesDone(); }
  // What it ended with, whatever comes before.
  grpc::Status End() {
    while (Read().has_position()) {
    }
    return stream_->Finish();
  }

 private:
  grpc::ClientContext context_;
  std::unique_ptr<v1::UsageService::Stub> stub_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::CollectUsageRequest,
                                           v1::CollectUsageResponse>>
      stream_;
};

v1::CollectUsageStart Consumer(const std::string& name) {
  v1::CollectUsageStart start;
  start.set_consumer(name);
  return start;
}

std::string Described(const v1::UsageRecord& record) {
  std::string text;
  for (int i = 0; i < record.counter_ids_size(); ++i) {
    std::string name = absl::StrCat(record.counter_ids(i));
    for (const v1::UsageCounter& counter : record.counters()) {
      if (counter.id() == record.counter_ids(i)) name = counter.name();
    }
    absl::StrAppend(&text, name, "=", record.total_packets(i), " ");
  }
  return text;
}

class UsageTest : public ::testing::Test {
 protected:
  UsageTest() : UsageTest(ComponentServer::Options()) {}
  explicit UsageTest(ComponentServer::Options options)
      : server_(Kept(std::move(options))) {}

  ComponentServer::Options Kept(ComponentServer::Options options) {
    options.domain.ledger.path = directory_ / "ledger.db";
    // Records come when the tests say so.
    options.domain.ledger.interval = absl::Hours(100'000);
    return options;
  }
  void Make(const std::string& name, const std::string& tenant = "") {
    v1::CreateCounterRequest request;
    v1::CreateCounterResponse response;
    request.mutable_counter()->set_name(name);
    if (!tenant.empty()) {
      (*request.mutable_counter()->mutable_labels())["tenant"] = tenant;
    }
    const grpc::Status status =
        Call(*server_.counter_stub, &v1::CounterService::Stub::CreateCounter,
             request, &response);
    ASSERT_TRUE(status.ok()) << status.error_message();
  }
  // What was counted in the time before now, in the ledger.
  void Count(const std::string& name, uint64_t packets) {
    ASSERT_OK(server_.acct.Count(name, packets, packets * 100));
  }
  void Record(absl::Duration later = absl::Seconds(10)) {
    server_.clock.Advance(later);
    ASSERT_OK(server_.domain->ledger().Take(absl::ZeroDuration()).status());
  }
  void CountAndRecord(const std::string& name, uint64_t packets,
                      absl::Duration later = absl::Seconds(10)) {
    ASSERT_NO_FATAL_FAILURE(Count(name, packets));
    ASSERT_NO_FATAL_FAILURE(Record(later));
  }
  uint64_t epoch() { return server_.domain->ledger().epoch(); }
  uint64_t newest() { return server_.domain->ledger().sequence(); }

  // FakeClock's first day.
  v1::ListUsageRequest Day() const {
    v1::ListUsageRequest request;
    request.mutable_start_time()->set_seconds(absl::ToUnixSeconds(kMidnight));
    request.mutable_end_time()->set_seconds(
        absl::ToUnixSeconds(kMidnight + absl::Hours(24)));
    return request;
  }
  v1::ListUsageResponse List(const v1::ListUsageRequest& request) {
    v1::ListUsageResponse response;
    const grpc::Status status =
        Call(*server_.usage_stub, &Stub::ListUsage, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response;
  }
  std::vector<std::string> WrongFields(const v1::ListUsageRequest& request) {
    v1::ListUsageResponse response;
    const grpc::Status status =
        Call(*server_.usage_stub, &Stub::ListUsage, request, &response);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
    return status.ok() ? std::vector<std::string>() : WrongFieldsOf(status);
  }

  const absl::Time kMidnight =
      absl::FromCivil(absl::CivilDay(2026, 1, 1), absl::UTCTimeZone());
  TemporaryDirectory directory_;
  ComponentServer server_;
};

// --- Collecting --------------------------------------------------------------

TEST_F(UsageTest, TheFirstRecordIsFullAndTheOthersAreWhatChanged) {
  Make("a");
  Make("b");
  CountAndRecord("a", 3);
  Stream stream(server_, Consumer("billing"));
  v1::UsageRecord record = stream.Read();
  EXPECT_TRUE(record.full());
  EXPECT_EQ(record.position().sequence(), newest());
  EXPECT_EQ(record.time().seconds(),
            absl::ToUnixSeconds(server_.clock.WallTime()));
  EXPECT_EQ(Described(record), "a=3 b=0 ");
  CountAndRecord("b", 2);
  record = stream.Read();
  EXPECT_FALSE(record.full());
  EXPECT_EQ(record.position().sequence(), newest());
  EXPECT_THAT(record.counters(), IsEmpty());  // described before
  EXPECT_THAT(record.total_packets(), ElementsAre(2));
  EXPECT_THAT(record.total_bytes(), ElementsAre(200));
}

// Of the next record that has totals: the ledger may keep others between.
std::string NextDescribed(Stream& stream) {
  std::string described;
  for (int i = 0; i < 5 && described.empty(); ++i) {
    described = Described(stream.Read());
  }
  return described;
}

TEST_F(UsageTest, AResumedStreamDescribesAndGoesOn) {
  Make("a");
  CountAndRecord("a", 3);
  v1::CollectUsageStart start = Consumer("billing");
  {
    Stream stream(server_, start);
    *start.mutable_resume_after() = stream.Read().position();
  }
  CountAndRecord("a", 4);
  CountAndRecord("a", 5);
  Stream stream(server_, start);
  EXPECT_EQ(NextDescribed(stream), "a=7 ");
  EXPECT_EQ(NextDescribed(stream), "1=12 ");
}

TEST_F(UsageTest, OfTwoStreamsOfAConsumerTheOlderIsAborted) {
  Make("a");
  Record();
  Stream older(server_, Consumer("billing"));
  ASSERT_TRUE(older.Read().has_position());
  Stream other(server_, Consumer("graphs"));
  ASSERT_TRUE(other.Read().has_position());
  Stream newer(server_, Consumer("billing"));
  ASSERT_TRUE(newer.Read().has_position());
  const grpc::Status status = older.End();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::ABORTED);
  EXPECT_EQ(ErrorInfoOf(status).reason(), "CONSUMER_REPLACED");
  CountAndRecord("a", 1);
  EXPECT_TRUE(newer.Read().has_position());
  EXPECT_TRUE(other.Read().has_position());
}

TEST_F(UsageTest, WhatWasNotSentCantBeAcknowledged) {
  Make("a");
  Record();
  struct Case {
    uint64_t epoch;
    uint64_t sequence;
    grpc::StatusCode code;
  };
  for (const Case& each :
       {Case{epoch(), newest() + 1, grpc::StatusCode::INVALID_ARGUMENT},
        Case{epoch(), UINT64_MAX, grpc::StatusCode::INVALID_ARGUMENT},
        Case{epoch() + 1, 1, grpc::StatusCode::FAILED_PRECONDITION},
        Case{0, 0, grpc::StatusCode::FAILED_PRECONDITION}}) {
    Stream stream(server_, Consumer("billing"));
    ASSERT_TRUE(stream.Read().has_position());
    stream.Acknowledge(each.epoch, each.sequence);
    EXPECT_EQ(stream.End().error_code(), each.code);
  }
  Stream stream(server_, Consumer("billing"));
  ASSERT_TRUE(stream.Read().has_position());
  v1::CollectUsageRequest second;
  *second.mutable_start() = Consumer("billing");
  stream.Write(second);
  const grpc::Status status = stream.End();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(ErrorInfoOf(status).reason(), "BAD_ACKNOWLEDGEMENT");
}

TEST_F(UsageTest, PositionsThatAreNotOfThisLedgerAreRefused) {
  Make("a");
  Record();
  v1::CollectUsageStart start = Consumer("billing");
  start.mutable_resume_after()->set_epoch(epoch() + 1);
  start.mutable_resume_after()->set_sequence(newest());
  grpc::Status status = Stream(server_, start).End();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(ErrorInfoOf(status).reason(), "POSITION_OF_ANOTHER_EPOCH");
  start.mutable_resume_after()->set_epoch(epoch());
  start.mutable_resume_after()->set_sequence(newest() + 1);
  status = Stream(server_, start).End();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::OUT_OF_RANGE);
  EXPECT_EQ(ErrorInfoOf(status).reason(), "POSITION_AHEAD");
  // Neither made a consumer.
  v1::ListConsumersResponse consumers;
  ASSERT_TRUE(Call(*server_.usage_stub, &Stub::ListConsumers,
                   v1::ListConsumersRequest(), &consumers)
                  .ok());
  EXPECT_THAT(consumers.consumers(), IsEmpty());
  EXPECT_EQ(consumers.newest().sequence(), newest());
}

TEST_F(UsageTest, BadStartsAreRefused) {
  for (const std::string& name :
       {std::string(), std::string("a b"), std::string(64, 'x')}) {
    const grpc::Status status = Stream(server_, Consumer(name)).End();
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
    EXPECT_THAT(WrongFieldsOf(status), ElementsAre("start.consumer"));
  }
  grpc::ClientContext context;
  const auto stream = server_.usage_stub->CollectUsage(&context);
  v1::CollectUsageRequest request;
  request.mutable_acknowledged();
  stream->Write(request);
  stream->WritesDone();
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

// One record may always be under way; the next one waits.
TEST_F(UsageTest, RecordsWaitForAcknowledgements) {
  Make("a");
  CountAndRecord("a", 1);
  v1::CollectUsageStart start = Consumer("slow");
  start.set_max_unacknowledged_bytes(1);
  Stream stream(server_, start);
  const v1::UsageRecord first = stream.Read();
  CountAndRecord("a", 1);
  CountAndRecord("a", 1);
  stream.Acknowledge(first);
  const v1::UsageRecord second = stream.Read();
  EXPECT_EQ(second.position().sequence(), first.position().sequence() + 1);
  // The third one is not under way: the stream ends before it.
  v1::DeleteConsumerRequest remove;
  v1::DeleteConsumerResponse removed;
  remove.set_name("slow");
  ASSERT_TRUE(
      Call(*server_.usage_stub, &Stub::DeleteConsumer, remove, &removed).ok());
  EXPECT_FALSE(stream.Read().has_position());
  const grpc::Status status = stream.End();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::ABORTED);
  EXPECT_EQ(ErrorInfoOf(status).reason(), "CONSUMER_DELETED");
}

TEST_F(UsageTest, AClientThatHasAcknowledgedEndsTheStreamByClosingItsSide) {
  Make("a");
  Record();
  Stream stream(server_, Consumer("billing"));
  stream.Acknowledge(stream.Read());
  stream.CloseOwnSide();
  EXPECT_TRUE(stream.End().ok());
  // One that only looks goes on, as command lines close theirs at once.
  Stream looking(server_, Consumer("looking"));
  looking.CloseOwnSide();
  ASSERT_TRUE(looking.Read().has_position());
  CountAndRecord("a", 1);
  EXPECT_TRUE(looking.Read().has_position());
}

TEST_F(UsageTest, ConsumersAreListedWithTheirLag) {
  Make("a");
  Record();
  Stream stream(server_, Consumer("billing"));
  const v1::UsageRecord first = stream.Read();
  stream.Acknowledge(first);
  for (int i = 0; i < 3; ++i) {
    CountAndRecord("a", 1);
    ASSERT_TRUE(stream.Read().has_position());
  }
  stream.Acknowledge(epoch(), first.position().sequence() + 1);
  v1::ListConsumersResponse response;
  const uint64_t acknowledged = first.position().sequence() + 1;
  do {  // until it has heard that
    response.Clear();
    ASSERT_TRUE(Call(*server_.usage_stub, &Stub::ListConsumers,
                     v1::ListConsumersRequest(), &response)
                    .ok());
    ASSERT_THAT(response.consumers(), SizeIs(1));
  } while (response.consumers(0).acknowledged().sequence() != acknowledged);
  EXPECT_EQ(response.consumers(0).lag(), newest() - acknowledged);
  EXPECT_EQ(response.consumers(0).name(), "billing");
  EXPECT_TRUE(response.consumers(0).connected());
  EXPECT_TRUE(response.consumers(0).has_acknowledge_time());
  EXPECT_THAT(response.consumers(0).owner(), HasSubstr("socket:"));
  v1::DeleteConsumerRequest unknown;
  v1::DeleteConsumerResponse removed;
  unknown.set_name("nobody");
  const grpc::Status status =
      Call(*server_.usage_stub, &Stub::DeleteConsumer, unknown, &removed);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(ErrorInfoOf(status).reason(), "CONSUMER_NOT_FOUND");
}

TEST_F(UsageTest, AFilterChoosesCountersByLabel) {
  Make("a", "x");
  Make("b", "y");
  Count("a", 1);
  CountAndRecord("b", 2);
  v1::CollectUsageStart start = Consumer("tenant-y");
  (*start.mutable_filter()->mutable_labels())["tenant"] = "y";
  Stream stream(server_, start);
  const v1::UsageRecord record = stream.Read();
  EXPECT_EQ(Described(record), "b=2 ");
  ASSERT_THAT(record.counters(), SizeIs(1));
  EXPECT_EQ(record.counters(0).labels().at("tenant"), "y");
}

// --- What only some may see --------------------------------------------------

class UsageScopeTest : public UsageTest {
 protected:
  UsageScopeTest()
      : UsageTest({.role = security::Role::kNone,
                   .policy = "version: 1\nrules:\n  - {principals: "
                             "['socket:*'], role: operator, "
                             "counter_prefixes: ['a-']}\n"}) {
    server_.AddObject({.name = "a-1"});
    server_.AddObject({.name = "b-1"});
  }
};

TEST_F(UsageScopeTest, OnlyOwnCountersAreTold) {
  Record();
  Count("a-1", 3);
  CountAndRecord("b-1", 4);
  // Resets by somebody else.
  ASSERT_THAT(server_.acct.GetAndReset({"a-1"}), ElementsAre(IsOk()));
  ASSERT_THAT(server_.acct.GetAndReset({"b-1"}), ElementsAre(IsOk()));
  Record();
  Stream stream(server_, Consumer("tenant"));
  EXPECT_EQ(Described(stream.Read()), "a-1=3 ");
  v1::ListUsageRequest request = Day();
  request.set_group_by_counter(true);
  const v1::ListUsageResponse usage = List(request);
  ASSERT_THAT(usage.rows(), SizeIs(1));
  EXPECT_EQ(usage.rows(0).counter(), "a-1");
  request.set_group_by_counter(false);
  EXPECT_EQ(List(request).rows(0).packets(), 3u);
  v1::ListGapsResponse gaps;
  ASSERT_TRUE(
      Call(*server_.usage_stub, &Stub::ListGaps, v1::ListGapsRequest(), &gaps)
          .ok());
  ASSERT_THAT(gaps.gaps(), SizeIs(1));
  EXPECT_EQ(gaps.gaps(0).counter(), "a-1");
}

TEST_F(UsageScopeTest, ConsumersOfOthersAreNotTold) {
  Record();
  auto& consumers = server_.domain->ledger().consumers();
  ASSERT_OK(consumers
                .Attach("billing", "somebody", /*sees_all=*/true, 0,
                        server_.clock.WallTime())
                .status());
  v1::ListConsumersResponse response;
  ASSERT_TRUE(Call(*server_.usage_stub, &Stub::ListConsumers,
                   v1::ListConsumersRequest(), &response)
                  .ok());
  EXPECT_THAT(response.consumers(), IsEmpty());
  const grpc::Status status = Stream(server_, Consumer("billing")).End();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(ErrorInfoOf(status).reason(), "CONSUMER_NOT_YOURS");
}

// --- Sums --------------------------------------------------------------------

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

TEST_F(UsageTest, The95thPercentileLeavesOutTheTopTwentieth) {
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

TEST_F(UsageTest, TimesThatMakeNoSenseAreRefused) {
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
}

// --- Gaps --------------------------------------------------------------------

TEST_F(UsageTest, GapsAreListedAndMarkRows) {
  Make("a");
  Make("b");
  Count("b", 1);
  CountAndRecord("a", 5);
  ASSERT_THAT(server_.acct.GetAndReset({"a"}), ElementsAre(IsOk()));
  CountAndRecord("a", 2);
  v1::ListGapsRequest request;
  v1::ListGapsResponse response;
  ASSERT_TRUE(
      Call(*server_.usage_stub, &Stub::ListGaps, request, &response).ok());
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
  ASSERT_TRUE(
      Call(*server_.usage_stub, &Stub::ListGaps, request, &response).ok());
  EXPECT_THAT(response.gaps(), IsEmpty());
  request.clear_end_time();
  request.mutable_filter()->set_name_glob("b");
  ASSERT_TRUE(
      Call(*server_.usage_stub, &Stub::ListGaps, request, &response).ok());
  EXPECT_THAT(response.gaps(), IsEmpty());
}

TEST_F(UsageTest, GapsComeInPages) {
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
    ASSERT_TRUE(
        Call(*server_.usage_stub, &Stub::ListGaps, request, &page).ok());
    pages.push_back(page.gaps_size());
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  EXPECT_THAT(pages, ElementsAre(2, 2, 1));
}

// --- What is not kept any more -----------------------------------------------

class UsageRetentionTest : public UsageTest {
 protected:
  // Records of all counters are so large that there are checkpoints, up to
  // which what is old is forgotten.
  static constexpr int kCounters = 4'000;

  UsageRetentionTest()
      : UsageTest(
            {.domain = {.ledger = {.retention = {.records = absl::Seconds(1),
                                                 .hard_record_bytes = 1}}}}) {
    for (int i = 0; i < kCounters; ++i) {
      server_.AddObject({.name = absl::StrCat("c", i)});
    }
  }
  void Records(int records) {
    for (int i = 0; i < records; ++i) {
      for (int c = 0; c < kCounters; ++c) Count(absl::StrCat("c", c), 1'000);
      Record();
    }
  }
};

TEST_F(UsageRetentionTest, WhoseRecordsAreGoneGetsAFullOneWithTheGap) {
  Records(2);
  v1::CollectUsageStart start = Consumer("asleep");
  {
    Stream stream(server_, start);
    v1::UsageRecord record = stream.Read();
    *start.mutable_resume_after() = record.position();
    stream.Acknowledge(record);
  }
  // What a record tells that it will not have.
  ASSERT_THAT(server_.acct.GetAndReset({"c7"}), ElementsAre(IsOk()));
  Records(100);
  Stream stream(server_, start);
  const v1::UsageRecord record = stream.Read();
  EXPECT_TRUE(record.full());
  EXPECT_EQ(record.position().sequence(), newest());
  ASSERT_EQ(record.counter_ids_size(), kCounters);
  uint64_t wrong = 0;
  for (int i = 0; i < kCounters; ++i) {
    wrong += record.total_packets(i) != 102'000;
  }
  EXPECT_EQ(wrong, 0u);
  std::vector<v1::UsageGapCause> causes;
  for (const v1::UsageGap& gap : record.gaps()) causes.push_back(gap.cause());
  EXPECT_THAT(causes, ElementsAre(v1::USAGE_GAP_CAUSE_RECORDS_DROPPED,
                                  v1::USAGE_GAP_CAUSE_FOREIGN_RESET));
}

TEST(UsageNotKeptTest, WithoutAStateDirectoryEveryMethodSaysSo) {
  ComponentServer server;
  const auto reason = [](const grpc::Status& status) {
    EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
    return ErrorInfoOf(status).reason();
  };
  EXPECT_EQ(reason(Stream(server, Consumer("billing")).End()),
            "USAGE_NOT_KEPT");
  v1::ListGapsResponse gaps;
  EXPECT_EQ(reason(Call(*server.usage_stub, &Stub::ListGaps,
                        v1::ListGapsRequest(), &gaps)),
            "USAGE_NOT_KEPT");
  v1::ListConsumersResponse consumers;
  EXPECT_EQ(reason(Call(*server.usage_stub, &Stub::ListConsumers,
                        v1::ListConsumersRequest(), &consumers)),
            "USAGE_NOT_KEPT");
}

}  // namespace
}  // namespace nfmeter::testing
