// SPDX-License-Identifier: GPL-3.0-or-later
// No answer is larger than its client takes.
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "nfmeter/v1/counter.pb.h"
#include "nfmeter/v1/rule.pb.h"
#include "tests/component/component_server.h"
#include "tests/support/status_matchers.h"

namespace nfmeter::testing {
namespace {

using Counters = v1::CounterService::Stub;
using Rules = v1::RuleService::Stub;

// What gRPC clients take unless they are told otherwise, and what is promised.
constexpr size_t kPromisedBytes = 3 << 20;

// The context of a client that takes so much.
grpc::ClientContext& Taking(grpc::ClientContext& context, size_t bytes) {
  context.AddMetadata("nfmeter-max-answer-bytes", absl::StrCat(bytes));
  return context;
}

class AnswerSizeTest : public ::testing::Test {
 protected:
  // Counters with as long labels as there can be: some 5 KiB each.
  v1::BatchCreateCountersRequest FullCounters(int count) {
    v1::BatchCreateCountersRequest request;
    for (int i = 0; i < count; ++i) {
      v1::Counter* const counter = request.add_counters();
      counter->set_name(absl::StrCat("c", i));
      counter->set_packets(1);
      for (int label = 0; label < 16; ++label) {
        (*counter->mutable_labels())[absl::StrCat("label", label)] =
            std::string(255, 'x');
      }
    }
    return request;
  }

  void CreateFullCounters(int count) {
    grpc::ClientContext context;
    v1::BatchCreateCountersResponse response;
    ASSERT_OK(server_.counter_stub->BatchCreateCounters(
        &Taking(context, 16 << 20), FullCounters(count), &response));
  }

  ComponentServer server_;
};

TEST_F(AnswerSizeTest, ABatchWhoseAnswerWouldBeTooLargeChangesNothing) {
  v1::BatchCreateCountersResponse response;
  const grpc::Status refused =
      Call(*server_.counter_stub, &Counters::BatchCreateCounters,
           FullCounters(1000), &response);
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(ErrorInfoOf(refused).reason(), "ANSWER_TOO_LARGE");
  EXPECT_EQ(ErrorInfoOf(refused).metadata().at("bound"),
            absl::StrCat(kPromisedBytes));
  EXPECT_TRUE(absl::IsNotFound(server_.acct.Get("c0").status()));
  CreateFullCounters(1000);
}

TEST_F(AnswerSizeTest, NoValueIsLostWithAnAnswerThatIsTooLarge) {
  CreateFullCounters(1000);
  v1::BatchResetCountersRequest request;
  for (int i = 0; i < 1000; ++i) request.add_names(absl::StrCat("c", i));
  v1::BatchResetCountersResponse response;
  EXPECT_EQ(ErrorInfoOf(Call(*server_.counter_stub,
                             &Counters::BatchResetCounters, request, &response))
                .reason(),
            "ANSWER_TOO_LARGE");
  EXPECT_EQ(server_.acct.Get("c0")->packets, 1u);
  grpc::ClientContext context;
  ASSERT_OK(server_.counter_stub->BatchResetCounters(&Taking(context, 16 << 20),
                                                     request, &response));
  EXPECT_EQ(response.counters(999).packets(), 1u);
}

TEST_F(AnswerSizeTest, PagesAreCutToWhatTheClientTakes) {
  CreateFullCounters(1000);
  v1::ListCountersRequest request;
  size_t counters = 0;
  do {
    v1::ListCountersResponse page;
    ASSERT_OK(
        Call(*server_.counter_stub, &Counters::ListCounters, request, &page));
    EXPECT_LE(page.ByteSizeLong(), kPromisedBytes);
    counters += page.counters_size();
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  EXPECT_EQ(counters, 1000u);
  request.Clear();
  grpc::ClientContext context;
  v1::ListCountersResponse all;
  ASSERT_OK(server_.counter_stub->ListCounters(&Taking(context, 16 << 20),
                                               request, &all));
  EXPECT_EQ(all.counters_size(), 1000);
}

TEST_F(AnswerSizeTest, OfManyRulesNoneIsMadeThatCantBeTold) {
  server_.AddObject({.name = "a"});
  v1::BatchCreateRulesRequest request;
  for (int i = 0; i < 20'000; ++i) {
    v1::Rule* const rule = request.add_rules();
    rule->set_counter("a");
    rule->set_chain("INPUT");
  }
  v1::BatchCreateRulesResponse response;
  EXPECT_EQ(ErrorInfoOf(Call(*server_.rule_stub, &Rules::BatchCreateRules,
                             request, &response))
                .reason(),
            "ANSWER_TOO_LARGE");
  v1::ListRulesResponse rules;
  ASSERT_OK(Call(*server_.rule_stub, &Rules::ListRules, v1::ListRulesRequest(),
                 &rules));
  EXPECT_EQ(rules.total_size(), 0);
}

}  // namespace
}  // namespace nfmeter::testing
