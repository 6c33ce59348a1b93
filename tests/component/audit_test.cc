// SPDX-License-Identifier: GPL-3.0-or-later
// What observers, the audit log among them, are told of calls.
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "base/error.h"
#include "gmock/gmock.h"
#include "tests/component/component_server.h"
#include "tests/support/status_matchers.h"

namespace nfmeter::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

using Counters = v1::CounterService::Stub;

// Keeps what it is told.
class Recorder final : public telemetry::CallObserver {
 public:
  void OnCallEnded(const telemetry::CallRecord& record) override {
    absl::MutexLock lock(&mutex_);
    records_.push_back(record);
    // Lives only as long as this call.
    principals_.emplace_back(record.principal);
  }

  // The only one since the last time.
  telemetry::CallRecord Take(std::string* principal = nullptr) {
    absl::MutexLock lock(&mutex_);
    const auto is_there = [this] { return !records_.empty(); };
    mutex_.Await(absl::Condition(&is_there));
    EXPECT_EQ(records_.size(), 1u);
    const telemetry::CallRecord record = records_.back();
    if (principal != nullptr) *principal = principals_.back();
    records_.clear();
    principals_.clear();
    return record;
  }

 private:
  absl::Mutex mutex_;
  std::vector<telemetry::CallRecord> records_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> principals_ ABSL_GUARDED_BY(mutex_);
};

TEST(AuditTest, AChangeTellsWhoWhatAndWhatCameOfIt) {
  Recorder recorder;
  ComponentServer server({.observers = {&recorder}});
  v1::BatchCreateCountersRequest request;
  v1::BatchCreateCountersResponse response;
  for (int i = 0; i < 20; ++i) {
    request.add_counters()->set_name("c" + std::to_string(i));
  }
  request.set_request_id("r1");
  grpc::ClientContext context;
  context.AddMetadata("traceparent", "00-trace");
  ASSERT_OK(
      server.counter_stub->BatchCreateCounters(&context, request, &response));
  std::string principal;
  const telemetry::CallRecord record = recorder.Take(&principal);
  EXPECT_EQ(record.method, "nfmeter.v1.CounterService/BatchCreateCounters");
  EXPECT_TRUE(record.mutates);
  EXPECT_FALSE(record.validate_only);
  EXPECT_THAT(principal, HasSubstr("socket:/"));
  EXPECT_THAT(record.peer, HasSubstr("unix:"));
  EXPECT_EQ(record.trace_parent, "00-trace");
  EXPECT_EQ(record.request_id, "r1");
  EXPECT_EQ(record.targets.size(), 16u);
  EXPECT_EQ(record.targets[0], "c0");
  EXPECT_EQ(record.target_count, 20u);
  EXPECT_OK(record.status);
}

TEST(AuditTest, OfNewRulesItIsToldWhatTheyDo) {
  Recorder recorder;
  ComponentServer server({.observers = {&recorder}});
  v1::BatchCreateRulesRequest request;
  v1::BatchCreateRulesResponse response;
  v1::Rule* const counts = request.add_rules();
  counts->set_counter("a");
  counts->set_chain("INPUT");
  v1::Rule* const decides = request.add_rules();
  decides->set_id("r1");
  decides->set_table("mangle");
  decides->set_chain("OUTPUT");
  decides->set_counter("b");
  decides->set_verdict(v1::VERDICT_DROP);
  request.set_validate_only(true);
  (void)Call(*server.rule_stub, &v1::RuleService::Stub::BatchCreateRules,
             request, &response);
  EXPECT_THAT(recorder.Take().targets,
              ElementsAre("a in filter/INPUT",
                          "b in mangle/OUTPUT: VERDICT_DROP, id r1"));
}

// Whoever deletes a consumer has records dropped that it did not have yet.
TEST(AuditTest, OfDeletedConsumersItIsTold) {
  Recorder recorder;
  ComponentServer server({.observers = {&recorder}});
  v1::DeleteConsumerRequest request;
  v1::DeleteConsumerResponse response;
  request.set_name("billing");
  (void)Call(*server.usage_stub, &v1::UsageService::Stub::DeleteConsumer,
             request, &response);
  const telemetry::CallRecord record = recorder.Take();
  EXPECT_TRUE(record.audited);
  EXPECT_THAT(record.targets, ElementsAre("billing"));
}

TEST(AuditTest, OfDeletionsItIsToldWhetherRulesWereToGo) {
  Recorder recorder;
  ComponentServer server({.observers = {&recorder}});
  server.AddObject({.name = "a"});
  v1::DeleteCounterRequest request;
  v1::DeleteCounterResponse response;
  request.set_name("a");
  request.set_delete_managed_rules(true);
  EXPECT_OK(
      Call(*server.counter_stub, &Counters::DeleteCounter, request, &response));
  EXPECT_TRUE(recorder.Take().with_rules);
}

TEST(AuditTest, ADenialTellsWhoAndWhy) {
  Recorder recorder;
  ComponentServer server(
      {.role = security::Role::kViewer, .observers = {&recorder}});
  v1::ResetCounterRequest request;
  v1::ResetCounterResponse response;
  request.set_name("a");
  const grpc::Status status =
      Call(*server.counter_stub, &Counters::ResetCounter, request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_THAT(status.error_message(),
              HasSubstr("set by listen[].role or --socket-role"));
  std::string principal;
  const telemetry::CallRecord record = recorder.Take(&principal);
  EXPECT_EQ(GetErrorDetails(record.status).reason, "NOT_PERMITTED");
  EXPECT_THAT(record.targets, ElementsAre("a"));
  EXPECT_THAT(principal, HasSubstr("socket:/"));
  EXPECT_THAT(record.peer, HasSubstr("unix:"));
}

TEST(AuditTest, ADeniedReadingTellsOfWhat) {
  Recorder recorder;
  ComponentServer server(
      {.role = security::Role::kNone,
       .policy = "version: 1\nrules:\n  - {principals: ['socket:*'], role: "
                 "viewer, counter_prefixes: ['a-']}\n",
       .observers = {&recorder}});
  v1::GetCounterRequest request;
  v1::GetCounterResponse response;
  request.set_name("b-1");
  EXPECT_FALSE(
      Call(*server.counter_stub, &Counters::GetCounter, request, &response)
          .ok());
  const telemetry::CallRecord record = recorder.Take();
  EXPECT_EQ(GetErrorDetails(record.status).reason, "COUNTER_NOT_PERMITTED");
  EXPECT_THAT(record.targets, ElementsAre("b-1"));
}

TEST(AuditTest, OfReadsTheOriginIsToldOnlyWhenAllAreTraced) {
  for (const bool trace_all : {false, true}) {
    Recorder recorder;
    ComponentServer server(
        {.gate = {.trace_all = trace_all}, .observers = {&recorder}});
    grpc::ClientContext context;
    context.AddMetadata("traceparent", "00-trace");
    v1::GetNodeResponse response;
    ASSERT_OK(
        server.node_stub->GetNode(&context, v1::GetNodeRequest(), &response));
    const telemetry::CallRecord record = recorder.Take();
    EXPECT_EQ(record.trace_parent, trace_all ? "00-trace" : "");
    EXPECT_FALSE(record.mutates);
    EXPECT_THAT(record.targets, IsEmpty());
  }
}

TEST(AuditTest, AStreamThatIsRefusedIsTold) {
  Recorder recorder;
  ComponentServer server(
      {.role = security::Role::kNone, .observers = {&recorder}});
  grpc::ClientContext context;
  const auto reader =
      server.snapshot_stub->GetSnapshot(&context, v1::GetSnapshotRequest());
  v1::GetSnapshotResponse response;
  EXPECT_FALSE(reader->Read(&response));
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_TRUE(recorder.Take().stream);
}

}  // namespace
}  // namespace nfmeter::testing
