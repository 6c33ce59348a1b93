// SPDX-License-Identifier: GPL-3.0-or-later
// Totals of usage, whatever happens to the server: equal to the packets that
// were sent, or less by what a gap tells of, and never more.
#include <stdlib.h>

#include <fstream>
#include <map>
#include <memory>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"
#include "nfmeter/v1/usage.grpc.pb.h"
#include "tests/fault/fault_server.h"
#include "tests/fault/injection.h"
#include "tests/fault/iptables.h"
#include "tests/support/status_matchers.h"

namespace nfmeter {
namespace {

using ::nfmeter::testing::FaultServer;
using ::nfmeter::testing::Injection;
using ::nfmeter::testing::kPacketBytes;
using ::nfmeter::testing::SendPackets;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr int kKilled = 128 + 9;
constexpr uint16_t kPort = 20'000;

// Keeps what a real collector would: totals and the position, together.
class Collector {
 public:
  explicit Collector(std::string consumer) : consumer_(std::move(consumer)) {}

  // Opens a stream from where it is.
  void Open(const std::string& target) {
    stub_ = v1::UsageService::NewStub(
        grpc::CreateChannel(target, grpc::InsecureChannelCredentials()));
    context_ = std::make_unique<grpc::ClientContext>();
    context_->set_deadline(std::chrono::system_clock::now() +
                           std::chrono::seconds(60));
    stream_ = stub_->CollectUsage(context_.get());
    v1::CollectUsageRequest request;
    request.mutable_start()->set_consumer(consumer_);
    if (position_.epoch() != 0) {
      *request.mutable_start()->mutable_resume_after() = position_;
    }
    stream_->Write(request);
  }

  // The next whole record, stored and acknowledged. False: the stream ended.
  bool Collect() {
    v1::CollectUsageResponse response;
    do {
      if (!stream_->Read(&response)) return false;
      const v1::UsageRecord& record = response.record();
      EXPECT_TRUE(record.full() || position_.sequence() == 0 ||
                  record.position().sequence() == position_.sequence() + 1);
      for (const v1::UsageCounter& counter : record.counters()) {
        names_[counter.id()] = counter.name();
        // None was given any.
        EXPECT_EQ(counter.labels_size(), 0) << counter.DebugString();
      }
      for (int i = 0; i < record.counter_ids_size(); ++i) {
        uint64_t& total = totals_[record.counter_ids(i)];
        EXPECT_GE(record.total_packets(i), total);
        total = record.total_packets(i);
      }
      for (const v1::UsageGap& gap : record.gaps()) gaps_.push_back(gap);
    } while (response.record().partial());
    position_ = response.record().position();
    v1::CollectUsageRequest request;
    *request.mutable_acknowledged() = position_;
    stream_->Write(request);
    return true;
  }
  // Until it has collected record `sequence`.
  void CollectUpTo(uint64_t sequence) {
    while (position_.sequence() < sequence && Collect()) {
    }
    EXPECT_GE(position_.sequence(), sequence);
  }
  grpc::Status Finish() {
    stream_->WritesDone();
    context_->TryCancel();
    return stream_->Finish();
  }
  // What ended it.
  grpc::Status Ended() { return stream_->Finish(); }

  // Of the counter that has the name now: ids only grow.
  uint64_t Total(const std::string& name) const {
    uint64_t total = 0;
    for (const auto& [id, value] : totals_) {
      const auto found = names_.find(id);
      if (found != names_.end() && found->second == name) total = value;
    }
    return total;
  }
  v1::UsagePosition& position() { return position_; }
  const std::vector<v1::UsageGap>& gaps() const { return gaps_; }

 private:
  const std::string consumer_;
  v1::UsagePosition position_;
  std::map<uint64_t, std::string> names_;
  std::map<uint64_t, uint64_t> totals_;
  std::vector<v1::UsageGap> gaps_;
  std::unique_ptr<v1::UsageService::Stub> stub_;
  std::unique_ptr<grpc::ClientContext> context_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::CollectUsageRequest,
                                           v1::CollectUsageResponse>>
      stream_;
};

class UsageFaultTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::ofstream(boot_id_) << "first\n";
    setenv("NFMETER_BOOT_ID_FILE", boot_id_.c_str(), 1);
    ASSERT_OK(server_.Start());
    ASSERT_NO_FATAL_FAILURE(MakeCounted("counted"));
  }

  // A counter of packets to kPort.
  void MakeCounted(const std::string& name) {
    const auto client = server_.Connect();
    ASSERT_OK(client->CreateCounter(name).status());
    ASSERT_NO_FATAL_FAILURE(MakeRule(name));
  }
  void MakeRule(const std::string& name) {
    const auto client = server_.Connect();
    v1::Rule rule;
    rule.set_chain("OUTPUT");
    rule.set_counter(name);
    rule.mutable_match()->set_protocol("udp");
    rule.mutable_match()->add_destination_ports()->set_first(kPort);
    v1::BatchCreateRulesRequest rules;
    *rules.add_rules() = rule;
    ASSERT_OK(client->BatchCreateRules(rules).status());
  }
  void Send(size_t packets) {
    ASSERT_OK(SendPackets(packets, kPort, 1));
    sent_ += packets;
  }
  std::unique_ptr<v1::UsageService::Stub> Stub() {
    return v1::UsageService::NewStub(grpc::CreateChannel(
        server_.target(), grpc::InsecureChannelCredentials()));
  }
  uint64_t Newest() {
    grpc::ClientContext context;
    v1::ListConsumersResponse response;
    EXPECT_TRUE(Stub()->ListConsumers(&context, {}, &response).ok());
    return response.newest().sequence();
  }
  // The total that a new collector gets after everything is in the ledger: a
  // reset that changes nothing else brings it there.
  uint64_t DurableTotal(const std::string& name = "counted") {
    const auto client = server_.Connect();
    EXPECT_OK(client->ResetCounter(name).status());
    Collector collector(absl::StrCat("fresh-", ++collectors_));
    collector.Open(server_.target());
    EXPECT_TRUE(collector.Collect());
    collector.Finish();
    return collector.Total(name);
  }

  testing::TemporaryDirectory dir_;
  const std::string boot_id_ = dir_ / "boot_id";
  FaultServer server_;
  uint64_t sent_ = 0;
  int collectors_ = 0;
};

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
struct Place {
  const char* operation;
  const char* thread;
  const char* call;

  // So that its test has the same name each time.
  friend std::ostream& operator<<(std::ostream& out, const Place& place) {
    return out << place.operation << " " << place.thread << " " << place.call;
  }
};

class UsageKillTest : public UsageFaultTest,
                      public ::testing::WithParamInterface<Place> {};

TEST_P(UsageKillTest, NothingIsLostOrDoubled) {
  const Place place = GetParam();
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
      if (deletes) {
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
    ::testing::Values(Place{"reset", "nfm-ledger", "pwrite64"},
                      Place{"reset", "nfm-ledger", "fdatasync"},
                      Place{"reset", "", "pwrite64"},
                      Place{"reset", "", "fdatasync"},
                      Place{"reset", "nfm-counters", "sendto"},
                      Place{"reset", "nfm-counters", "recvmsg"},
                      Place{"delete", "", "pwrite64"},
                      Place{"delete", "", "fdatasync"},
                      Place{"delete", "nfm-counters", "sendto"},
                      Place{"delete", "nfm-counters", "recvmsg"}));

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

TEST_F(UsageFaultTest, AForeignResetIsAGapAndTheTotalGoesOn) {
  Send(10);
  EXPECT_EQ(DurableTotal(), sent_);
  Send(4);
  // In the ledger before somebody else zeroes it.
  EXPECT_EQ(DurableTotal(), sent_);
  Send(6);
  ASSERT_OK(server_.Start());
  ASSERT_EQ(testing::Run({"nfacct", "get", "counted", "reset"}).exit_code, 0);
  const uint64_t lost = 6;
  Send(1);
  EXPECT_GE(DurableTotal(), sent_ - lost);
  EXPECT_LE(DurableTotal(), sent_);
}

TEST_F(UsageFaultTest, AfterARebootTotalsGoOnAndTheGapIsTold) {
  Send(10);
  EXPECT_EQ(DurableTotal(), sent_);
  server_.process().Stop();
  ASSERT_EQ(testing::Run({"iptables-legacy", "-F"}).exit_code, 0);
  ASSERT_EQ(testing::Run({"nfacct", "flush"}).exit_code, 0);
  std::ofstream(boot_id_) << "second\n";
  ASSERT_OK(server_.Start());
  // The counter is there again, and soon its rule, too.
  const absl::Time deadline = absl::Now() + absl::Seconds(30);
  while (testing::ManagedRules().empty() && absl::Now() < deadline) {
  }
  Send(3);
  EXPECT_EQ(DurableTotal(), sent_);
  grpc::ClientContext context;
  v1::ListGapsResponse gaps;
  ASSERT_TRUE(Stub()->ListGaps(&context, {}, &gaps).ok());
  bool told = false;
  for (const v1::UsageGap& gap : gaps.gaps()) {
    told = told || gap.cause() == v1::USAGE_GAP_CAUSE_REBOOT;
  }
  EXPECT_TRUE(told) << gaps.DebugString();
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
  ASSERT_TRUE(status.ok()) << status.error_message();
  ASSERT_EQ(response.rows_size(), 1) << response.DebugString();
  EXPECT_EQ(response.rows(0).counter(), "counted");
  EXPECT_EQ(response.rows(0).packets(), sent_);
  EXPECT_EQ(response.rows(0).bytes(), sent_ * kPacketBytes);
  EXPECT_TRUE(response.rows(0).five_minutes_known());
}

}  // namespace
}  // namespace nfmeter
