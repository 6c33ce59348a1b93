// SPDX-License-Identifier: GPL-3.0-or-later
#include <cerrno>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "tests/component/component_server.h"
#include "tests/support/status_matchers.h"

namespace nfmeter::testing {
namespace {

using kernel::Family;
using kernel::Table;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::Pair;
using ::testing::SizeIs;

class RuleDeleteTest : public ::testing::Test {
 protected:
  void SetUp() override {
    server_.AddObject({.name = "web"});
    AddRule("f", "filter");
    AddRule("m", "mangle");
    AddRule("r", "raw");
    foreign_ = server_.rule_table.AddForeignRule(Family::kIpv4, Table::kFilter,
                                                 "-A OUTPUT -j ACCEPT");
    commits_ = server_.rule_table.total_commits();
  }

  void AddRule(const std::string& id, const std::string& table) {
    v1::CreateRuleRequest request;
    request.mutable_rule()->set_id(id);
    request.mutable_rule()->set_counter("web");
    request.mutable_rule()->set_table(table);
    request.mutable_rule()->set_chain("OUTPUT");
    v1::CreateRuleResponse response;
    ASSERT_OK(Call(*server_.rule_stub, &v1::RuleService::Stub::CreateRule,
                   request, &response));
  }
  grpc::Status Delete(const std::string& id, bool validate_only = false) {
    v1::DeleteRuleRequest request;
    request.set_id(id);
    request.set_validate_only(validate_only);
    return Call(*server_.rule_stub, &v1::RuleService::Stub::DeleteRule, request,
                &response_);
  }
  grpc::Status DeleteBatch(const std::vector<std::string>& ids) {
    v1::BatchDeleteRulesRequest request;
    request.mutable_ids()->Assign(ids.begin(), ids.end());
    return Call(*server_.rule_stub, &v1::RuleService::Stub::BatchDeleteRules,
                request, &batch_);
  }
  int NewCommits() { return server_.rule_table.total_commits() - commits_; }
  size_t RulesLeft() { return server_.rules.Holders({"web"})->size(); }

  ComponentServer server_;
  v1::DeleteRuleResponse response_;
  v1::BatchDeleteRulesResponse batch_;
  std::string foreign_;
  int commits_ = 0;
};

TEST_F(RuleDeleteTest, ReturnsTheRuleWithItsLastCounters) {
  server_.rule_table.SetRuleCounters(Family::kIpv4, Table::kMangle, "m", 5,
                                     500);
  ASSERT_OK(Delete("m"));
  EXPECT_EQ(response_.rule().id(), "m");
  EXPECT_EQ(response_.rule().packets(), 5);
  EXPECT_EQ(RulesLeft(), 2);
}

TEST_F(RuleDeleteTest, ABatchGoesOverTablesInTheOrderOfTheRequest) {
  ASSERT_OK(DeleteBatch({"r", "f", "m"}));
  ASSERT_THAT(batch_.rules(), SizeIs(3));
  EXPECT_EQ(batch_.rules(0).id(), "r");
  EXPECT_EQ(batch_.rules(1).id(), "f");
  EXPECT_EQ(batch_.rules(2).id(), "m");
  EXPECT_EQ(NewCommits(), 3);
  EXPECT_EQ(RulesLeft(), 0);
}

TEST_F(RuleDeleteTest, MissingIdsAreNamedAndNothingIsDeleted) {
  const grpc::Status status = DeleteBatch({"f", "x", "y"});
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(ErrorInfoOf(status).reason(), "RULE_NOT_FOUND");
  EXPECT_THAT(ErrorInfoOf(status).metadata(), Contains(Pair("rules", "x,y")));
  EXPECT_EQ(NewCommits(), 0);
}

TEST_F(RuleDeleteTest, ARuleOfOthersIsRefusedAndNothingIsDeleted) {
  const grpc::Status status = DeleteBatch({"f", foreign_});
  EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(ErrorInfoOf(status).reason(), "FOREIGN_RULE");
  EXPECT_EQ(NewCommits(), 0);
}

TEST_F(RuleDeleteTest, ValidateOnlyReturnsItAndDeletesNothing) {
  ASSERT_OK(Delete("f", true));
  EXPECT_EQ(response_.rule().id(), "f");
  EXPECT_EQ(Delete("x", true).error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(NewCommits(), 0);
}

TEST_F(RuleDeleteTest, AFailedCommitDeletesNothing) {
  server_.rule_table.FailNext(kernel::Operation::kRuleCommit, EPERM);
  EXPECT_EQ(DeleteBatch({"f", "m"}).error_code(),
            grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(RulesLeft(), 3);
}

TEST_F(RuleDeleteTest, RefusesRepeatsAndEmptyBatches) {
  EXPECT_THAT(WrongFieldsOf(DeleteBatch({"f", "f"})), ElementsAre("ids[1]"));
  EXPECT_THAT(WrongFieldsOf(DeleteBatch({})), ElementsAre("ids"));
  EXPECT_THAT(WrongFieldsOf(Delete("")), ElementsAre("id"));
  EXPECT_EQ(DeleteBatch(std::vector<std::string>(20'001, "f")).error_code(),
            grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(NewCommits(), 0);
}

}  // namespace
}  // namespace nfmeter::testing
