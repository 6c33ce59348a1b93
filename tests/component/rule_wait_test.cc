// SPDX-License-Identifier: GPL-3.0-or-later
// Changes of rules that wait: for earlier ones, and for the xtables lock.
#include <chrono>
#include <string>
#include <thread>

#include "absl/synchronization/notification.h"
#include "gmock/gmock.h"
#include "tests/component/component_server.h"
#include "tests/support/busy_lane.h"
#include "tests/support/status_matchers.h"

namespace nfmeter::testing {
namespace {

using Rules = v1::RuleService::Stub;

// Says how the first call ended.
class FirstCall final : public telemetry::CallObserver {
 public:
  void OnCallEnded(const telemetry::CallRecord& record) override {
    if (ended_.HasBeenNotified()) return;
    status_ = record.status;
    ended_.Notify();
  }

  absl::Status AwaitEnd() {
    ended_.WaitForNotification();
    return status_;
  }

 private:
  absl::Notification ended_;
  absl::Status status_;
};

v1::CreateRuleRequest Creation(const std::string& id) {
  v1::CreateRuleRequest request;
  request.mutable_rule()->set_id(id);
  request.mutable_rule()->set_counter("web");
  request.mutable_rule()->set_chain("INPUT");
  return request;
}

int RuleCount(ComponentServer& server) {
  v1::ListRulesResponse response;
  EXPECT_OK(Call(*server.rule_stub, &Rules::ListRules, {}, &response));
  return response.total_size();
}

TEST(RuleWaitTest, AChangeBehindALongOneIsAnsweredBeforeItsDeadline) {
  ComponentServer server;
  server.AddObject({.name = "web"});
  BusyLane busy(server.rule_lane);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() +
                       std::chrono::seconds(2));
  v1::CreateRuleResponse response;
  const grpc::Status status =
      server.rule_stub->CreateRule(&context, Creation("late"), &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(ErrorInfoOf(status).reason(), "RULE_LANE_BUSY");
  busy.Release();
  ASSERT_OK(
      Call(*server.rule_stub, &Rules::CreateRule, Creation("next"), &response));
  EXPECT_EQ(RuleCount(server), 1);
}

TEST(RuleWaitTest, WhatItsCallerGaveUpWhileItWaitedIsNotDone) {
  FirstCall call;
  ComponentServer server({.observers = {&call}});
  server.AddObject({.name = "web"});
  server.rule_table.PauseEdits(true);
  grpc::ClientContext context;
  std::thread caller([&] {
    v1::CreateRuleResponse response;
    EXPECT_EQ(
        server.rule_stub->CreateRule(&context, Creation("unwanted"), &response)
            .error_code(),
        grpc::StatusCode::CANCELLED);
  });
  while (server.rule_lane.wait_times().Read().total() == 0) {
    std::this_thread::yield();  // until it is its turn
  }
  context.TryCancel();
  EXPECT_THAT(call.AwaitEnd(), StatusIs(absl::StatusCode::kCancelled));
  caller.join();
  server.rule_table.PauseEdits(false);
  EXPECT_EQ(RuleCount(server), 0);
}

}  // namespace
}  // namespace nfmeter::testing
