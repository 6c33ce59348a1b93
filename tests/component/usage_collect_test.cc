// SPDX-License-Identifier: GPL-3.0-or-later
// UsageService.CollectUsage: records, and what is refused of their consumers.
#include <memory>
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

using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

using Stub = v1::UsageService::Stub;

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

using UsageCollectTest = UsageTest;

TEST_F(UsageCollectTest, TheFirstRecordIsFullAndTheOthersAreWhatChanged) {
  Make("a");
  Make("b");
  CountAndRecord("a", 3);
  UsageStream stream(server_, Consumer("billing"));
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

// Else each reader would be told of what another has read.
TEST_F(UsageCollectTest, WhatConsumersDoIsNoRecord) {
  Make("a");
  CountAndRecord("a", 3);
  const uint64_t before = newest();
  UsageStream stream(server_, Consumer("billing"));
  const v1::UsageRecord record = stream.Read();
  ASSERT_OK(server_.domain->ledger().CommitConsumers());
  EXPECT_EQ(newest(), before);
  stream.Acknowledge(record);
  stream.CloseOwnSide();
  stream.End();  // all that it has written is seen
  ASSERT_OK(server_.domain->ledger().CommitConsumers());
  EXPECT_EQ(newest(), before);
  EXPECT_THAT(server_.domain->ledger().consumers().All(),
              ElementsAre(Field(&accounting::Consumer::sequence, before)));
}

TEST_F(UsageCollectTest, AResumedStreamDescribesAndGoesOn) {
  Make("a");
  CountAndRecord("a", 3);
  v1::CollectUsageStart start = Consumer("billing");
  {
    UsageStream stream(server_, start);
    *start.mutable_resume_after() = stream.Read().position();
  }
  CountAndRecord("a", 4);
  CountAndRecord("a", 5);
  UsageStream stream(server_, start);
  EXPECT_EQ(Described(stream.Read()), "a=7 ");
  EXPECT_EQ(Described(stream.Read()), "1=12 ");
}

TEST_F(UsageCollectTest, OtherLabelsAreDescribedInTheNextRecord) {
  Make("a", "blue");
  CountAndRecord("a", 3);
  UsageStream stream(server_, Consumer("billing"));
  EXPECT_EQ(stream.Read().counters(0).labels().at("tenant"), "blue");
  v1::UpdateCounterRequest request;
  request.mutable_counter()->set_name("a");
  (*request.mutable_counter()->mutable_labels())["tenant"] = "red";
  request.mutable_update_mask()->add_paths("labels");
  v1::UpdateCounterResponse response;
  ASSERT_OK(Call(*server_.counter_stub,
                 &v1::CounterService::Stub::UpdateCounter, request, &response));
  const v1::UsageRecord record = stream.Read();
  ASSERT_THAT(record.counters(), SizeIs(1));
  EXPECT_EQ(record.counters(0).labels().at("tenant"), "red");
  EXPECT_THAT(record.total_packets(), ElementsAre(3));
}

TEST_F(UsageCollectTest, OfTwoStreamsOfAConsumerTheOlderIsAborted) {
  Make("a");
  Record();
  UsageStream older(server_, Consumer("billing"));
  ASSERT_TRUE(older.Read().has_position());
  UsageStream other(server_, Consumer("graphs"));
  ASSERT_TRUE(other.Read().has_position());
  UsageStream newer(server_, Consumer("billing"));
  ASSERT_TRUE(newer.Read().has_position());
  const grpc::Status status = older.End();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::ABORTED);
  EXPECT_EQ(ErrorInfoOf(status).reason(), "CONSUMER_REPLACED");
  CountAndRecord("a", 1);
  EXPECT_TRUE(newer.Read().has_position());
  EXPECT_TRUE(other.Read().has_position());
}

TEST_F(UsageCollectTest, WhatWasNotSentCantBeAcknowledged) {
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
    UsageStream stream(server_, Consumer("billing"));
    ASSERT_TRUE(stream.Read().has_position());
    stream.Acknowledge(each.epoch, each.sequence);
    EXPECT_EQ(stream.End().error_code(), each.code);
  }
  UsageStream stream(server_, Consumer("billing"));
  ASSERT_TRUE(stream.Read().has_position());
  v1::CollectUsageRequest second;
  *second.mutable_start() = Consumer("billing");
  stream.Write(second);
  const grpc::Status status = stream.End();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(ErrorInfoOf(status).reason(), "BAD_ACKNOWLEDGEMENT");
  EXPECT_THAT(WrongFieldsOf(status), ElementsAre("acknowledged"));
}

TEST_F(UsageCollectTest, PositionsThatAreNotOfThisLedgerAreRefused) {
  Make("a");
  Record();
  v1::CollectUsageStart start = Consumer("billing");
  start.mutable_resume_after()->set_epoch(epoch() + 1);
  start.mutable_resume_after()->set_sequence(newest());
  grpc::Status status = UsageStream(server_, start).End();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(ErrorInfoOf(status).reason(), "POSITION_OF_ANOTHER_EPOCH");
  start.mutable_resume_after()->set_epoch(epoch());
  start.mutable_resume_after()->set_sequence(newest() + 1);
  status = UsageStream(server_, start).End();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::OUT_OF_RANGE);
  EXPECT_EQ(ErrorInfoOf(status).reason(), "POSITION_AHEAD");
  // Neither made a consumer.
  v1::ListConsumersResponse consumers;
  ASSERT_OK(Call(*server_.usage_stub, &Stub::ListConsumers,
                 v1::ListConsumersRequest(), &consumers));
  EXPECT_THAT(consumers.consumers(), IsEmpty());
  EXPECT_EQ(consumers.newest().sequence(), newest());
}

// A copy of the file or a snapshot of the machine has come back, and has grown
// beyond what the consumer has: its records have other times.
TEST_F(UsageCollectTest, APositionWhoseRecordHasAnotherTimeIsRefused) {
  Make("a");
  CountAndRecord("a", 3);
  v1::UsagePosition position;
  {
    UsageStream stream(server_, Consumer("first"));
    position = stream.Read().position();
  }
  CountAndRecord("a", 4);
  v1::CollectUsageStart start = Consumer("billing");
  *start.mutable_resume_after() = position;
  start.mutable_resume_after()->mutable_time()->set_seconds(
      position.time().seconds() - 1);
  const grpc::Status status = UsageStream(server_, start).End();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(ErrorInfoOf(status).reason(), "POSITION_OF_ANOTHER_EPOCH");
  EXPECT_THAT(server_.domain->ledger().consumers().All(), SizeIs(1));
  // What the ledger has forgotten may have had the next ids.
  Make("b");
  CountAndRecord("b", 1);
  // Consumers may keep microseconds, or nothing.
  position.mutable_time()->set_nanos(position.time().nanos() / 1'000 * 1'000);
  for (int i = 0; i < 2; ++i) {
    *start.mutable_resume_after() = position;
    UsageStream stream(server_, start);
    EXPECT_EQ(Described(stream.Read()), "a=7 ");
    EXPECT_GT(stream.Read().counter_ids(0), 1'000'000'000'000u);
    position.clear_time();
  }
}

TEST_F(UsageCollectTest, BadStartsAreRefused) {
  for (const std::string& name :
       {std::string(), std::string("a b"), std::string(64, 'x')}) {
    const grpc::Status status = UsageStream(server_, Consumer(name)).End();
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
TEST_F(UsageCollectTest, RecordsWaitForAcknowledgements) {
  Make("a");
  CountAndRecord("a", 1);
  v1::CollectUsageStart start = Consumer("slow");
  start.set_max_unacknowledged_bytes(1);
  UsageStream stream(server_, start);
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
  ASSERT_OK(Call(*server_.usage_stub, &Stub::DeleteConsumer, remove, &removed));
  EXPECT_FALSE(stream.Read().has_position());
  const grpc::Status status = stream.End();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::ABORTED);
  EXPECT_EQ(ErrorInfoOf(status).reason(), "CONSUMER_DELETED");
}

TEST_F(UsageCollectTest,
       AClientThatHasAcknowledgedEndsTheStreamByClosingItsSide) {
  Make("a");
  Record();
  UsageStream stream(server_, Consumer("billing"));
  stream.Acknowledge(stream.Read());
  stream.CloseOwnSide();
  EXPECT_OK(stream.End());
  // One that only looks goes on, as command lines close theirs at once.
  UsageStream looking(server_, Consumer("looking"));
  looking.CloseOwnSide();
  ASSERT_TRUE(looking.Read().has_position());
  CountAndRecord("a", 1);
  EXPECT_TRUE(looking.Read().has_position());
}

TEST_F(UsageCollectTest, ConsumersAreListedWithTheirLag) {
  Make("a");
  Record();
  UsageStream stream(server_, Consumer("billing"));
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
    ASSERT_OK(Call(*server_.usage_stub, &Stub::ListConsumers,
                   v1::ListConsumersRequest(), &response));
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
  grpc::Status status =
      Call(*server_.usage_stub, &Stub::DeleteConsumer, unknown, &removed);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(ErrorInfoOf(status).reason(), "CONSUMER_NOT_FOUND");
  unknown.clear_name();
  status = Call(*server_.usage_stub, &Stub::DeleteConsumer, unknown, &removed);
  EXPECT_THAT(WrongFieldsOf(status), ElementsAre("name"));
}

TEST_F(UsageCollectTest, AFilterChoosesCountersByLabel) {
  Make("a", "x");
  Make("b", "y");
  Count("a", 1);
  CountAndRecord("b", 2);
  v1::CollectUsageStart start = Consumer("tenant-y");
  (*start.mutable_filter()->mutable_labels())["tenant"] = "y";
  UsageStream stream(server_, start);
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
  UsageStream stream(server_, Consumer("tenant"));
  EXPECT_EQ(Described(stream.Read()), "a-1=3 ");
  v1::ListUsageRequest request = Day();
  request.set_group_by_counter(true);
  const v1::ListUsageResponse usage = List(request);
  ASSERT_THAT(usage.rows(), SizeIs(1));
  EXPECT_EQ(usage.rows(0).counter(), "a-1");
  request.set_group_by_counter(false);
  EXPECT_EQ(List(request).rows(0).packets(), 3u);
  v1::ListGapsResponse gaps;
  ASSERT_OK(
      Call(*server_.usage_stub, &Stub::ListGaps, v1::ListGapsRequest(), &gaps));
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
  ASSERT_OK(Call(*server_.usage_stub, &Stub::ListConsumers,
                 v1::ListConsumersRequest(), &response));
  EXPECT_THAT(response.consumers(), IsEmpty());
  const grpc::Status status = UsageStream(server_, Consumer("billing")).End();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(ErrorInfoOf(status).reason(), "CONSUMER_NOT_YOURS");
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

TEST_F(UsageRetentionTest, AConsumerWhoseRecordsAreGoneGetsAFullOneWithTheGap) {
  Records(2);
  v1::CollectUsageStart start = Consumer("asleep");
  {
    UsageStream stream(server_, start);
    v1::UsageRecord record = stream.Read();
    *start.mutable_resume_after() = record.position();
    stream.Acknowledge(record);
  }
  // What a record tells that it will not have.
  ASSERT_THAT(server_.acct.GetAndReset({"c7"}), ElementsAre(IsOk()));
  Records(100);
  UsageStream stream(server_, start);
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
  EXPECT_EQ(reason(UsageStream(server, Consumer("billing")).End()),
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
