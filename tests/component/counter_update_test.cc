// SPDX-License-Identifier: GPL-3.0-or-later
#include <cerrno>
#include <string>
#include <utility>

#include "gmock/gmock.h"
#include "kernel/acct_names.h"
#include "tests/component/component_server.h"
#include "tests/support/status_matchers.h"

namespace nfmeter::testing {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

class CounterUpdateTest : public ::testing::Test {
 protected:
  void SetUp() override {
    v1::CreateCounterRequest request;
    v1::Counter& counter = *request.mutable_counter();
    counter.set_name("web");
    counter.set_description("the shop");
    counter.mutable_quota()->set_bytes(1000);
    (*counter.mutable_labels())["tenant"] = "acme";
    v1::CreateCounterResponse response;
    ASSERT_OK(Call(*server_.counter_stub,
                   &v1::CounterService::Stub::CreateCounter, request,
                   &response));
    EXPECT_EQ(response.counter().description(), "the shop");
    etag_ = response.counter().etag();
    server_.Advance(absl::Seconds(1));
    request_.mutable_counter()->set_name("web");
  }

  grpc::Status Update() {
    return Call(*server_.counter_stub, &v1::CounterService::Stub::UpdateCounter,
                request_, &response_);
  }
  void Mask(const std::string& path) {
    request_.mutable_update_mask()->add_paths(path);
  }
  v1::Counter Get() {
    v1::GetCounterRequest request;
    request.set_name("web");
    v1::GetCounterResponse response;
    EXPECT_OK(Call(*server_.counter_stub, &v1::CounterService::Stub::GetCounter,
                   request, &response));
    return response.counter();
  }
  void CountIntoWeb(v1::Verdict verdict = v1::VERDICT_CONTINUE) {
    v1::CreateRuleRequest request;
    request.mutable_rule()->set_verdict(verdict);
    request.mutable_rule()->set_chain("INPUT");
    request.mutable_rule()->set_counter("web");
    request.mutable_rule()->set_id("r");
    v1::CreateRuleResponse response;
    ASSERT_OK(Call(*server_.rule_stub, &v1::RuleService::Stub::CreateRule,
                   request, &response));
  }
  std::string CounterOfRule() {
    v1::GetRuleRequest request;
    request.set_id("r");
    v1::GetRuleResponse response;
    EXPECT_OK(Call(*server_.rule_stub, &v1::RuleService::Stub::GetRule, request,
                   &response));
    return response.rule().counter();
  }

  ComponentServer server_;
  v1::UpdateCounterRequest request_;
  v1::UpdateCounterResponse response_;
  std::string etag_;
};

TEST_F(CounterUpdateTest, ChangesWhatTheMaskNamesAndNothingElse) {
  Mask("labels");
  (*request_.mutable_counter()->mutable_labels())["team"] = "blue";
  request_.mutable_counter()->set_description("not meant");
  ASSERT_OK(Update());
  EXPECT_THAT(response_.counter().labels(),
              UnorderedElementsAre(Pair("team", "blue")));
  EXPECT_EQ(response_.counter().description(), "the shop");
  EXPECT_EQ(response_.counter().quota().bytes(), 1000u);
  EXPECT_TRUE(response_.counter().managed());
  EXPECT_NE(response_.counter().etag(), etag_);
}

TEST_F(CounterUpdateTest, WithoutAMaskItChangesWhatIsSet) {
  request_.mutable_counter()->set_description("the new shop");
  ASSERT_OK(Update());
  EXPECT_EQ(Get().description(), "the new shop");
  EXPECT_THAT(Get().labels(), UnorderedElementsAre(Pair("tenant", "acme")));
  EXPECT_EQ(Get().quota().bytes(), 1000u);
}

TEST_F(CounterUpdateTest, AFieldThatIsNamedAndEmptyIsRemoved) {
  Mask("*");
  ASSERT_OK(Update());
  EXPECT_THAT(Get().labels(), IsEmpty());
  EXPECT_EQ(Get().description(), "");
  EXPECT_FALSE(Get().has_quota());
  EXPECT_TRUE(Get().managed());
}

// Without its quota a rule that drops what is over it would drop everything.
TEST(CounterUpdateRoleTest, AnOperatorChangesNoQuotaThatPacketsAreDroppedBy) {
  ComponentServer server({.role = security::Role::kOperator});
  v1::CreateCounterRequest create;
  v1::CreateCounterResponse created;
  v1::UpdateCounterRequest update;
  v1::UpdateCounterResponse updated;
  const auto change = [&](const char* name, const char* path) {
    update.Clear();
    update.mutable_counter()->set_name(name);
    update.mutable_counter()->set_description("new");
    update.mutable_update_mask()->add_paths(path);
    return Call(*server.counter_stub, &v1::CounterService::Stub::UpdateCounter,
                update, &updated);
  };
  for (const auto& [name, verdict] :
       {std::pair("cap", kernel::Verdict::kDrop),
        std::pair("told", kernel::Verdict::kContinue)}) {
    create.mutable_counter()->set_name(name);
    create.mutable_counter()->mutable_quota()->set_bytes(1000);
    ASSERT_OK(Call(*server.counter_stub,
                   &v1::CounterService::Stub::CreateCounter, create, &created));
    ASSERT_OK(server.domain->rule_editor()
                  .Create({{.spec = {.id = name,
                                     .chain = "INPUT",
                                     .counter = name,
                                     .verdict = verdict}}},
                          {})
                  .status());
  }
  const grpc::Status refused = change("cap", "quota");
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(ErrorInfoOf(refused).reason(), "VERDICT_NOT_PERMITTED");
  EXPECT_OK(change("cap", "description"));
  EXPECT_OK(change("told", "quota"));
}

TEST_F(CounterUpdateTest, NamesAllWrongFields) {
  request_.mutable_counter()->set_name("");
  EXPECT_THAT(WrongFieldsOf(Update()),
              ElementsAre("update_mask", "counter.name"));
  Mask("packets");
  Mask("quota");
  request_.mutable_counter()->set_name("web");
  request_.mutable_counter()->mutable_quota()->set_bytes(0);
  EXPECT_THAT(WrongFieldsOf(Update()),
              ElementsAre("update_mask", "counter.quota.bytes"));
  request_.clear_update_mask();
  request_.mutable_counter()->clear_quota();
  request_.mutable_counter()->set_description(std::string(1025, 'x'));
  EXPECT_THAT(WrongFieldsOf(Update()), ElementsAre("counter.description"));
}

TEST_F(CounterUpdateTest, OfAMissingCounterIsNotFound) {
  request_.mutable_counter()->set_name("gone");
  request_.mutable_counter()->set_description("x");
  EXPECT_EQ(ErrorInfoOf(Update()).reason(), "COUNTER_NOT_FOUND");
}

TEST_F(CounterUpdateTest, WithAnotherEtagIsAbortedAndChangesNothing) {
  request_.mutable_counter()->set_description("first");
  request_.mutable_counter()->set_etag(etag_);
  ASSERT_OK(Update());
  request_.mutable_counter()->set_description("second");
  EXPECT_EQ(ErrorInfoOf(Update()).reason(), "ETAG_MISMATCH");
  EXPECT_EQ(Get().description(), "first");
}

TEST_F(CounterUpdateTest, ARepeatedRequestIdGivesTheFirstAnswer) {
  request_.set_request_id("1");
  request_.mutable_counter()->set_description("first");
  ASSERT_OK(Update());
  const std::string etag = response_.counter().etag();
  ASSERT_OK(server_.labels.Set({{"web", {}}}));
  ASSERT_OK(Update());
  EXPECT_EQ(response_.counter().etag(), etag);
  EXPECT_EQ(Get().description(), "");
}

TEST_F(CounterUpdateTest, ValidateOnlyForeseesItAndChangesNothing) {
  CountIntoWeb();
  request_.set_validate_only(true);
  request_.mutable_counter()->set_description("new");
  request_.mutable_counter()->mutable_quota()->set_bytes(5);
  ASSERT_OK(Update());
  EXPECT_EQ(response_.counter().description(), "new");
  EXPECT_EQ(response_.counter().quota().bytes(), 5u);
  EXPECT_EQ(Get().etag(), etag_);
}

TEST_F(CounterUpdateTest, AQuotaOfAFreeCounterChangesAndItsValueStays) {
  ASSERT_OK(server_.acct.Count("web", 4, 400));
  request_.mutable_counter()->mutable_quota()->set_packets(9);
  ASSERT_OK(Update());
  EXPECT_EQ(response_.counter().quota().packets(), 9u);
  EXPECT_EQ(response_.counter().packets(), 4u);
  EXPECT_EQ(response_.counter().total_packets(), 4u);
}

TEST_F(CounterUpdateTest, AQuotaChangesWhileRulesCount) {
  CountIntoWeb();
  ASSERT_OK(server_.acct.Count("web", 4, 400));
  request_.mutable_counter()->mutable_quota()->set_bytes(500);
  ASSERT_OK(Update());
  EXPECT_EQ(response_.counter().quota().bytes(), 500u);
  EXPECT_EQ(response_.counter().packets(), 4u);
  EXPECT_EQ(response_.counter().total_packets(), 4u);
  EXPECT_EQ(response_.counter().use_count(), 1u);
  EXPECT_EQ(CounterOfRule(), "web");
  EXPECT_FALSE(server_.acct.Exists(kernel::StandInName("web")));
  // It goes on to the new limit from what it had.
  ASSERT_OK(server_.acct.Count("web", 1, 100));
  EXPECT_TRUE(Get().quota().exceeded());
}

TEST_F(CounterUpdateTest, WhatAStandInCountsIsTheCounters) {
  CountIntoWeb();
  ASSERT_OK(server_.acct.Count("web", 4, 400));
  // Left by a server that ended in the middle, with its rules.
  const std::string stand_in = kernel::StandInName("web");
  server_.AddObject({.name = stand_in, .packets = 1});
  ASSERT_OK(server_.kernel.rules().MoveRules({"web", stand_in}, {}).status());
  ASSERT_OK(server_.acct.Count(stand_in, 3, 300));
  EXPECT_THAT(server_.domain->counter_editor().FinishQuotaChanges({}),
              IsOkAndHolds(1u));
  EXPECT_EQ(CounterOfRule(), "web");
  EXPECT_FALSE(server_.acct.Exists(stand_in));
  EXPECT_EQ(Get().packets(), 4u);
  EXPECT_EQ(Get().total_packets(), 7u);
  EXPECT_THAT(server_.domain->counter_editor().FinishQuotaChanges({}),
              IsOkAndHolds(0u));
}

TEST_F(CounterUpdateTest, ARuleOfSomebodyElsesKeepsTheQuota) {
  server_.kernel.rules().AddForeignRule(
      kernel::Family::kIpv4, kernel::Table::kFilter,
      "-A INPUT -m nfacct --nfacct-name web -j DROP");
  request_.mutable_counter()->mutable_quota()->set_bytes(5);
  request_.mutable_counter()->set_description("new");
  for (const bool validate_only : {true, false}) {
    request_.set_validate_only(validate_only);
    EXPECT_EQ(ErrorInfoOf(Update()).reason(), "COUNTER_IN_USE");
    EXPECT_EQ(Get().etag(), etag_);
  }
}

// It would drop every packet.
TEST_F(CounterUpdateTest, ARuleThatDropsWhatExceedsTheQuotaKeepsIt) {
  CountIntoWeb(v1::VERDICT_DROP);
  Mask("quota");
  for (const bool in_place : {false, true}) {
    server_.acct.SetFeatures({.replace = in_place});
    for (const bool validate_only : {true, false}) {
      request_.set_validate_only(validate_only);
      const grpc::Status status = Update();
      EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
      EXPECT_EQ(ErrorInfoOf(status).reason(), "QUOTA_OF_CAPS");
      EXPECT_THAT(ErrorInfoOf(status).metadata(), Contains(Pair("rules", "r")));
      EXPECT_EQ(Get().quota().bytes(), 1000u);
    }
  }
  request_.mutable_counter()->mutable_quota()->set_bytes(5);
  EXPECT_OK(Update());
}

TEST_F(CounterUpdateTest, ARuleThatOnlyCountsLetsTheQuotaGo) {
  CountIntoWeb();
  Mask("quota");
  EXPECT_OK(Update());
  EXPECT_FALSE(Get().has_quota());
}

TEST_F(CounterUpdateTest, RulesThatCannotBeMovedKeepTheQuota) {
  CountIntoWeb();
  server_.kernel.rules().FailNext(kernel::Operation::kRuleCommit, EBUSY);
  request_.mutable_counter()->mutable_quota()->set_bytes(5);
  EXPECT_FALSE(Update().ok());
  EXPECT_EQ(Get().quota().bytes(), 1000u);
  EXPECT_EQ(CounterOfRule(), "web");
  EXPECT_FALSE(server_.acct.Exists(kernel::StandInName("web")));
  EXPECT_OK(Update());
}

TEST_F(CounterUpdateTest, InPlaceNoRuleMoves) {
  server_.acct.SetFeatures({.replace = true});
  CountIntoWeb();
  const int commits = server_.kernel.rules().total_commits();
  request_.mutable_counter()->mutable_quota()->set_bytes(5);
  ASSERT_OK(Update());
  EXPECT_EQ(Get().quota().bytes(), 5u);
  EXPECT_EQ(server_.kernel.rules().total_commits(), commits);
}

TEST_F(CounterUpdateTest, ANameOf253BytesIsACounterLikeAnyOther) {
  const std::string name(253, 'n');
  v1::CreateCounterRequest create;
  create.mutable_counter()->set_name(name);
  v1::CreateCounterResponse created;
  ASSERT_OK(Call(*server_.counter_stub,
                 &v1::CounterService::Stub::CreateCounter, create, &created));
  EXPECT_EQ(created.counter().name(), name);
  create.mutable_counter()->set_name(name + "n");
  EXPECT_THAT(WrongFieldsOf(Call(*server_.counter_stub,
                                 &v1::CounterService::Stub::CreateCounter,
                                 create, &created)),
              ElementsAre("counter.name"));
}

}  // namespace
}  // namespace nfmeter::testing
