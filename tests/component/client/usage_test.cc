// SPDX-License-Identifier: GPL-3.0-or-later
// The SDK's collector: whole records, acknowledgements, broken connections,
// positions that are refused.
#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/synchronization/notification.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/component/client/call_fixture.h"

namespace nfmeter {
namespace {

using ::nfmeter::testing::CallFixture;
using ::nfmeter::testing::Fail;
using ::nfmeter::testing::FakeUsageService;
using ::nfmeter::testing::kUnavailable;
using ::nfmeter::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

using Stream = FakeUsageService::CollectStream;

v1::CollectUsageResponse Record(uint64_t sequence, uint64_t packets,
                                bool full = false, uint64_t epoch = 7) {
  v1::CollectUsageResponse response;
  v1::UsageRecord& record = *response.mutable_record();
  record.mutable_position()->set_epoch(epoch);
  record.mutable_position()->set_sequence(sequence);
  record.set_full(full);
  record.add_counter_ids(1);
  record.add_total_packets(packets);
  record.add_total_bytes(packets * 100);
  return response;
}

v1::UsagePosition Position(uint64_t sequence, uint64_t epoch = 7) {
  v1::UsagePosition position;
  position.set_epoch(epoch);
  position.set_sequence(sequence);
  return position;
}

v1::CollectUsageStart Billing() {
  v1::CollectUsageStart start;
  start.set_consumer("billing");
  return start;
}

class UsageCollectorTest : public CallFixture {
 protected:
  // Handlers by connection.
  using Handler =
      std::function<grpc::Status(const v1::CollectUsageStart&, Stream&)>;
  void Serve(std::vector<Handler> handlers) {
    server_.usage.on_CollectUsage = [this, handlers = std::move(handlers)](
                                        auto&, Stream& stream) {
      const size_t number = streams_++;
      v1::CollectUsageRequest request;
      if (number >= handlers.size() || !stream.Read(&request) ||
          !request.has_start()) {
        return grpc::Status(grpc::StatusCode::FAILED_PRECONDITION, "not so");
      }
      return handlers[number](request.start(), stream);
    };
  }
  // Acknowledgements until the client has no more to say.
  static std::vector<uint64_t> Acknowledgements(Stream& stream) {
    std::vector<uint64_t> sequences;
    v1::CollectUsageRequest request;
    while (stream.Read(&request)) {
      sequences.push_back(request.acknowledged().sequence());
    }
    return sequences;
  }
  // Records 3 and 4, once; then what is acknowledged goes into `acknowledged`.
  void ServeTwoRecords(std::vector<uint64_t>& acknowledged) {
    Serve({[&acknowledged](const auto&, Stream& stream) {
      stream.Write(Record(3, 10, /*full=*/true));
      stream.Write(Record(4, 11));
      acknowledged = Acknowledgements(stream);
      return grpc::Status::OK;
    }});
  }

  std::atomic<size_t> streams_ = 0;
};

TEST_F(UsageCollectorTest, PartsOfARecordAreOneRecord) {
  Serve({[](const auto& start, Stream& stream) {
    EXPECT_EQ(start.consumer(), "billing");
    EXPECT_FALSE(start.has_resume_after());
    v1::CollectUsageResponse part = Record(3, 10, /*full=*/true);
    part.mutable_record()->set_partial(true);
    part.mutable_record()->add_counters()->set_name("a");
    stream.Write(part);
    part = Record(3, 20, /*full=*/true);
    part.mutable_record()->set_counter_ids(0, 2);
    part.mutable_record()->add_gaps()->set_counter("b");
    stream.Write(part);
    Acknowledgements(stream);
    return grpc::Status::OK;
  }});
  const auto collector = client_->CollectUsage(Billing());
  const auto collected = collector->Next();
  ASSERT_OK(collected.status());
  EXPECT_FALSE(collected->record.partial());
  EXPECT_THAT(collected->record.counter_ids(), ElementsAre(1, 2));
  EXPECT_THAT(collected->record.total_packets(), ElementsAre(10, 20));
  EXPECT_EQ(collected->record.counters_size(), 1);
  EXPECT_EQ(collected->record.gaps_size(), 1);
  EXPECT_FALSE(collected->anew);
}

TEST_F(UsageCollectorTest, TheLastAcknowledgementArrivesEvenAtTheEnd) {
  std::vector<uint64_t> acknowledged;
  ServeTwoRecords(acknowledged);
  {
    const auto collector = client_->CollectUsage(Billing());
    for (uint64_t sequence = 3; sequence <= 4; ++sequence) {
      ASSERT_OK(collector->Next().status());
      collector->Acknowledge(Position(sequence));
    }
  }
  server_.Stop();
  ASSERT_FALSE(acknowledged.empty());
  EXPECT_EQ(acknowledged.back(), 4u);
}

TEST_F(UsageCollectorTest, WhatIsNotStoredIsNotAcknowledged) {
  std::vector<uint64_t> acknowledged;
  ServeTwoRecords(acknowledged);
  {
    const auto collector = client_->CollectUsage(Billing());
    EXPECT_THAT(collector->Run([&](const CollectedRecord& collected) {
      return collected.record.position().sequence() == 3
                 ? absl::OkStatus()
                 : absl::InternalError("the disk is full");
    }),
                StatusIs(absl::StatusCode::kInternal));
  }
  server_.Stop();
  EXPECT_THAT(acknowledged, ElementsAre(3));
}

// Records 4 and 5 come again, as only 3 was acknowledged, but are not returned
// again; 5, acknowledged meanwhile, is told once the stream has sent it.
TEST_F(UsageCollectorTest, ABrokenStreamGoesOnAfterWhatWasAcknowledged) {
  std::vector<uint64_t> acknowledged;
  Serve({[](const auto&, Stream& stream) {
           stream.Write(Record(3, 10, /*full=*/true));
           v1::CollectUsageRequest acknowledgement;
           stream.Read(&acknowledgement);
           stream.Write(Record(4, 11));
           stream.Write(Record(5, 12));
           return kUnavailable;
         },
         [&](const auto& start, Stream& stream) {
           EXPECT_EQ(start.resume_after().sequence(), 3u);
           stream.Write(Record(4, 11));
           stream.Write(Record(5, 12));
           stream.Write(Record(6, 13));
           acknowledged = Acknowledgements(stream);
           return grpc::Status::OK;
         }});
  {
    auto collector = client_->CollectUsage(Billing());
    ASSERT_OK(collector->Next().status());
    collector->Acknowledge(Position(3));
    ASSERT_OK(collector->Next().status());
    ASSERT_OK(collector->Next().status());
    const auto collected = collector->Next();
    ASSERT_OK(collected.status());
    EXPECT_EQ(collected->record.position().sequence(), 6u);
    EXPECT_EQ(collected->reconnects, 1u);
    collector->Acknowledge(Position(5));
    collector->Acknowledge(Position(99));  // not returned: ignored
    collector->Acknowledge(Position(6, 8));
  }
  server_.Stop();
  EXPECT_THAT(acknowledged, ElementsAre(5));
}

TEST_F(UsageCollectorTest, AResumedCollectorNeedsNoFullRecord) {
  Serve({[](const auto& start, Stream& stream) {
    EXPECT_EQ(start.resume_after().sequence(), 41u);
    stream.Write(Record(42, 10));
    Acknowledgements(stream);
    return grpc::Status::OK;
  }});
  v1::CollectUsageStart start = Billing();
  *start.mutable_resume_after() = Position(41);
  const auto collector = client_->CollectUsage(start);
  const auto collected = collector->Next();
  ASSERT_OK(collected.status());
  EXPECT_EQ(collected->record.position().sequence(), 42u);
}

TEST_F(UsageCollectorTest, ARefusedPositionEndsItOrBeginsAnew) {
  const grpc::Status refused =
      Fail(grpc::StatusCode::FAILED_PRECONDITION, "POSITION_OF_ANOTHER_EPOCH",
           "another epoch");
  Serve({[&](const auto&, Stream&) { return refused; },
         [&](const auto&, Stream&) { return refused; },
         [](const auto& start, Stream& stream) {
           EXPECT_FALSE(start.has_resume_after());
           stream.Write(Record(2, 5, /*full=*/true, /*epoch=*/8));
           stream.Write(Record(3, 6, /*full=*/false, /*epoch=*/8));
           Acknowledgements(stream);
           return grpc::Status::OK;
         }});
  v1::CollectUsageStart start = Billing();
  *start.mutable_resume_after() = Position(41);
  EXPECT_THAT(client_->CollectUsage(start)->Next().status(),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  const auto collector = client_->CollectUsage(start, {.start_anew = true});
  auto collected = collector->Next();
  ASSERT_OK(collected.status());
  EXPECT_TRUE(collected->anew);
  EXPECT_EQ(collected->record.position().epoch(), 8u);
  collected = collector->Next();
  ASSERT_OK(collected.status());
  EXPECT_FALSE(collected->anew);
}

TEST_F(UsageCollectorTest, AReplacedCollectorEndsForGood) {
  Serve({[](const auto&, Stream& stream) {
    stream.Write(Record(3, 10, /*full=*/true));
    return Fail(grpc::StatusCode::ABORTED, "CONSUMER_REPLACED", "another");
  }});
  const auto collector = client_->CollectUsage(Billing());
  ASSERT_OK(collector->Next().status());
  for (int i = 0; i < 2; ++i) {
    const absl::Status status = collector->Next().status();
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kAborted));
    EXPECT_EQ(ErrorReason(status), reason::kConsumerReplaced);
  }
  EXPECT_EQ(streams_, 1u);
}

TEST_F(UsageCollectorTest, RecordsThatContradictThemselvesAreRefused) {
  v1::CollectUsageResponse uneven = Record(4, 1);
  uneven.mutable_record()->add_total_packets(5);
  v1::CollectUsageResponse half = Record(4, 1);
  half.mutable_record()->set_partial(true);
  const std::vector<std::vector<v1::CollectUsageResponse>> streams = {
      {Record(3, 1)},                                         // not full
      {Record(3, 1, /*full=*/true), Record(5, 1)},            // one is missing
      {Record(3, 1, /*full=*/true), Record(4, 1, false, 8)},  // epoch
      {Record(3, 1, /*full=*/true), uneven},
      {Record(3, 1, /*full=*/true), half, Record(5, 1)},
      {v1::CollectUsageResponse()},
  };
  for (const auto& messages : streams) {
    streams_ = 0;
    Serve({[&](const auto&, Stream& stream) {
      for (const auto& message : messages) stream.Write(message);
      Acknowledgements(stream);
      return grpc::Status::OK;
    }});
    const auto collector = client_->CollectUsage(Billing());
    absl::StatusOr<CollectedRecord> collected;
    do {
      collected = collector->Next();
    } while (collected.ok());
    EXPECT_THAT(collected.status(), StatusIs(absl::StatusCode::kDataLoss));
    EXPECT_EQ(ErrorReason(collected.status()), reason::kBrokenUsage);
  }
}

TEST_F(UsageCollectorTest, CancelEndsAWaitForARecord) {
  absl::Notification waiting;
  Serve({[&](const auto&, Stream& stream) {
    waiting.Notify();
    Acknowledgements(stream);
    return grpc::Status::OK;
  }});
  const auto collector = client_->CollectUsage(Billing());
  std::thread canceller([&] {
    waiting.WaitForNotification();
    collector->Cancel();
  });
  EXPECT_THAT(collector->Next().status(),
              StatusIs(absl::StatusCode::kCancelled));
  canceller.join();
}

TEST_F(UsageCollectorTest, AcknowledgementsMayComeFromAnotherThread) {
  constexpr uint64_t kRecords = 2'000;
  std::vector<uint64_t> acknowledged;
  Serve({[&](const auto&, Stream& stream) {
    stream.Write(Record(1, 1, /*full=*/true));
    for (uint64_t i = 2; i <= kRecords; ++i) stream.Write(Record(i, i));
    acknowledged = Acknowledgements(stream);
    return grpc::Status::OK;
  }});
  std::atomic<uint64_t> returned = 0;
  {
    const auto collector = client_->CollectUsage(Billing());
    std::thread storer([&] {
      for (uint64_t done = 0; done < kRecords; done = returned) {
        collector->Acknowledge(Position(returned));
        std::this_thread::yield();
      }
      collector->Acknowledge(Position(kRecords));
    });
    for (uint64_t i = 1; i <= kRecords; ++i) {
      ASSERT_OK(collector->Next().status());
      returned = i;
    }
    storer.join();
  }
  server_.Stop();
  ASSERT_FALSE(acknowledged.empty());
  EXPECT_EQ(acknowledged.back(), kRecords);
}

TEST_F(UsageCollectorTest, ListsComeWhole) {
  server_.usage.on_ListUsage = [](const auto& request, auto* response) {
    response->add_rows()->set_counter(request.page_token() + "x");
    if (request.page_token().size() < 2) {
      response->set_next_page_token(request.page_token() + "x");
    }
    return grpc::Status::OK;
  };
  const auto usage = client_->ListUsage({});
  ASSERT_OK(usage.status());
  EXPECT_EQ(usage->rows_size(), 3);
  EXPECT_THAT(usage->next_page_token(), IsEmpty());
  server_.usage.on_DeleteConsumer = [](const auto& request, auto*) {
    return grpc::Status(grpc::StatusCode::NOT_FOUND, request.name());
  };
  EXPECT_THAT(client_->DeleteConsumer("old"),
              StatusIs(absl::StatusCode::kNotFound));
}

}  // namespace
}  // namespace nfmeter
