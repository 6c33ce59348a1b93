// SPDX-License-Identifier: GPL-3.0-or-later
// Unary calls of the SDK: request ids, errors, pages, health.
#include <memory>
#include <string>
#include <vector>

#include "absl/synchronization/notification.h"
#include "gtest/gtest.h"
#include "tests/component/client/call_fixture.h"

namespace nfmeter {
namespace {

using ::nfmeter::testing::CallFixture;
using ::nfmeter::testing::Fail;
using ::nfmeter::testing::IsOkAndHolds;
using ::nfmeter::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

using CallTest = CallFixture;

TEST_F(CallTest, ShortFormsReturnTheObject) {
  server_.counters.on_CreateCounter = [](const auto& request, auto* response) {
    *response->mutable_counter() = request.counter();
    return grpc::Status::OK;
  };
  const auto counter = client_->CreateCounter("http");
  ASSERT_OK(counter);
  EXPECT_EQ(counter->name(), "http");
}

TEST_F(CallTest, TheRequestIdOfTheCallerIsKept) {
  std::string id;
  server_.counters.on_DeleteCounter = [&](const auto& request, auto*) {
    id = request.request_id();
    return grpc::Status::OK;
  };
  v1::DeleteCounterRequest request;
  request.set_name("http");
  request.set_request_id("mine");
  EXPECT_OK(client_->DeleteCounter(request));
  EXPECT_EQ(id, "mine");
}

TEST_F(CallTest, TextThatIsNotUtf8IsNamedAndNotSent) {
  int calls = 0;
  server_.counters.on_BatchCreateCounters = [&](const auto&, auto*) {
    ++calls;
    return grpc::Status::OK;
  };
  v1::BatchCreateCountersRequest request;
  request.add_counters()->set_name("gr\xc3\xbcn");
  request.add_counters()->set_name("a\xff");
  const auto answer = client_->BatchCreateCounters(request);
  EXPECT_THAT(answer, StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_EQ(ErrorReason(answer.status()), reason::kBadText);
  const auto fields = FieldViolations(answer.status());
  ASSERT_EQ(fields.size(), 1u);
  EXPECT_EQ(fields[0].field, "counters[1].name");
  EXPECT_EQ(fields[0].description, "'a\\xff' is not UTF-8");
  EXPECT_EQ(calls, 0);
}

TEST_F(CallTest, ErrorsComeWithReasonAndAreNotRetried) {
  int calls = 0;
  server_.counters.on_GetCounter = [&](const auto&, auto*) {
    ++calls;
    return Fail(grpc::StatusCode::NOT_FOUND, "COUNTER_NOT_FOUND",
                "no counter \"x\"");
  };
  const auto counter = client_->GetCounter("x");
  EXPECT_THAT(counter,
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("\"x\"")));
  EXPECT_EQ(ErrorReason(counter.status()), "COUNTER_NOT_FOUND");
  EXPECT_EQ(calls, 1);
}

TEST_F(CallTest, AMissingServerIsExplained) {
  server_.Stop();
  const auto node = client_->GetNode();
  EXPECT_THAT(node, StatusIs(absl::StatusCode::kUnavailable,
                             AllOf(HasSubstr("there is no socket"),
                                   HasSubstr(server_.socket()))));
  EXPECT_EQ(ErrorReason(node.status()), reason::kSocketMissing);
}

TEST_F(CallTest, TheDeadlineIsThatOfTheCall) {
  auto release = std::make_shared<absl::Notification>();
  server_.counters.on_GetCounter = [release](const auto&, auto*) {
    release->WaitForNotification();
    return grpc::Status::OK;
  };
  const auto counter =
      client_->GetCounter("a", {.timeout = absl::Milliseconds(30)});
  release->Notify();
  EXPECT_THAT(counter, StatusIs(absl::StatusCode::kDeadlineExceeded));
  EXPECT_THAT(ErrorHint(counter.status()), HasSubstr("did not answer in time"));
}

// A controller hands on what is left of its own time.
TEST_F(CallTest, ANegativeTimeoutIsOver) {
  bool called = false;
  server_.counters.on_GetCounter = [&called](const auto&, auto*) {
    called = true;
    return grpc::Status::OK;
  };
  EXPECT_THAT(client_->GetCounter("a", {.timeout = -absl::Seconds(1)}),
              StatusIs(absl::StatusCode::kDeadlineExceeded));
  EXPECT_FALSE(called);
}

TEST_F(CallTest, ATimeoutOfCenturiesIsNoneAtAll) {
  server_.counters.on_GetCounter = [](const auto&, auto*) {
    return grpc::Status::OK;
  };
  for (const absl::Duration timeout :
       {absl::Hours(99'999'999'999), absl::Hours(24 * 365 * 300),
        absl::InfiniteDuration()}) {
    EXPECT_OK(client_->GetCounter("a", {.timeout = timeout})) << timeout;
  }
}

TEST_F(CallTest, AnUnknownMethodHintsAtAnOlderServer) {
  EXPECT_THAT(ErrorHint(client_->GetNode().status()), HasSubstr("older"));
}

TEST_F(CallTest, ListsHideTheirPages) {
  std::vector<std::string> tokens;
  server_.counters.on_ListCounters = [&](const auto& request, auto* response) {
    EXPECT_EQ(request.filter().name_glob(), "a*");
    tokens.push_back(request.page_token());
    response->add_counters()->set_name("a" + request.page_token());
    response->set_total_size(3);
    if (tokens.size() < 3) {
      response->set_next_page_token(std::to_string(tokens.size()));
    }
    return grpc::Status::OK;
  };
  const auto counters = client_->ListCounters("a*");
  ASSERT_OK(counters);
  ASSERT_EQ(counters->size(), 3u);
  EXPECT_EQ((*counters)[2].name(), "a2");
  EXPECT_THAT(tokens, ElementsAre("", "1", "2"));
}

TEST_F(CallTest, PagesStopWhenTheCallerHasEnough) {
  server_.counters.on_ListCounters = [](const auto& request, auto* response) {
    response->set_next_page_token(request.page_token() + "x");
    return grpc::Status::OK;
  };
  int pages = 0;
  EXPECT_OK(
      client_->ListCounterPages({}, [&](const auto&) { return ++pages < 2; }));
  EXPECT_EQ(pages, 2);
}

TEST_F(CallTest, APageTokenThatRepeatsDoesNotLoopForever) {
  server_.counters.on_ListCounters = [](const auto&, auto* response) {
    response->set_next_page_token("again");
    return grpc::Status::OK;
  };
  EXPECT_THAT(client_->ListCounters(""), StatusIs(absl::StatusCode::kDataLoss));
}

TEST_F(CallTest, AListOfRulesBeginsAgainWhenTheyChange) {
  int calls = 0;
  server_.rules.on_ListRules = [&](const auto& request, auto* response) {
    if (++calls == 2) {
      return Fail(grpc::StatusCode::ABORTED, "RULES_CHANGED", "changed");
    }
    response->add_rules()->set_id(request.page_token().empty() ? "1" : "2");
    if (request.page_token().empty()) response->set_next_page_token("2");
    return grpc::Status::OK;
  };
  const auto rules = client_->ListRules();
  ASSERT_OK(rules);
  EXPECT_EQ(rules->rules_size(), 2);
  server_.rules.on_ListRules = [&](const auto&, auto*) {
    return Fail(grpc::StatusCode::ABORTED, "RULES_CHANGED", "changed");
  };
  EXPECT_THAT(client_->ListRules(), StatusIs(absl::StatusCode::kAborted));
}

TEST_F(CallTest, HealthOfTheServerAndItsServices) {
  server_.server().GetHealthCheckService()->SetServingStatus("sick", false);
  EXPECT_THAT(client_->CheckHealth(), IsOkAndHolds(Health::kServing));
  EXPECT_THAT(client_->CheckHealth("sick"), IsOkAndHolds(Health::kNotServing));
  EXPECT_THAT(client_->CheckHealth("unheard.of"),
              IsOkAndHolds(Health::kUnknownService));
}

TEST(ConnectTest, TheAddressComesFromTheEnvironmentWhenNoneIsGiven) {
  setenv(kAddressVariable, "unix:/from/environment", 1);
  EXPECT_EQ((*Client::Connect())->address(), "unix:/from/environment");
  EXPECT_EQ((*Client::Connect({.address = "/given"}))->address(),
            "unix:/given");
  unsetenv(kAddressVariable);
  EXPECT_EQ((*Client::Connect())->address(), kDefaultAddress);
  EXPECT_THAT(Client::Connect({.address = "10.0.0.1:1"}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("TLS")));
}

}  // namespace
}  // namespace nfmeter
