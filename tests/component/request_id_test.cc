// SPDX-License-Identifier: GPL-3.0-or-later
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "tests/component/component_server.h"
#include "tests/support/busy_lane.h"
#include "tests/support/status_matchers.h"

namespace nfmeter::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::SizeIs;

class RequestIdTest : public ::testing::Test {
 protected:
  void SetUp() override {
    server_.AddObject({.name = "web", .packets = 7});
    reset_.set_name("web");
    reset_.set_request_id("id-1");
  }

  grpc::Status Reset(const v1::ResetCounterRequest& request) {
    return Call(*server_.counter_stub, &v1::CounterService::Stub::ResetCounter,
                request, &response_);
  }

  ComponentServer server_;
  v1::ResetCounterRequest reset_;
  v1::ResetCounterResponse response_;
};

TEST_F(RequestIdTest, ResetReturnsTheSameValuesForARepeatedRequestId) {
  ASSERT_OK(Reset(reset_));
  EXPECT_EQ(response_.counter().packets(), 7);
  EXPECT_OK(server_.acct.Count("web", 5, 500));
  ASSERT_OK(Reset(reset_));
  EXPECT_EQ(response_.counter().packets(), 7);
  EXPECT_EQ(server_.acct.Get("web")->packets, 5);
  reset_.set_request_id("id-2");
  ASSERT_OK(Reset(reset_));
  EXPECT_EQ(response_.counter().packets(), 5);
}

TEST_F(RequestIdTest, WithAnotherRequestIsRefused) {
  ASSERT_OK(Reset(reset_));
  server_.AddObject({.name = "db", .packets = 9});
  reset_.set_name("db");
  const grpc::Status status = Reset(reset_);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(ErrorInfoOf(status).reason(), "REQUEST_ID_REUSED");
  EXPECT_EQ(server_.acct.Get("db")->packets, 9);
}

TEST_F(RequestIdTest, ValidateOnlyDoesNotUseItUp) {
  reset_.set_validate_only(true);
  ASSERT_OK(Reset(reset_));
  reset_.set_validate_only(false);
  ASSERT_OK(Reset(reset_));
  EXPECT_EQ(response_.counter().packets(), 7);
  EXPECT_EQ(server_.acct.Get("web")->packets, 0);
}

TEST_F(RequestIdTest, AFailedRequestCanBeRepeated) {
  server_.acct.InjectErrno(kernel::Operation::kAcctReset, ENOMEM);
  EXPECT_FALSE(Reset(reset_).ok());
  ASSERT_OK(Reset(reset_));
  EXPECT_EQ(response_.counter().packets(), 7);
}

TEST_F(RequestIdTest, ABatchWithFailuresIsRememberedWithThem) {
  server_.AddObject({.name = "db", .packets = 9});
  v1::BatchResetCountersRequest request;
  request.add_names("web");
  request.add_names("db");
  request.set_request_id("batch");
  server_.acct.InjectErrno(kernel::Operation::kAcctReset, ENOMEM);
  for (int i = 0; i < 2; ++i) {
    v1::BatchResetCountersResponse response;
    ASSERT_OK(Call(*server_.counter_stub,
                   &v1::CounterService::Stub::BatchResetCounters, request,
                   &response));
    ASSERT_THAT(response.failures(), SizeIs(1));
    ASSERT_THAT(response.counters(), SizeIs(1));
    EXPECT_EQ(response.counters(0).packets(), 9);
  }
}

TEST_F(RequestIdTest, CreationsAndDeletionsAreRepeatedlyOk) {
  v1::CreateCounterRequest create;
  create.mutable_counter()->set_name("new");
  create.set_request_id("create");
  v1::DeleteCounterRequest remove;
  remove.set_name("new");
  remove.set_request_id("delete");
  v1::CreateCounterResponse created;
  v1::DeleteCounterResponse deleted;
  for (int i = 0; i < 2; ++i) {
    EXPECT_OK(Call(*server_.counter_stub,
                   &v1::CounterService::Stub::CreateCounter, create, &created));
  }
  for (int i = 0; i < 2; ++i) {
    EXPECT_OK(Call(*server_.counter_stub,
                   &v1::CounterService::Stub::DeleteCounter, remove, &deleted));
  }
}

TEST_F(RequestIdTest, RulesGetTheSameIdBack) {
  v1::CreateRuleRequest request;
  request.mutable_rule()->set_chain("INPUT");
  request.mutable_rule()->set_counter("web");
  request.set_request_id("rule");
  v1::CreateRuleResponse first;
  v1::CreateRuleResponse second;
  ASSERT_OK(Call(*server_.rule_stub, &v1::RuleService::Stub::CreateRule,
                 request, &first));
  ASSERT_OK(Call(*server_.rule_stub, &v1::RuleService::Stub::CreateRule,
                 request, &second));
  EXPECT_EQ(first.rule().id(), second.rule().id());
  EXPECT_EQ(server_.acct.Get("web")->use_count, 1);
}

TEST_F(RequestIdTest, ConcurrentDuplicatesAreCarriedOutOnce) {
  // The first waits here, so that most of the others come while it runs.
  BusyLane busy(server_.counter_lane);
  std::vector<v1::ResetCounterResponse> responses(8);
  std::vector<std::thread> threads;
  for (v1::ResetCounterResponse& response : responses) {
    threads.emplace_back([&] {
      EXPECT_OK(Call(*server_.counter_stub,
                     &v1::CounterService::Stub::ResetCounter, reset_,
                     &response));
    });
  }
  busy.Release();
  for (std::thread& thread : threads) thread.join();
  for (const v1::ResetCounterResponse& response : responses) {
    EXPECT_EQ(response.counter().packets(), 7);
  }
}

TEST_F(RequestIdTest, MalformedIdsAreRefused) {
  reset_.set_request_id(std::string(129, 'x'));
  EXPECT_THAT(WrongFieldsOf(Reset(reset_)), ElementsAre("request_id"));
  reset_.set_request_id("a\tb");
  EXPECT_THAT(WrongFieldsOf(Reset(reset_)), ElementsAre("request_id"));
  EXPECT_EQ(server_.acct.Get("web")->packets, 7);
}

}  // namespace
}  // namespace nfmeter::testing
