// SPDX-License-Identifier: GPL-3.0-or-later
// What callers with counter prefixes or a few methods may see and change.
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"
#include "tests/component/component_server.h"
#include "tests/support/status_matchers.h"

namespace nfmeter::testing {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

using Counters = v1::CounterService::Stub;
using Rules = v1::RuleService::Stub;

std::string Tenant(const std::string& role) {
  return "version: 1\nrules:\n  - {principals: ['socket:*'], role: " + role +
         ", counter_prefixes: ['a-']}\n";
}

class AccessTest : public ::testing::Test {
 protected:
  explicit AccessTest(const std::string& role = "operator")
      : server_({.role = security::Role::kNone, .policy = Tenant(role)}) {
    server_.AddObject({.name = "a-1", .packets = 1});
    server_.AddObject({.name = "b-1", .packets = 2});
  }

  static void ExpectDenied(const grpc::Status& status,
                           const std::string& reason) {
    EXPECT_EQ(status.error_code(), grpc::StatusCode::PERMISSION_DENIED);
    if (status.ok()) return;
    EXPECT_EQ(ErrorInfoOf(status).reason(), reason);
  }

  // Names of all objects in the kernel.
  std::vector<std::string> Objects() {
    std::vector<std::string> names;
    for (const char* name : {"a-1", "a-2", "b-1", "b-2"}) {
      if (server_.acct.Get(name).ok()) names.emplace_back(name);
    }
    return names;
  }

  ComponentServer server_;
};

class AdminOfSomeTest : public AccessTest {
 protected:
  AdminOfSomeTest() : AccessTest("admin") {}
};

TEST_F(AccessTest, ForeignCountersAreNotReadAndNotToldFromMissingOnes) {
  v1::GetCounterRequest request;
  v1::GetCounterResponse response;
  request.set_name("a-1");
  EXPECT_OK(
      Call(*server_.counter_stub, &Counters::GetCounter, request, &response));
  request.set_name("b-1");
  const grpc::Status there =
      Call(*server_.counter_stub, &Counters::GetCounter, request, &response);
  ExpectDenied(there, "COUNTER_NOT_PERMITTED");
  request.set_name("b-2");
  const grpc::Status missing =
      Call(*server_.counter_stub, &Counters::GetCounter, request, &response);
  ExpectDenied(missing, "COUNTER_NOT_PERMITTED");
  v1::BatchGetCountersRequest batch;
  v1::BatchGetCountersResponse batch_response;
  batch.add_names("a-1");
  batch.add_names("b-1");
  ExpectDenied(Call(*server_.counter_stub, &Counters::BatchGetCounters, batch,
                    &batch_response),
               "COUNTER_NOT_PERMITTED");
}

TEST_F(AccessTest, NamesWrittenInEscapesAreJudgedByTheirBytes) {
  v1::GetCounterRequest request;
  v1::GetCounterResponse response;
  request.set_name("\\x62-1");
  ExpectDenied(
      Call(*server_.counter_stub, &Counters::GetCounter, request, &response),
      "COUNTER_NOT_PERMITTED");
  v1::CreateRuleRequest rule;
  v1::CreateRuleResponse created;
  rule.mutable_rule()->set_chain("INPUT");
  rule.mutable_rule()->set_counter("\\x62-1");
  ExpectDenied(Call(*server_.rule_stub, &Rules::CreateRule, rule, &created),
               "COUNTER_NOT_PERMITTED");
  rule.mutable_rule()->set_counter("\\x61-1");
  EXPECT_OK(Call(*server_.rule_stub, &Rules::CreateRule, rule, &created));
  EXPECT_EQ(created.rule().counter(), "a-1");
}

TEST_F(AccessTest, ListingsAndSnapshotsHaveOwnCountersOnly) {
  v1::ListCountersResponse list;
  ASSERT_OK(Call(*server_.counter_stub, &Counters::ListCounters,
                 v1::ListCountersRequest(), &list));
  ASSERT_EQ(list.counters_size(), 1);
  EXPECT_EQ(list.counters(0).name(), "a-1");
  grpc::ClientContext context;
  v1::GetSnapshotRequest request;
  request.set_view(v1::SNAPSHOT_VIEW_ROWS);
  const auto reader = server_.snapshot_stub->GetSnapshot(&context, request);
  std::vector<std::string> names;
  v1::GetSnapshotResponse response;
  while (reader->Read(&response)) {
    for (const auto& row : response.frame().counters()) {
      names.push_back(row.name());
    }
  }
  EXPECT_OK(reader->Finish());
  EXPECT_THAT(names, ElementsAre("a-1"));
}

TEST_F(AccessTest, ColumnsHaveOwnCountersOnly) {
  for (int i = 0; i < 600; ++i) {  // several chunks
    server_.AddObject({.name = absl::StrCat("b-x", i)});
  }
  grpc::ClientContext context;
  v1::GetSnapshotRequest request;
  request.set_view(v1::SNAPSHOT_VIEW_COLUMNS);
  const auto reader = server_.snapshot_stub->GetSnapshot(&context, request);
  v1::GetSnapshotResponse response;
  std::string names;
  int rows = 0;
  while (reader->Read(&response)) {
    names += response.frame().columns().new_names();
    rows += response.frame().columns().ids_size();
    EXPECT_LE(response.frame().expected_count(), 1u);
  }
  EXPECT_OK(reader->Finish());
  EXPECT_EQ(rows, 1);
  EXPECT_THAT(names, HasSubstr("a-1"));
  EXPECT_THAT(names, Not(HasSubstr("b-")));
}

TEST_F(AccessTest, ForeignCountersAreNotChanged) {
  v1::CreateCounterRequest create;
  v1::CreateCounterResponse created;
  create.mutable_counter()->set_name("b-2");
  ExpectDenied(
      Call(*server_.counter_stub, &Counters::CreateCounter, create, &created),
      "COUNTER_NOT_PERMITTED");
  v1::BatchCreateCountersRequest batch;
  v1::BatchCreateCountersResponse batch_created;
  batch.add_counters()->set_name("a-2");
  batch.add_counters()->set_name("b-2");
  ExpectDenied(Call(*server_.counter_stub, &Counters::BatchCreateCounters,
                    batch, &batch_created),
               "COUNTER_NOT_PERMITTED");
  v1::ResetCounterRequest reset;
  v1::ResetCounterResponse was_reset;
  reset.set_name("b-1");
  ExpectDenied(
      Call(*server_.counter_stub, &Counters::ResetCounter, reset, &was_reset),
      "COUNTER_NOT_PERMITTED");
  v1::DeleteCounterRequest remove;
  v1::DeleteCounterResponse removed;
  remove.set_name("b-1");
  ExpectDenied(
      Call(*server_.counter_stub, &Counters::DeleteCounter, remove, &removed),
      "COUNTER_NOT_PERMITTED");
  EXPECT_THAT(Objects(), ElementsAre("a-1", "b-1"));
  EXPECT_EQ(server_.acct.Get("b-1")->packets, 2u);
}

// Ids of rules are one space for all: whether one is taken outside of the
// caller's prefixes is not told.
TEST_F(AccessTest, ChosenIdsOfRulesAreOfTheOwnPrefixes) {
  ASSERT_OK(
      server_.domain->rule_editor()
          .Create({{.spec = {.id = "web", .chain = "INPUT", .counter = "b-1"}}},
                  {})
          .status());
  v1::CreateRuleRequest request;
  v1::CreateRuleResponse response;
  request.mutable_rule()->set_chain("INPUT");
  request.mutable_rule()->set_counter("a-1");
  const auto create = [&](const char* id, bool validate_only = false) {
    request.mutable_rule()->set_id(id);
    request.set_validate_only(validate_only);
    return Call(*server_.rule_stub, &Rules::CreateRule, request, &response);
  };
  std::vector<std::string> refusals;
  for (const bool validate_only : {false, true}) {
    for (const char* id : {"web", "wow"}) {  // taken, free
      const grpc::Status refused = create(id, validate_only);
      ExpectDenied(refused, "RULE_ID_NOT_PERMITTED");
      refusals.push_back(
          absl::StrReplaceAll(refused.error_message(), {{id, "ID"}}));
    }
  }
  EXPECT_THAT(refusals, Each(refusals[0]));
  EXPECT_OK(create("a-web"));
  EXPECT_EQ(response.rule().id(), "a-web");
  EXPECT_EQ(ErrorInfoOf(create("a-web")).reason(), "RULE_EXISTS");
  EXPECT_OK(create(""));
}

// What a change does to rules of others is told to callers that see the whole
// host.
TEST_F(AccessTest, ChangesDoNotTellOfBudgetsOfOthers) {
  server_.rule_table.RefillBudgetsOnCommits(1);
  v1::CreateRuleRequest request;
  v1::CreateRuleResponse response;
  request.mutable_rule()->set_chain("INPUT");
  request.mutable_rule()->set_counter("a-1");
  ASSERT_OK(Call(*server_.rule_stub, &Rules::CreateRule, request, &response));
  EXPECT_THAT(response.notices(), IsEmpty());
}

TEST_F(AccessTest, RulesCountIntoOwnCountersOnly) {
  v1::CreateRuleRequest request;
  v1::CreateRuleResponse response;
  request.mutable_rule()->set_chain("INPUT");
  for (const char* counter : {"b-1", ""}) {
    request.mutable_rule()->set_counter(counter);
    EXPECT_FALSE(
        Call(*server_.rule_stub, &Rules::CreateRule, request, &response).ok())
        << counter;
  }
  request.mutable_rule()->set_counter("a-1");
  EXPECT_OK(Call(*server_.rule_stub, &Rules::CreateRule, request, &response));
  request.mutable_rule()->set_verdict(v1::VERDICT_DROP);
  ExpectDenied(Call(*server_.rule_stub, &Rules::CreateRule, request, &response),
               "VERDICT_NOT_PERMITTED");
}

TEST_F(AdminOfSomeTest, DecidesWithRulesOfItsOwnCounters) {
  v1::CreateRuleRequest request;
  v1::CreateRuleResponse response;
  request.mutable_rule()->set_chain("INPUT");
  request.mutable_rule()->set_counter("a-1");
  request.mutable_rule()->set_verdict(v1::VERDICT_DROP);
  EXPECT_OK(Call(*server_.rule_stub, &Rules::CreateRule, request, &response));
  request.mutable_rule()->set_counter("b-1");
  ExpectDenied(Call(*server_.rule_stub, &Rules::CreateRule, request, &response),
               "COUNTER_NOT_PERMITTED");
}

TEST_F(AdminOfSomeTest, DoesNotSeeTheWholeHost) {
  v1::ListChainsResponse chains;
  const grpc::Status status = Call(*server_.rule_stub, &Rules::ListChains,
                                   v1::ListChainsRequest(), &chains);
  ExpectDenied(status, "NOT_PERMITTED");
  EXPECT_THAT(status.error_message(), HasSubstr("it shows the whole host"));
}

// A policy that gives one service is not got round by way of the other.
TEST(MethodPatternTest, OnlyACallerThatMayDeleteRulesDeletesThemWithACounter) {
  ComponentServer server(
      {.role = security::Role::kNone,
       .policy = "version: 1\nrules:\n  - {principals: ['socket:*'], "
                 "role: admin, methods: "
                 "['nfmeter.v1.CounterService/*']}\n"});
  server.AddObject({.name = "a"});
  ASSERT_OK(
      server.domain->rule_editor()
          .Create({{.spec = {.id = "r", .chain = "INPUT", .counter = "a"}}}, {})
          .status());
  v1::DeleteCounterRequest request;
  v1::DeleteCounterResponse response;
  request.set_name("a");
  request.set_delete_managed_rules(true);
  const grpc::Status status =
      Call(*server.counter_stub, &Counters::DeleteCounter, request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_THAT(status.error_message(), HasSubstr("delete_managed_rules: "));
  EXPECT_THAT(status.error_message(), HasSubstr("RuleService/DeleteRule"));
  EXPECT_OK(server.acct.Get("a"));
  EXPECT_EQ(server.rules.List({})->rules.size(), 1u);
}

TEST_F(AccessTest, WatchedSnapshotsHaveOwnCountersOnly) {
  grpc::ClientContext context;
  v1::WatchSnapshotsRequest request;
  request.set_changed_only(true);
  request.mutable_interval()->set_seconds(1);
  request.mutable_heartbeat()->set_seconds(1);
  const auto reader = server_.snapshot_stub->WatchSnapshots(&context, request);
  v1::WatchSnapshotsResponse first;
  ASSERT_TRUE(reader->Read(&first));
  EXPECT_EQ(first.frame().expected_count(), 1u);
  ASSERT_EQ(first.frame().counters_size(), 1);
  EXPECT_EQ(first.frame().counters(0).name(), "a-1");
  server_.AddObject({.name = "b-2", .packets = 3});
  ASSERT_OK(server_.acct.Delete({"b-1"})[0]);
  const absl::Duration due =
      absl::Floor(server_.clock.BootTime(), absl::Seconds(1)) +
      absl::Seconds(1);
  server_.clock.AwaitWaiter(due);
  server_.Advance(due - server_.clock.BootTime());
  v1::WatchSnapshotsResponse second;
  ASSERT_TRUE(reader->Read(&second));
  EXPECT_EQ(second.frame().expected_count(), 1u);
  EXPECT_EQ(second.frame().counters_size(), 0) << second.DebugString();
  EXPECT_EQ(second.frame().removed_names_size(), 0) << second.DebugString();
  context.TryCancel();
  reader->Finish();
}

TEST_F(AccessTest, QuotaEventsAreOfOwnCountersOnly) {
  const kernel::QuotaLimit quota = {kernel::QuotaLimit::Unit::kPackets, 5};
  for (const char* name : {"a-2", "b-2"}) {
    server_.AddObject({.name = name, .quota = quota});
    ASSERT_OK(server_.acct.Count(name, 7, 700));
  }
  grpc::ClientContext context;
  const auto reader = server_.counter_stub->WatchQuotaEvents(
      &context, v1::WatchQuotaEventsRequest());
  std::vector<std::string> names;
  v1::WatchQuotaEventsResponse event;
  while (reader->Read(&event) && event.kind() != v1::QUOTA_EVENT_KIND_SYNCED) {
    names.push_back(event.counter().name());
  }
  EXPECT_THAT(names, ElementsAre("a-2"));
  context.TryCancel();
  reader->Finish();
}

TEST_F(AccessTest, RulesOfForeignCountersAreNeitherSeenNorDeleted) {
  ASSERT_OK(
      server_.domain->rule_editor()
          .Create(
              {{.spec = {.id = "own", .chain = "INPUT", .counter = "a-1"}},
               {.spec = {.id = "foreign", .chain = "INPUT", .counter = "b-1"}}},
              {})
          .status());
  v1::ListRulesResponse list;
  ASSERT_OK(Call(*server_.rule_stub, &Rules::ListRules, v1::ListRulesRequest(),
                 &list));
  ASSERT_EQ(list.rules_size(), 1);
  EXPECT_EQ(list.rules(0).id(), "own");
  EXPECT_EQ(list.total_size(), 1);
  v1::GetRuleRequest get;
  v1::GetRuleResponse got;
  get.set_id("foreign");
  EXPECT_EQ(ErrorInfoOf(Call(*server_.rule_stub, &Rules::GetRule, get, &got))
                .reason(),
            "RULE_NOT_FOUND");
  v1::DeleteRuleRequest remove;
  v1::DeleteRuleResponse removed;
  remove.set_id("foreign");
  EXPECT_EQ(ErrorInfoOf(
                Call(*server_.rule_stub, &Rules::DeleteRule, remove, &removed))
                .reason(),
            "RULE_NOT_FOUND");
  v1::BatchDeleteRulesRequest batch;
  v1::BatchDeleteRulesResponse batch_removed;
  batch.add_ids("own");
  batch.add_ids("foreign");
  EXPECT_EQ(ErrorInfoOf(Call(*server_.rule_stub, &Rules::BatchDeleteRules,
                             batch, &batch_removed))
                .reason(),
            "RULE_NOT_FOUND");
  EXPECT_OK(server_.rules.Get("own").status());
  EXPECT_OK(server_.rules.Get("foreign").status());
}

// ListChains shows them, to callers that see the whole host.
TEST_F(AccessTest, ErrorsDoNotTellTheChainsOfTheHost) {
  v1::CreateRuleRequest request;
  v1::CreateRuleResponse response;
  request.mutable_rule()->set_chain("NONE");
  request.mutable_rule()->set_counter("a-1");
  request.set_validate_only(true);
  const grpc::Status status =
      Call(*server_.rule_stub, &Rules::CreateRule, request, &response);
  EXPECT_EQ(ErrorInfoOf(status).reason(), "CHAIN_NOT_FOUND");
  EXPECT_THAT(status.error_message(), HasSubstr("there is no chain 'NONE'"));
  EXPECT_THAT(RpcStatusOf(status).DebugString(), Not(HasSubstr("FORWARD")));
}

TEST_F(AccessTest, TheNodeDoesNotTellOfTheWholeHost) {
  ComponentServer server({.node = {.notices = {"The policy file is wrong"}},
                          .role = security::Role::kNone,
                          .policy = Tenant("viewer")});
  server.AddObject({.name = "b-1"});
  ASSERT_OK(server.hub.Take(absl::ZeroDuration()).status());
  v1::GetNodeResponse response;
  ASSERT_OK(Call(*server.node_stub, &v1::NodeService::Stub::GetNode,
                 v1::GetNodeRequest(), &response));
  EXPECT_EQ(response.node().counter_count(), 0u);
  EXPECT_EQ(response.node().notices_size(), 0);
}

TEST_F(AccessTest, ACallerIsToldWhoItIsAndWhatItHas) {
  v1::GetNodeResponse response;
  ASSERT_OK(Call(*server_.node_stub, &v1::NodeService::Stub::GetNode,
                 v1::GetNodeRequest(), &response));
  const v1::Caller& caller = response.node().caller();
  EXPECT_THAT(caller.principal(), HasSubstr("socket:/"));
  ASSERT_EQ(caller.grants_size(), 1);
  EXPECT_EQ(caller.grants(0).role(), "operator");
  EXPECT_THAT(caller.grants(0).counter_prefixes(), ElementsAre("a-"));
  EXPECT_THAT(caller.grants(0).methods(), IsEmpty());
}

}  // namespace
}  // namespace nfmeter::testing
