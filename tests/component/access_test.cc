// Callers who may touch some counters only.
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "tests/component/component_server.h"
#include "tests/support/status_matchers.h"

namespace nfmeter::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

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
  EXPECT_TRUE(
      Call(*server_.counter_stub, &Counters::GetCounter, request, &response)
          .ok());
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

TEST_F(AccessTest, ListingsAndSnapshotsHaveOwnCountersOnly) {
  v1::ListCountersResponse list;
  ASSERT_TRUE(Call(*server_.counter_stub, &Counters::ListCounters,
                   v1::ListCountersRequest(), &list)
                  .ok());
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
  EXPECT_TRUE(reader->Finish().ok());
  EXPECT_THAT(names, ElementsAre("a-1"));
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
  EXPECT_TRUE(
      Call(*server_.rule_stub, &Rules::CreateRule, request, &response).ok());
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
  EXPECT_TRUE(
      Call(*server_.rule_stub, &Rules::CreateRule, request, &response).ok());
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

TEST_F(AccessTest, ACallerIsToldWhoItIsAndWhatItHas) {
  v1::GetNodeResponse response;
  ASSERT_TRUE(Call(*server_.node_stub, &v1::NodeService::Stub::GetNode,
                   v1::GetNodeRequest(), &response)
                  .ok());
  const v1::Caller& caller = response.node().caller();
  EXPECT_THAT(caller.principal(), HasSubstr("socket:/"));
  ASSERT_EQ(caller.grants_size(), 1);
  EXPECT_EQ(caller.grants(0).role(), "operator");
  EXPECT_THAT(caller.grants(0).counter_prefixes(), ElementsAre("a-"));
  EXPECT_THAT(caller.grants(0).methods(), IsEmpty());
}

}  // namespace
}  // namespace nfmeter::testing
