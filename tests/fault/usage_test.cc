// SPDX-License-Identifier: GPL-3.0-or-later
// Totals of usage, whatever happens to the server: equal to the packets that
// were sent, or less by what a gap tells of, and never more.
#include <memory>
#include <ostream>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "nfmeter/v1/usage.grpc.pb.h"
#include "tests/fault/injection.h"
#include "tests/fault/usage_fixture.h"
#include "tests/support/status_matchers.h"

namespace nfmeter {
namespace {

using ::nfmeter::testing::Collector;
using ::nfmeter::testing::Injection;
using ::nfmeter::testing::kKilled;
using ::nfmeter::testing::kPacketBytes;
using ::nfmeter::testing::UsageFaultTest;

TEST_F(UsageFaultTest, TotalsOutliveResetsRestartsAndKills) {
  Send(10);
  ASSERT_OK(server_.Connect()->ResetCounter("counted").status());
  Send(5);
  ASSERT_OK(server_.Start());  // kills the one before
  Send(3);
  const auto counter = server_.Connect()->GetCounter("counted");
  ASSERT_OK(counter.status());
  EXPECT_EQ(DurableTotal(), sent_);
}

// What is swept over, and in which thread.
struct OperationPlace {
  const char* operation;
  const char* thread;
  const char* call;

  // So that its test has the same name each time.
  friend std::ostream& operator<<(std::ostream& out,
                                  const OperationPlace& place) {
    return out << place.operation << " " << place.thread << " " << place.call;
  }
};

class UsageKillTest : public UsageFaultTest,
                      public ::testing::WithParamInterface<OperationPlace> {};

TEST_P(UsageKillTest, NothingIsLostOrDoubled) {
  const OperationPlace place = GetParam();
  const bool deletes = place.operation == std::string("delete");
  uint64_t expected_gone = 0;  // of counters deleted
  size_t kills = 0;
  for (int n = 1; n < 200; n = n < 8 ? n + 1 : n * 2) {
    SCOPED_TRACE(
        absl::StrCat(place.operation, " killed at ", place.call, " ", n));
    ASSERT_NO_FATAL_FAILURE(Send(7));
    absl::Status status;
    {
      const Injection kill(server_.pid(), place.thread,
                           absl::StrCat(place.call, ":signal=KILL:when=", n));
      ASSERT_OK(kill.status());
      const auto client = server_.Connect();
      if (place.operation == std::string("tick")) {
        Scrape();
        status = client->GetCounter("counted").status();
      } else if (deletes) {
        v1::DeleteCounterRequest request;
        request.set_name("counted");
        request.set_delete_managed_rules(true);
        status = client->DeleteCounter(request).status();
      } else {
        status = client->ResetCounter("counted").status();
      }
      if (!status.ok()) {
        ASSERT_EQ(server_.AwaitEnd(), kKilled) << status;
      }
    }
    // Perhaps only just now, when the call had been answered.
    if (status.ok() && server_.HasEnded())
      status = absl::AbortedError("killed");
    if (!status.ok()) {
      ++kills;
      ASSERT_OK(server_.Start());
    }
    if (deletes && !server_.Connect()->GetCounter("counted").ok()) {
      expected_gone = sent_;
      ASSERT_NO_FATAL_FAILURE(MakeCounted("counted"));
    } else if (deletes) {
      // Its rule may have gone already.
      const auto rules = server_.Connect()->ListRules();
      ASSERT_OK(rules.status());
      if (rules->rules_size() == 0) {
        ASSERT_OK(server_.Connect()->DeleteCounter("counted").status());
        expected_gone = sent_;
        ASSERT_NO_FATAL_FAILURE(MakeCounted("counted"));
      }
    }
    ASSERT_NO_FATAL_FAILURE(Send(2));
    ASSERT_EQ(DurableTotal(), sent_ - expected_gone);
    const auto counter = server_.Connect()->GetCounter("counted");
    ASSERT_OK(counter.status());
    EXPECT_EQ(counter->total_packets(), sent_ - expected_gone);
    EXPECT_EQ(counter->total_bytes(), (sent_ - expected_gone) * kPacketBytes);
    if (status.ok()) break;
  }
  EXPECT_GT(kills, 0u);
  RecordProperty("kills", static_cast<int>(kills));
}

INSTANTIATE_TEST_SUITE_P(
    SystemCalls, UsageKillTest,
    ::testing::Values(OperationPlace{"tick", "nfm-ledger", "pwrite64"},
                      OperationPlace{"tick", "nfm-ledger", "fdatasync"},
                      OperationPlace{"tick", "nfm-counters", "sendto"},
                      OperationPlace{"tick", "nfm-counters", "recvmsg"},
                      OperationPlace{"reset", "nfm-ledger", "pwrite64"},
                      OperationPlace{"reset", "nfm-ledger", "fdatasync"},
                      OperationPlace{"reset", "", "pwrite64"},
                      OperationPlace{"reset", "", "fdatasync"},
                      OperationPlace{"reset", "nfm-counters", "sendto"},
                      OperationPlace{"reset", "nfm-counters", "recvmsg"},
                      OperationPlace{"delete", "", "pwrite64"},
                      OperationPlace{"delete", "", "fdatasync"},
                      OperationPlace{"delete", "nfm-counters", "sendto"},
                      OperationPlace{"delete", "nfm-counters", "recvmsg"}));

TEST_F(UsageFaultTest, ACollectorGoesOnWhereItWas) {
  Collector collector("billing");
  for (int round = 0; round < 3; ++round) {
    Send(10);
    ASSERT_OK(server_.Connect()->ResetCounter("counted").status());
    const uint64_t newest = Newest();
    collector.Open(server_.target());
    collector.CollectUpTo(newest);
    EXPECT_EQ(collector.Total("counted"), sent_);
    collector.Finish();
    if (round == 1) {
      ASSERT_OK(server_.Start());
    }
  }
}

TEST_F(UsageFaultTest, ACollectorRestoredFromAnOlderBackupLosesNothing) {
  Send(10);
  ASSERT_OK(server_.Connect()->ResetCounter("counted").status());
  Collector collector("billing");
  collector.Open(server_.target());
  collector.CollectUpTo(Newest());
  collector.Finish();
  const v1::UsagePosition older = collector.position();
  Send(10);
  ASSERT_OK(server_.Connect()->ResetCounter("counted").status());
  collector.Open(server_.target());
  collector.CollectUpTo(Newest());
  collector.Finish();
  collector.position() = older;
  collector.Open(server_.target());
  collector.CollectUpTo(Newest());
  EXPECT_EQ(collector.Total("counted"), sent_);
  collector.Finish();
}

TEST_F(UsageFaultTest, OfTwoStreamsOfAConsumerTheOlderEnds) {
  Collector first("billing");
  first.Open(server_.target());
  ASSERT_TRUE(first.Collect());
  Collector second("billing");
  second.Open(server_.target());
  ASSERT_TRUE(second.Collect());
  while (first.Collect()) {
  }
  EXPECT_EQ(first.Ended().error_code(), grpc::StatusCode::ABORTED);
  second.Finish();
}

TEST_F(UsageFaultTest, WrongPositionsAreRefused) {
  Collector collector("billing");
  collector.Open(server_.target());
  ASSERT_TRUE(collector.Collect());
  collector.Finish();
  const v1::UsagePosition good = collector.position();
  collector.position().set_sequence(good.sequence() + 1000);
  collector.Open(server_.target());
  EXPECT_FALSE(collector.Collect());
  EXPECT_EQ(collector.Ended().error_code(), grpc::StatusCode::OUT_OF_RANGE);
  collector.position() = good;
  collector.position().set_epoch(good.epoch() + 1);
  collector.Open(server_.target());
  EXPECT_FALSE(collector.Collect());
  EXPECT_EQ(collector.Ended().error_code(),
            grpc::StatusCode::FAILED_PRECONDITION);
}

TEST_F(UsageFaultTest, UsageIsListedByCounterAndSumsUp) {
  Send(10);
  EXPECT_EQ(DurableTotal(), sent_);
  grpc::ClientContext context;
  v1::ListUsageRequest request;
  v1::ListUsageResponse response;
  request.mutable_start_time()->set_seconds(time(nullptr) - 3600);
  request.set_group_by_counter(true);
  const grpc::Status status = Stub()->ListUsage(&context, request, &response);
  ASSERT_OK(status);
  ASSERT_EQ(response.rows_size(), 1) << response.DebugString();
  EXPECT_EQ(response.rows(0).counter(), "counted");
  EXPECT_EQ(response.rows(0).packets(), sent_);
  EXPECT_EQ(response.rows(0).bytes(), sent_ * kPacketBytes);
  EXPECT_TRUE(response.rows(0).five_minutes_known());
}

}  // namespace
}  // namespace nfmeter
