// SPDX-License-Identifier: GPL-3.0-or-later
#include <string>

#include "base/error.h"
#include "gmock/gmock.h"
#include "tests/component/component_server.h"
#include "tests/support/status_matchers.h"

namespace nfmeter::testing {
namespace {

using ::testing::HasSubstr;

absl::Status Missing(const std::string& what) {
  return MakeError(absl::StatusCode::kUnimplemented, "NFACCT_UNAVAILABLE",
                   what + " is missing; load its module");
}

v1::CreateRuleRequest RuleOfFamily(v1::Family family) {
  v1::CreateRuleRequest request;
  request.mutable_rule()->set_chain("INPUT");
  request.mutable_rule()->set_counter("web");
  request.mutable_rule()->set_family(family);
  return request;
}

TEST(MissingKernelTest, WithoutNfacctEveryCounterMethodSaysWhatToDo) {
  ComponentServer server({.kernel = {.acct = Missing("nfnetlink_acct")}});
  v1::GetCounterRequest get;
  get.set_name("web");
  v1::GetCounterResponse got;
  v1::CreateCounterRequest create;
  create.mutable_counter()->set_name("web");
  v1::CreateCounterResponse created;
  v1::ListCountersResponse listed;
  v1::ResetCounterRequest reset;
  reset.set_name("web");
  v1::ResetCounterResponse was_reset;
  for (const grpc::Status& status :
       {Call(*server.counter_stub, &v1::CounterService::Stub::GetCounter, get,
             &got),
        Call(*server.counter_stub, &v1::CounterService::Stub::CreateCounter,
             create, &created),
        Call(*server.counter_stub, &v1::CounterService::Stub::ListCounters,
             v1::ListCountersRequest(), &listed),
        Call(*server.counter_stub, &v1::CounterService::Stub::ResetCounter,
             reset, &was_reset)}) {
    EXPECT_EQ(status.error_code(), grpc::StatusCode::UNIMPLEMENTED);
    EXPECT_THAT(status.error_message(), HasSubstr("load its module"));
    EXPECT_EQ(ErrorInfoOf(status).reason(), "NFACCT_UNAVAILABLE");
  }
}

TEST(MissingKernelTest, WithoutOneFamilysMatchTheOthersRulesWork) {
  ComponentServer server(
      {.kernel = {.rules = {.match_ipv6 = Missing("the match"),
                            .target_ipv6 = Missing("the target")}}});
  server.AddObject({.name = "web"});
  v1::CreateRuleResponse response;
  EXPECT_OK(Call(*server.rule_stub, &v1::RuleService::Stub::CreateRule,
                 RuleOfFamily(v1::FAMILY_IPV4), &response));
  const grpc::Status status =
      Call(*server.rule_stub, &v1::RuleService::Stub::CreateRule,
           RuleOfFamily(v1::FAMILY_IPV6), &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNIMPLEMENTED);
  EXPECT_THAT(status.error_message(), HasSubstr("the match is missing"));
}

TEST(MissingKernelTest, WithoutTheMatchRulesCountByTheTarget) {
  ComponentServer server(
      {.kernel = {.rules = {.match_ipv4 = Missing("the match")}}});
  server.AddObject({.name = "web"});
  v1::CreateRuleRequest request = RuleOfFamily(v1::FAMILY_IPV4);
  v1::CreateRuleResponse response;
  ASSERT_OK(Call(*server.rule_stub, &v1::RuleService::Stub::CreateRule, request,
                 &response));
  EXPECT_EQ(response.rule().counting_form(), v1::COUNTING_FORM_TARGET);
  EXPECT_EQ(response.rule().target(), "NFACCT");
  EXPECT_EQ(server.acct.Get("web")->use_count, 1u);

  request.mutable_rule()->set_verdict(v1::VERDICT_DROP);
  grpc::Status status =
      Call(*server.rule_stub, &v1::RuleService::Stub::CreateRule, request,
           &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNIMPLEMENTED);
  EXPECT_THAT(status.error_message(), HasSubstr("with a verdict"));

  request.mutable_rule()->clear_verdict();
  request.mutable_rule()->set_counting_form(v1::COUNTING_FORM_MATCH);
  status = Call(*server.rule_stub, &v1::RuleService::Stub::CreateRule, request,
                &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNIMPLEMENTED);
  EXPECT_THAT(status.error_message(), HasSubstr("the match is missing"));
  EXPECT_THAT(WrongFieldsOf(status),
              ::testing::ElementsAre("rule.counting_form"));
}

TEST(MissingKernelTest, WithoutAnyTablesRulesSaySo) {
  ComponentServer server(
      {.kernel = {.rules = {.tables_ipv4 = Missing("iptables"),
                            .tables_ipv6 = Missing("ip6tables")}}});
  v1::ListRulesResponse listed;
  EXPECT_EQ(Call(*server.rule_stub, &v1::RuleService::Stub::ListRules,
                 v1::ListRulesRequest(), &listed)
                .error_code(),
            grpc::StatusCode::UNIMPLEMENTED);
  v1::ListChainsResponse chains;
  EXPECT_EQ(Call(*server.rule_stub, &v1::RuleService::Stub::ListChains,
                 v1::ListChainsRequest(), &chains)
                .error_code(),
            grpc::StatusCode::UNIMPLEMENTED);
}

}  // namespace
}  // namespace nfmeter::testing
