// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/component/snapshot_fixture.h"
#include "tests/support/status_matchers.h"

namespace nfmeter::testing {
namespace {

class QuotaStreamTest : public SnapshotFixture {
 protected:
  void CreateQuota(const std::string& name, uint64_t packets) {
    Create(name, {.quota = kernel::QuotaLimit{
                      kernel::QuotaLimit::Unit::kPackets, packets}});
  }
};

// A stream of events.
class QuotaWatch {
 public:
  QuotaWatch(v1::CounterService::Stub& stub,
             const v1::WatchQuotaEventsRequest& request = {}) {
    context_.set_deadline(std::chrono::system_clock::now() +
                          std::chrono::seconds(20));
    reader_ = stub.WatchQuotaEvents(&context_, request);
  }
  std::string Next() {
    if (!reader_->Read(&last)) return "ended";
    return absl::StrCat(v1::QuotaEventKind_Name(last.kind()).substr(17), " ",
                        last.counter().name());
  }
  grpc::Status Finish() { return reader_->Finish(); }

  v1::WatchQuotaEventsResponse last;

 private:
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReader<v1::WatchQuotaEventsResponse>> reader_;
};

TEST_F(QuotaStreamTest, StandingThenSyncedThenCrossings) {
  CreateQuota("over", 5);
  CreateQuota("under", 5);
  Count("over", 5);
  ASSERT_OK(labels_->Set({{"under", {{"team", "edge"}}}}));
  QuotaWatch watch(*counter_stub_);
  EXPECT_EQ(watch.Next(), "STANDING over");
  EXPECT_EQ(watch.Next(), "SYNCED ");
  EXPECT_FALSE(watch.last.has_counter());
  Count("under", 6);
  EXPECT_EQ(watch.Next(), "CROSSED under");
  EXPECT_EQ(watch.last.counter().packets(), 6u);
  EXPECT_EQ(watch.last.counter().quota().packets(), 5u);
  EXPECT_TRUE(watch.last.counter().quota().exceeded());
  EXPECT_EQ(watch.last.counter().labels().at("team"), "edge");
  EXPECT_EQ(watch.last.time().seconds(), 1'767'225'600);
}

TEST_F(QuotaStreamTest, ItsCounterSaysSinceWhenItCountsAndWhatInAll) {
  CreateQuota("web", 5);
  Count("web", 2);
  ledger_->OnSnapshot(*hub_->Take(absl::ZeroDuration()));
  QuotaWatch watch(*counter_stub_);
  EXPECT_EQ(watch.Next(), "SYNCED ");
  Count("web", 3);
  EXPECT_EQ(watch.Next(), "CROSSED web");
  EXPECT_EQ(watch.last.counter().packets(), 5u);
  EXPECT_EQ(watch.last.counter().create_time().seconds(), 1'767'225'600);
  EXPECT_EQ(watch.last.counter().start_time().seconds(), 1'767'225'600);
  // Of the last reading: what was counted since may have been reset since.
  EXPECT_EQ(watch.last.counter().total_packets(), 2u);
}

TEST_F(QuotaStreamTest, FiltersByGlobAndLabels) {
  for (const char* name : {"a1", "a2", "b1"}) CreateQuota(name, 1);
  ASSERT_OK(labels_->Set({{"a2", {{"team", "x"}}}, {"b1", {{"team", "x"}}}}));
  v1::WatchQuotaEventsRequest request;
  request.mutable_filter()->set_name_glob("a*");
  (*request.mutable_filter()->mutable_labels())["team"] = "x";
  QuotaWatch watch(*counter_stub_, request);
  EXPECT_EQ(watch.Next(), "SYNCED ");
  for (const char* name : {"a1", "b1", "a2"}) Count(name, 1);
  EXPECT_EQ(watch.Next(), "CROSSED a2");
}

TEST_F(QuotaStreamTest, ShutdownEndsStreamsAndSaysWhatToDo) {
  QuotaWatch watch(*counter_stub_);
  EXPECT_EQ(watch.Next(), "SYNCED ");
  streams_->Shutdown();
  EXPECT_EQ(watch.Next(), "ended");
  const grpc::Status status = watch.Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(ErrorInfoOf(status).reason(), "SERVER_SHUTDOWN");
}

TEST_F(QuotaStreamTest, MoreStreamsThanTheBoundAreRefused) {
  limits_.max_streams = 1;
  Start();
  QuotaWatch watch(*counter_stub_);
  EXPECT_EQ(watch.Next(), "SYNCED ");
  QuotaWatch one_more(*counter_stub_);
  EXPECT_EQ(one_more.Next(), "ended");
  EXPECT_EQ(ErrorInfoOf(one_more.Finish()).reason(), "TOO_MANY_STREAMS");
}

TEST_F(QuotaStreamTest, TheBoundIsOneForStreamsOfAllKinds) {
  limits_.max_streams = 2;
  Start();
  QuotaWatch quotas(*counter_stub_);
  EXPECT_EQ(quotas.Next(), "SYNCED ");
  auto snapshots = std::make_unique<Watch>(*stub_, v1::WatchSnapshotsRequest());
  ASSERT_TRUE(snapshots->Next().has_value());
  QuotaWatch third(*counter_stub_);
  EXPECT_EQ(third.Next(), "ended");
  EXPECT_EQ(ErrorInfoOf(third.Finish()).metadata().at("bound"), "2");
  v1::SnapshotFrame frame;
  EXPECT_EQ(ErrorInfoOf(Get({}, &frame)).reason(), "TOO_MANY_STREAMS");
  // What one kind gives back the other can have.
  snapshots->Cancel();
  snapshots->Finish();
  for (bool accepted = false; !accepted;) {
    QuotaWatch again(*counter_stub_);
    accepted = again.Next() == "SYNCED ";
  }
}

TEST_F(QuotaStreamTest, WithoutKernelSupportTheErrorSaysSoUntilItComes) {
  available_ = MakeError(absl::StatusCode::kUnimplemented, "NO_NFACCT",
                         "the kernel has no nfnetlink_acct");
  Start();
  QuotaWatch watch(*counter_stub_);
  EXPECT_EQ(watch.Next(), "ended");
  EXPECT_EQ(ErrorInfoOf(watch.Finish()).reason(), "NO_NFACCT");
  available_ = absl::OkStatus();
  QuotaWatch again(*counter_stub_);
  EXPECT_EQ(again.Next(), "SYNCED ");
}

}  // namespace
}  // namespace nfmeter::testing
