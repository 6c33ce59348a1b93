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
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::MatchesRegex;
using ::testing::Pair;
using ::testing::SizeIs;

class RuleCreateTest : public ::testing::Test {
 protected:
  void SetUp() override { server_.AddObject({.name = "web"}); }

  static v1::Rule RuleFor(const std::string& counter,
                          const std::string& chain = "INPUT",
                          const std::string& table = "") {
    v1::Rule rule;
    rule.set_counter(counter);
    rule.set_chain(chain);
    rule.set_table(table);
    return rule;
  }
  grpc::Status Create(const v1::Rule& rule, bool validate_only = false) {
    v1::CreateRuleRequest request;
    *request.mutable_rule() = rule;
    request.set_validate_only(validate_only);
    return Call(*server_.rule_stub, &v1::RuleService::Stub::CreateRule, request,
                &response_);
  }
  grpc::Status CreateBatch(
      const std::vector<v1::Rule>& rules, bool validate_only = false,
      v1::RulePlacement placement = v1::RULE_PLACEMENT_UNSPECIFIED) {
    v1::BatchCreateRulesRequest request;
    request.mutable_rules()->Assign(rules.begin(), rules.end());
    request.set_validate_only(validate_only);
    request.set_placement(placement);
    return Call(*server_.rule_stub, &v1::RuleService::Stub::BatchCreateRules,
                request, &batch_);
  }
  // Ids of a chain, in order.
  std::vector<std::string> IdsIn(Family family, Table table,
                                 const std::string& chain) {
    std::vector<std::string> ids;
    const absl::StatusOr<kernel::TableContents> contents =
        server_.rule_table.Read(family, table);
    for (const kernel::Chain& each : contents->chains) {
      if (each.name != chain) continue;
      for (const kernel::Rule& rule : each.rules) ids.push_back(rule.id);
    }
    return ids;
  }
  int RuleCount() {
    v1::ListRulesResponse response;
    EXPECT_OK(Call(*server_.rule_stub, &v1::RuleService::Stub::ListRules,
                   v1::ListRulesRequest(), &response));
    return response.total_size();
  }

  ComponentServer server_;
  v1::CreateRuleResponse response_;
  v1::BatchCreateRulesResponse batch_;
};

TEST_F(RuleCreateTest, MakesTheClassicExample) {
  v1::Rule rule = RuleFor("web");
  rule.mutable_match()->set_protocol("tcp");
  rule.mutable_match()->add_source_ports()->set_first(80);
  ASSERT_OK(Create(rule));
  const v1::Rule& made = response_.rule();
  EXPECT_THAT(made.id(), MatchesRegex("[0-9a-f]{16}"));
  EXPECT_EQ(made.family(), v1::FAMILY_IPV4);
  EXPECT_EQ(made.table(), "filter");
  EXPECT_TRUE(made.managed());
  EXPECT_EQ(made.verdict(), v1::VERDICT_CONTINUE);
  EXPECT_EQ(made.position(), 1);
  EXPECT_EQ(made.match().source_ports(0).first(), 80);
  EXPECT_EQ(server_.acct.Get("web")->use_count, 1);
}

TEST_F(RuleCreateTest, ForAMissingCounterSaysHowToMakeIt) {
  const grpc::Status status =
      CreateBatch({RuleFor("x"), RuleFor("web"), RuleFor("y")});
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(ErrorInfoOf(status).reason(), "COUNTER_NOT_FOUND");
  EXPECT_THAT(ErrorInfoOf(status).metadata(),
              Contains(Pair("counters", "x,y")));
  EXPECT_THAT(status.error_message(), HasSubstr("CreateCounter"));
  EXPECT_EQ(RuleCount(), 0);
}

TEST_F(RuleCreateTest, InAMissingChainNamesIt) {
  const grpc::Status status = Create(RuleFor("web", "NO-SUCH"));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(ErrorInfoOf(status).reason(), "CHAIN_NOT_FOUND");
  EXPECT_THAT(status.error_message(),
              HasSubstr("no chain 'NO-SUCH' in table filter (IPv4); its chains "
                        "are INPUT, FORWARD, OUTPUT"));
}

TEST_F(RuleCreateTest, WhatTheKernelRefusesIsNamedByItsPlaceInTheRequest) {
  grpc::Status status =
      CreateBatch({RuleFor("x"), RuleFor("web"), RuleFor("y")});
  EXPECT_THAT(WrongFieldsOf(status),
              ElementsAre("rules[0].counter", "rules[2].counter"));

  status = CreateBatch({RuleFor("web"), RuleFor("web", "NO-SUCH")});
  EXPECT_THAT(WrongFieldsOf(status), ElementsAre("rules[1].chain"));
  EXPECT_THAT(status.error_message(), HasSubstr("rules[1]: there is no chain"));
  status = Create(RuleFor("web", "NO-SUCH"));
  EXPECT_THAT(WrongFieldsOf(status), ElementsAre("rule.chain"));

  // A chain that packets reach from INPUT, where nobody sends. The id is the
  // server's, and means nothing to the caller.
  server_.rule_table.AddUserChain(Family::kIpv4, Table::kFilter, "mine");
  server_.rule_table.AddForeignRule(Family::kIpv4, Table::kFilter,
                                    "-A INPUT -j mine");
  v1::Rule owner = RuleFor("web", "mine");
  owner.mutable_match()->mutable_owner_uid()->set_first(7);
  status = CreateBatch({RuleFor("web"), owner});
  EXPECT_EQ(ErrorInfoOf(status).reason(), "RULE_REFUSED");
  EXPECT_THAT(WrongFieldsOf(status), ElementsAre("rules[1].match.owner_uid"));
  EXPECT_THAT(status.error_message(),
              HasSubstr("the rule in chain mine for counter 'web': "
                        "match.owner_uid: is known only where packets are "
                        "sent, not for those from INPUT"));
  EXPECT_EQ(ErrorInfoOf(status).metadata().count("rule"), 0);
  owner.set_id("alice");
  EXPECT_THAT(ErrorInfoOf(CreateBatch({RuleFor("web"), owner})).metadata(),
              Contains(Pair("rule", "alice")));

  v1::Rule named = RuleFor("web");
  named.set_id("alice");
  ASSERT_OK(Create(named));
  status = CreateBatch({RuleFor("web"), named});
  EXPECT_THAT(WrongFieldsOf(status), ElementsAre("rules[1].id"));
}

TEST_F(RuleCreateTest, AllThatIsWrongInABatchIsNamedAndNothingIsMade) {
  std::vector<v1::Rule> rules = {RuleFor("web"), RuleFor("web", "", "x"),
                                 RuleFor("")};
  rules[0].mutable_match()->set_source("10.0.0.0/33");
  rules[2].mutable_match()->set_protocol("tcp");
  rules[2].mutable_match()->add_source_ports()->set_first(70'000);
  EXPECT_THAT(
      WrongFieldsOf(CreateBatch(rules)),
      ElementsAre("rules[0].match.source", "rules[1].table", "rules[1].chain",
                  "rules[2].match.source_ports[0]", "rules[2].counter"));
  EXPECT_EQ(RuleCount(), 0);
}

TEST_F(RuleCreateTest, BatchesGoToTheHeadInTheirOrderOrToTheTail) {
  v1::Rule rule = RuleFor("web");
  for (const char* id : {"a", "b"}) {
    rule.set_id(id);
    ASSERT_OK(Create(rule));
  }
  std::vector<v1::Rule> rules = {RuleFor("web"), RuleFor("web")};
  rules[0].set_id("c");
  rules[1].set_id("d");
  ASSERT_OK(CreateBatch(rules));
  rules[0].set_id("e");
  rules[1].set_id("f");
  ASSERT_OK(CreateBatch(rules, false, v1::RULE_PLACEMENT_TAIL));
  EXPECT_THAT(IdsIn(Family::kIpv4, Table::kFilter, "INPUT"),
              ElementsAre("c", "d", "b", "a", "e", "f"));
}

TEST_F(RuleCreateTest, OneCommitForEachTableAndFamilyOfABatch) {
  std::vector<v1::Rule> rules;
  for (int i = 0; i < 12; ++i) {
    rules.push_back(RuleFor("web", "OUTPUT", i % 2 == 0 ? "filter" : "raw"));
    rules.back().set_family(i % 3 == 0 ? v1::FAMILY_IPV6 : v1::FAMILY_IPV4);
    rules.back().set_id("r" + std::to_string(i));
  }
  ASSERT_OK(CreateBatch(rules));
  EXPECT_EQ(server_.rule_table.total_commits(), 4);
  ASSERT_THAT(batch_.rules(), SizeIs(12));
  for (int i = 0; i < 12; ++i) {
    EXPECT_EQ(batch_.rules(i).id(), "r" + std::to_string(i));
    EXPECT_EQ(batch_.rules(i).table(), rules[i].table());
    EXPECT_EQ(batch_.rules(i).family(), rules[i].family());
  }
}

TEST_F(RuleCreateTest, AFailureInOneTableTakesTheOthersBack) {
  server_.rule_table.AddForeignRule(Family::kIpv4, Table::kFilter,
                                    "-A INPUT -j ACCEPT");
  // The commit of the second table.
  std::vector<v1::Rule> rules = {RuleFor("web"),
                                 RuleFor("web", "INPUT", "mangle"),
                                 RuleFor("web", "NO-SUCH", "mangle")};
  EXPECT_EQ(ErrorInfoOf(CreateBatch(rules)).reason(), "CHAIN_NOT_FOUND");
  EXPECT_EQ(server_.rule_table.total_commits(), 0);
  EXPECT_EQ(RuleCount(), 1);
  EXPECT_EQ(server_.acct.Get("web")->use_count, 0);
}

TEST_F(RuleCreateTest, AnIdIsUniqueOverAllTables) {
  v1::Rule rule = RuleFor("web");
  rule.set_id("mine");
  ASSERT_OK(Create(rule));
  rule = RuleFor("web", "OUTPUT", "raw");
  rule.set_family(v1::FAMILY_IPV6);
  rule.set_id("mine");
  const grpc::Status status = Create(rule);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::ALREADY_EXISTS);
  EXPECT_EQ(ErrorInfoOf(status).reason(), "RULE_EXISTS");
  EXPECT_THAT(WrongFieldsOf(CreateBatch({rule, rule})),
              ElementsAre("rules[1].id"));
  EXPECT_EQ(RuleCount(), 1);
}

TEST_F(RuleCreateTest, ValidateOnlyChecksAllAndMakesNothing) {
  ASSERT_OK(Create(RuleFor("web"), true));
  EXPECT_EQ(response_.rule().counter(), "web");
  EXPECT_EQ(Create(RuleFor("x"), true).error_code(),
            grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(Create(RuleFor("web", "NO-SUCH"), true).error_code(),
            grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(RuleCount(), 0);
  EXPECT_EQ(server_.rule_table.total_commits(), 0);
}

TEST_F(RuleCreateTest, AHeldXtablesLockIsUnavailableWithAHint) {
  server_.rule_table.HoldXtablesLock(true);
  const grpc::Status status = Create(RuleFor("web"));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(ErrorInfoOf(status).reason(), "XTABLES_LOCK_HELD");
}

TEST_F(RuleCreateTest, CountsIntoCountersWithForeignNames) {
  server_.AddObject({.name = "a b"});
  ASSERT_OK(Create(RuleFor("a\\x20b")));
  EXPECT_EQ(response_.rule().counter(), "a\\x20b");
  EXPECT_EQ(server_.acct.Get("a b")->use_count, 1);
}

TEST_F(RuleCreateTest, TheFirstChangeOfATableTellsThatBudgetsOfOthersAreFull) {
  ASSERT_OK(Create(RuleFor("web")));
  EXPECT_THAT(response_.notices(), IsEmpty());
  server_.rule_table.RefillBudgetsOnCommits(1);
  ASSERT_OK(Create(RuleFor("web"), /*validate_only=*/true));
  EXPECT_THAT(response_.notices(), IsEmpty());
  ASSERT_OK(Create(RuleFor("web")));
  EXPECT_THAT(response_.notices(),
              ElementsAre(AllOf(HasSubstr("-m quota"),
                                HasSubstr("in table filter of IPv4"))));
  ASSERT_OK(CreateBatch({RuleFor("web"), RuleFor("web")}));
  EXPECT_THAT(batch_.notices(), IsEmpty());
  v1::DeleteRuleRequest request;
  v1::DeleteRuleResponse deleted;
  request.set_id(response_.rule().id());
  ASSERT_OK(Call(*server_.rule_stub, &v1::RuleService::Stub::DeleteRule,
                 request, &deleted));
  EXPECT_THAT(deleted.notices(), IsEmpty());
  v1::Rule ipv6 = RuleFor("web");
  ipv6.set_family(v1::FAMILY_IPV6);
  ASSERT_OK(CreateBatch({RuleFor("web"), ipv6}));
  EXPECT_THAT(batch_.notices(),
              ElementsAre(HasSubstr("in table filter of IPv6")));
}

TEST_F(RuleCreateTest, ABatchOf10000IsOneCommit) {
  std::vector<v1::Rule> rules;
  for (int i = 0; i < 10'000; ++i) {
    rules.push_back(RuleFor("n" + std::to_string(i % 100)));
  }
  for (int i = 0; i < 100; ++i) {
    server_.AddObject({.name = "n" + std::to_string(i)});
  }
  ASSERT_OK(CreateBatch(rules));
  EXPECT_THAT(batch_.rules(), SizeIs(10'000));
  EXPECT_EQ(server_.rule_table.total_commits(), 1);
  rules.assign(20'001, RuleFor("web"));
  const grpc::Status status = CreateBatch(rules);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(status.error_message(), HasSubstr("20000"));
}

}  // namespace
}  // namespace nfmeter::testing
