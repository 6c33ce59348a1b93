// SPDX-License-Identifier: GPL-3.0-or-later
// A server that keeps usage, and records when a test says so.
#ifndef NFMETER_TESTS_COMPONENT_USAGE_FIXTURE_H_
#define NFMETER_TESTS_COMPONENT_USAGE_FIXTURE_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/civil_time.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "nfmeter/v1/usage.grpc.pb.h"
#include "tests/component/component_server.h"
#include "tests/support/status_matchers.h"
#include "tests/support/subprocess.h"

namespace nfmeter::testing {

// The messages of one stream.
class UsageStream {
 public:
  explicit UsageStream(const ComponentServer& server,
                       const v1::CollectUsageStart& start)
      : stub_(v1::UsageService::NewStub(server.NewChannel())),
        stream_(stub_->CollectUsage(&context_)) {
    v1::CollectUsageRequest request;
    *request.mutable_start() = start;
    stream_->Write(request);
  }
  ~UsageStream() { context_.TryCancel(); }

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

inline v1::CollectUsageStart Consumer(const std::string& name) {
  v1::CollectUsageStart start;
  start.set_consumer(name);
  return start;
}

class UsageTest : public ::testing::Test {
 protected:
  UsageTest() : UsageTest(ComponentServer::Options()) {}
  explicit UsageTest(ComponentServer::Options options)
      : server_(Kept(std::move(options))) {}

  ComponentServer::Options Kept(ComponentServer::Options options) {
    options.domain.ledger.path = directory_ / "ledger.db";
    // Records come when the tests say so: nobody else reads, as a reading
    // while a test waits for its own is a record, too.
    options.domain.ledger.interval = absl::Hours(100'000);
    options.domain.plans.health.check_interval = absl::Hours(100'000);
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
    ASSERT_OK(status);
  }
  // What was counted in the time before now, in the ledger.
  void Count(const std::string& name, uint64_t packets) {
    ASSERT_OK(server_.acct.Count(name, packets, packets * 100));
  }
  void Record(absl::Duration later = absl::Seconds(10)) {
    server_.Advance(later);
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
        Call(*server_.usage_stub, &v1::UsageService::Stub::ListUsage, request,
             &response);
    EXPECT_OK(status);
    return response;
  }
  std::vector<std::string> WrongFields(const v1::ListUsageRequest& request) {
    v1::ListUsageResponse response;
    const grpc::Status status =
        Call(*server_.usage_stub, &v1::UsageService::Stub::ListUsage, request,
             &response);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
    return status.ok() ? std::vector<std::string>() : WrongFieldsOf(status);
  }

  const absl::Time kMidnight =
      absl::FromCivil(absl::CivilDay(2026, 1, 1), absl::UTCTimeZone());
  TemporaryDirectory directory_;
  ComponentServer server_;
};

}  // namespace nfmeter::testing

#endif  // NFMETER_TESTS_COMPONENT_USAGE_FIXTURE_H_
