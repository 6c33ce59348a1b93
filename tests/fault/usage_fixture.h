// SPDX-License-Identifier: GPL-3.0-or-later
// A server that counts real packets of a known number, and who collects them.
#ifndef NFMETER_TESTS_FAULT_USAGE_FIXTURE_H_
#define NFMETER_TESTS_FAULT_USAGE_FIXTURE_H_

#include <stdlib.h>

#include <chrono>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"
#include "nfmeter/v1/usage.grpc.pb.h"
#include "tests/fault/fault_server.h"
#include "tests/fault/iptables.h"
#include "tests/support/status_matchers.h"

namespace nfmeter::testing {

// Over a connection of its own: others may be to a server that has gone.
inline std::unique_ptr<v1::UsageService::Stub> UsageStub(
    const std::string& target) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return v1::UsageService::NewStub(grpc::CreateCustomChannel(
      target, grpc::InsecureChannelCredentials(), arguments));
}

// Keeps what a real collector would: totals and the position, together.
class Collector {
 public:
  explicit Collector(std::string consumer) : consumer_(std::move(consumer)) {}

  // Opens a stream from where it is.
  void Open(const std::string& target) {
    stub_ = UsageStub(target);
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
        // Others were given none.
        EXPECT_EQ(counter.labels_size(),
                  absl::StartsWith(counter.name(), "labelled-") ? 1 : 0)
            << counter.DebugString();
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
  // On a disk of its own, if `state_dir` is not "".
  explicit UsageFaultTest(const std::string& state_dir = "",
                          const std::string& backend = "auto")
      : server_({.arguments = {"--metrics-listen", "127.0.0.1:9477",
                               "--backend", backend},
                 .state_dir = state_dir}) {}

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
  // A reading that begins after this call, and a record of it, before the next
  // one is due. Metrics tell totals of up to a second ago, so that a scrape in
  // a second is of such a reading.
  void Tick() {
    const absl::Time fresh = absl::Now() + absl::Seconds(1);
    const auto client = server_.Connect();
    v1::WatchSnapshotsRequest request;
    request.mutable_interval()->set_nanos(100'000'000);
    const auto watch = client->WatchSnapshots(request);
    while (absl::Now() <= fresh) ASSERT_OK(watch->Next().status());
    Scrape();
  }
  // The same, if nobody has scraped since the start; or the server's end.
  void Scrape() {
    nfmeter::testing::Run(
        {"bash", "-c",
         "exec 3<>/dev/tcp/127.0.0.1/9477 && "
         "printf 'GET /metrics HTTP/1.0\\r\\n\\r\\n' >&3 && cat <&3"});
  }
  // The total that a new collector gets after a reading.
  uint64_t TotalAfterTick() {
    Tick();
    Collector collector(absl::StrCat("fresh-", ++collectors_));
    collector.Open(server_.target());
    if (!collector.Collect()) {
      const grpc::Status ended = collector.Ended();
      ADD_FAILURE() << ended.error_code() << " " << ended.error_message();
      return 0;
    }
    collector.Finish();
    return collector.Total("counted");
  }
  // Of all gaps that are told.
  std::vector<v1::UsageGapCause> GapCauses() {
    grpc::ClientContext context;
    v1::ListGapsResponse gaps;
    EXPECT_OK(Stub()->ListGaps(&context, {}, &gaps));
    std::vector<v1::UsageGapCause> causes;
    for (const v1::UsageGap& gap : gaps.gaps()) causes.push_back(gap.cause());
    return causes;
  }
  std::unique_ptr<v1::UsageService::Stub> Stub() {
    return UsageStub(server_.target());
  }
  uint64_t Newest() {
    grpc::ClientContext context;
    v1::ListConsumersResponse response;
    EXPECT_OK(Stub()->ListConsumers(&context, {}, &response));
    return response.newest().sequence();
  }
  // The total that a new collector gets after everything is in the ledger: a
  // reset that changes nothing else brings it there.
  uint64_t DurableTotal() {
    const auto client = server_.Connect();
    EXPECT_OK(client->ResetCounter("counted").status());
    Collector collector(absl::StrCat("fresh-", ++collectors_));
    collector.Open(server_.target());
    EXPECT_TRUE(collector.Collect());
    collector.Finish();
    return collector.Total("counted");
  }

  TemporaryDirectory dir_;
  const std::string boot_id_ = dir_ / "boot_id";
  // Metrics: whoever reads them has the ledger make a record.
  FaultServer server_;
  uint64_t sent_ = 0;
  int collectors_ = 0;
};

}  // namespace nfmeter::testing

#endif  // NFMETER_TESTS_FAULT_USAGE_FIXTURE_H_
