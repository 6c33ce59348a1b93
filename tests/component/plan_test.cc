// SPDX-License-Identifier: GPL-3.0-or-later
// Plans: applied, kept, compared, refused.
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "gmock/gmock.h"
#include "nfmeter/v1/plan.pb.h"
#include "service/plan/read_plan.h"
#include "telemetry/call_observer.h"
#include "tests/component/component_server.h"
#include "tests/support/status_matchers.h"

namespace nfmeter {
namespace {

using ::nfmeter::testing::Call;
using ::nfmeter::testing::ComponentServer;
using ::nfmeter::testing::ErrorInfoOf;
using ::nfmeter::testing::WrongFieldsOf;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

using Stub = v1::PlanService::Stub;

// Two customers by address, four that are nobody's, and all of UDP.
v1::Plan Customers() {
  v1::Plan plan;
  plan.set_name("customers");
  v1::AccountGroup& group = *plan.add_groups();
  group.set_key(v1::GROUP_KEY_DESTINATION);
  (*group.mutable_members())["10.0.0.1"] = "alice";
  (*group.mutable_members())["10.0.0.2"] = "bob";
  for (const char* i : {"11", "12", "13", "14"}) {
    (*group.mutable_members())[absl::StrCat("10.0.0.", i)] =
        absl::StrCat("c", i);
  }
  (*group.mutable_labels())["tenant"] = "a";
  v1::Account& udp = *plan.add_accounts();
  udp.set_counter("udp");
  udp.mutable_match()->set_protocol("udp");
  return plan;
}

// On a kernel of each kind.
class PlanTest : public ::testing::TestWithParam<kernel::Backend> {
 protected:
  static ComponentServer::Options OnBackend(kernel::Backend backend) {
    ComponentServer::Options options;
    options.kernel.backend = backend;
    return options;
  }
  grpc::Status Apply(const v1::Plan& plan,
                     const v1::ApplyPlanRequest& how = {}) {
    v1::ApplyPlanRequest request = how;
    *request.mutable_plan() = plan;
    applied_.Clear();
    return Call(*server_.plan_stub, &Stub::ApplyPlan, request, &applied_);
  }
  v1::PlanStatus Status(const std::string& name) {
    v1::GetPlanStatusRequest request;
    request.set_name(name);
    v1::GetPlanStatusResponse response;
    EXPECT_OK(
        Call(*server_.plan_stub, &Stub::GetPlanStatus, request, &response));
    return response.status();
  }
  size_t Holders(const std::string& counter) {
    return server_.rules.Holders({counter})->size();
  }
  // Of a member of a group: the hooks lead to one rule, or each looks it up.
  static size_t HoldersOfMember() {
    return GetParam() == kernel::Backend::kIptables ? 1 : 3;
  }
  int Commits() const { return server_.rule_table.total_commits(); }
  void Flush() {
    for (const auto family : kernel::kAllFamilies) {
      server_.rule_table.Flush(family, kernel::Table::kFilter);
    }
  }
  // iptables -I
  void InsertForeign(const std::string& text) {
    server_.rule_table.AddForeignRule(kernel::Family::kIpv4,
                                      kernel::Table::kFilter, text,
                                      kernel::RulePlacement::kHead);
  }
  // As after some seconds.
  void Look() { server_.Advance(ComponentServer::kLookInterval); }

  ComponentServer server_{OnBackend(GetParam())};
  v1::ApplyPlanResponse applied_;
};
INSTANTIATE_TEST_SUITE_P(Backend, PlanTest,
                         ::testing::Values(kernel::Backend::kIptables,
                                           kernel::Backend::kNftables),
                         [](const auto& info) {
                           return info.param == kernel::Backend::kIptables
                                      ? "Iptables"
                                      : "Nftables";
                         });

TEST_P(PlanTest, MakesCountersAndRules) {
  ASSERT_OK(Apply(Customers()));
  EXPECT_EQ(applied_.commits(), 2u);  // IPv4 and IPv6
  EXPECT_EQ(applied_.cost().counters(), 7u);
  EXPECT_EQ(Holders("alice"), HoldersOfMember());
  EXPECT_EQ(Holders("udp"), 6u);  // in, out, forwarded; in both families
  EXPECT_THAT(server_.labels.Get("alice"),
              ::testing::Contains(::testing::Pair("tenant", "a")));
}

TEST_P(PlanTest, TheSameAgainCommitsNothing) {
  ASSERT_OK(Apply(Customers()));
  const int commits = Commits();
  ASSERT_OK(Apply(Customers()));
  EXPECT_EQ(applied_.change_count(), 0u);
  EXPECT_EQ(Commits(), commits);
}

TEST_P(PlanTest, ValidateOnlySaysWhatWouldChangeAndChangesNothing) {
  v1::ApplyPlanRequest how;
  how.set_validate_only(true);
  ASSERT_OK(Apply(Customers(), how));
  EXPECT_GT(applied_.change_count(), 7u);
  EXPECT_EQ(Commits(), 0);
  EXPECT_FALSE(server_.acct.Exists("alice"));
}

TEST_P(PlanTest, AnAccountThatLeftIsPrunedOnlyWhenAsked) {
  ASSERT_OK(Apply(Customers()));
  v1::Plan less = Customers();
  less.mutable_groups(0)->mutable_members()->erase("10.0.0.2");
  ASSERT_OK(Apply(less));
  EXPECT_EQ(Holders("bob"), 0u);
  EXPECT_TRUE(server_.acct.Exists("bob"));
  ASSERT_OK(Apply(Customers()));
  v1::ApplyPlanRequest prune;
  prune.set_prune(true);
  ASSERT_OK(Apply(less, prune));
  EXPECT_FALSE(server_.acct.Exists("bob"));
}

TEST_P(PlanTest, WhatOthersFlushIsRepairedAndTold) {
  ASSERT_OK(Apply(Customers()));
  Flush();
  EXPECT_EQ(Holders("alice"), 0u);
  Look();
  EXPECT_EQ(Holders("alice"), HoldersOfMember());
  const v1::PlanStatus status = Status("customers");
  EXPECT_EQ(status.repairs(), 1u);
  EXPECT_EQ(status.state(), v1::PlanStatus::STATE_IN_SYNC);
  EXPECT_LT(status.missed_from().seconds(), status.missed_to().seconds());
}

TEST_P(PlanTest, WhatNobodyHasChangedIsNotReadAgain) {
  ASSERT_OK(Apply(Customers()));
  Look();
  const int reads = server_.rule_table.reads();
  const auto checked = Status("customers").check_time();
  Look();
  EXPECT_EQ(server_.rule_table.reads(), reads);
  EXPECT_GT(Status("customers").check_time().seconds(), checked.seconds());
  // What others do beside it is no drift, but has to be looked at, once.
  server_.rule_table.AddForeignRule(kernel::Family::kIpv4, kernel::Table::kNat,
                                    "-A OUTPUT -j ACCEPT");
  Look();
  EXPECT_GT(server_.rule_table.reads(), reads);
  const int again = server_.rule_table.reads();
  Look();
  EXPECT_EQ(server_.rule_table.reads(), again);
  EXPECT_EQ(Status("customers").repairs(), 0u);
}

TEST_P(PlanTest, ARepairThatIsUndoneEachTimeMakesTheNextOneWait) {
  ASSERT_OK(Apply(Customers()));
  for (int i = 0; i < 3; ++i) {
    Flush();
    Look();
  }
  EXPECT_EQ(Status("customers").state(), v1::PlanStatus::STATE_FOUGHT);
}

// On iptables a rule that drops stands before the plan's jump until the next
// look. That is repaired and told; but whoever makes three such rules one after
// the other does not fight the plan.
TEST_P(PlanTest, RulesWithAVerdictThatAreMadeThroughTheServerAreNoFight) {
  ASSERT_OK(Apply(Customers()));
  for (const char* id : {"a", "b", "c"}) {
    v1::CreateRuleRequest request;
    request.mutable_rule()->set_id(id);
    request.mutable_rule()->set_chain("INPUT");
    request.mutable_rule()->set_counter("udp");
    request.mutable_rule()->set_verdict(v1::VERDICT_DROP);
    v1::CreateRuleResponse response;
    ASSERT_OK(Call(*server_.rule_stub, &v1::RuleService::Stub::CreateRule,
                   request, &response));
    Look();
  }
  const v1::PlanStatus status = Status("customers");
  EXPECT_EQ(status.state(), v1::PlanStatus::STATE_IN_SYNC);
  if (GetParam() == kernel::Backend::kIptables) {
    EXPECT_EQ(status.repairs(), 3u);
  }
  // The last one is behind the jump: nothing is to be done any more.
  const int commits = Commits();
  Look();
  EXPECT_EQ(Commits(), commits);
  EXPECT_EQ(Holders("alice"), HoldersOfMember());
}

// As Docker and kube-proxy do when they start.
TEST_P(PlanTest, NewRulesOfOthersBeforeTheJumpAreNoFight) {
  ASSERT_OK(Apply(Customers()));
  for (int i = 0; i < 5; ++i) {
    InsertForeign(absl::StrCat("-A INPUT -s 10.0.0.", i, "/32 -j DROP"));
    Look();
  }
  EXPECT_EQ(Status("customers").state(), v1::PlanStatus::STATE_IN_SYNC);
  EXPECT_EQ(Holders("alice"), HoldersOfMember());
  EXPECT_EQ(Status("customers").repairs(), 5u);
}

TEST_P(PlanTest, ARuleThatComesBeforeTheJumpAgainAndAgainIsAFight) {
  ASSERT_OK(Apply(Customers()));
  for (int i = 0; i < 4; ++i) {
    InsertForeign("-A INPUT -j KUBE-FIREWALL");
    Look();
  }
  EXPECT_EQ(Status("customers").state(), v1::PlanStatus::STATE_FOUGHT);
}

// What people made by hand is theirs to delete.
TEST_P(PlanTest, RulesOutsideOfThePlanKeepItsCountersFromBeingDeleted) {
  ASSERT_OK(Apply(Customers()));
  v1::CreateRuleRequest request;
  request.mutable_rule()->set_id("mine");
  request.mutable_rule()->set_chain("INPUT");
  request.mutable_rule()->set_counter("bob");
  v1::CreateRuleResponse response;
  ASSERT_OK(Call(*server_.rule_stub, &v1::RuleService::Stub::CreateRule,
                 request, &response));
  const int commits = Commits();
  const auto names_it = [&](const grpc::Status& refused) {
    const auto error = ErrorInfoOf(refused);
    EXPECT_EQ(error.reason(), "COUNTER_IN_USE");
    EXPECT_EQ(error.metadata().at("counters"), "bob");
    EXPECT_EQ(error.metadata().at("rules"), "mine");
    EXPECT_EQ(Commits(), commits);
    EXPECT_EQ(Holders("bob"), HoldersOfMember() + 1);
  };
  v1::Plan less = Customers();
  less.mutable_groups(0)->mutable_members()->erase("10.0.0.2");
  v1::ApplyPlanRequest how;
  how.set_prune(true);
  names_it(Apply(less, how));
  how.set_validate_only(true);
  names_it(Apply(less, how));

  v1::DeletePlanRequest deletion;
  deletion.set_name("customers");
  v1::DeletePlanResponse deleted;
  const auto remove = [&] {
    return Call(*server_.plan_stub, &Stub::DeletePlan, deletion, &deleted);
  };
  names_it(remove());
  deletion.clear_name();
  deletion.set_all(true);
  names_it(remove());
  deletion.set_keep_counters(true);
  EXPECT_OK(remove());
  EXPECT_EQ(Holders("bob"), 1u);
}

TEST_P(PlanTest, AFailedCommitLeavesThePlanOfBefore) {
  ASSERT_OK(Apply(Customers()));
  v1::Plan more = Customers();
  (*more.mutable_groups(0)->mutable_members())["10.0.0.3"] = "carol";
  server_.rule_table.FailNext(kernel::Operation::kRuleCommit, ENOMEM);
  EXPECT_FALSE(Apply(more).ok());
  EXPECT_FALSE(server_.acct.Exists("carol"));
  EXPECT_EQ(Holders("alice"), HoldersOfMember());
  ASSERT_OK(Apply(Customers()));
  EXPECT_EQ(applied_.change_count(), 0u);
}

TEST_P(PlanTest, AnEmptyPlanNeedsToBeMeant) {
  ASSERT_OK(Apply(Customers()));
  v1::Plan empty;
  empty.set_name("customers");
  EXPECT_EQ(ErrorInfoOf(Apply(empty)).reason(), "PLAN_EMPTY");
  v1::ApplyPlanRequest meant;
  meant.set_allow_empty(true);
  ASSERT_OK(Apply(empty, meant));
  EXPECT_EQ(Holders("alice"), 0u);
}

TEST_P(PlanTest, AnotherPlanMayNotHaveItsCounters) {
  ASSERT_OK(Apply(Customers()));
  v1::Plan other = Customers();
  other.set_name("other");
  EXPECT_EQ(ErrorInfoOf(Apply(other)).reason(), "COUNTER_OF_OTHER_PLAN");
}

TEST_P(PlanTest, AStaleEtagChangesNothing) {
  ASSERT_OK(Apply(Customers()));
  v1::ApplyPlanRequest stale;
  stale.set_etag("0123");
  EXPECT_EQ(ErrorInfoOf(Apply(Customers(), stale)).reason(), "ETAG_MISMATCH");
}

TEST_P(PlanTest, AllThatIsWrongIsNamed) {
  v1::Plan plan = Customers();
  plan.mutable_accounts(0)->set_counter("has space");
  (*plan.mutable_groups(0)->mutable_members())["10.0.0.300"] = "dave";
  EXPECT_THAT(WrongFieldsOf(Apply(plan)),
              ElementsAre("plan.accounts[0].counter",
                          "plan.groups[0].members[\"10.0.0.300\"]"));
}

TEST_P(PlanTest, DeletingItTakesRulesAndCounters) {
  ASSERT_OK(Apply(Customers()));
  v1::DeletePlanRequest request;
  request.set_name("customers");
  v1::DeletePlanResponse response;
  ASSERT_OK(Call(*server_.plan_stub, &Stub::DeletePlan, request, &response));
  EXPECT_EQ(response.deleted_counters(), 7u);
  EXPECT_FALSE(server_.acct.Exists("alice"));
  v1::ListPlansResponse plans;
  ASSERT_OK(Call(*server_.plan_stub, &Stub::ListPlans, v1::ListPlansRequest(),
                 &plans));
  EXPECT_THAT(plans.plans(), SizeIs(0));
}

TEST_P(PlanTest, ACounterThatAnotherProgramsRuleHoldsKeepsItsPlan) {
  ASSERT_OK(Apply(Customers()));
  server_.rule_table.AddForeignRule(
      kernel::Family::kIpv4, kernel::Table::kFilter,
      "-A INPUT -m nfacct --nfacct-name  alice -j ACCEPT");
  v1::DeletePlanRequest request;
  request.set_name("customers");
  v1::DeletePlanResponse response;
  const grpc::Status deleted =
      Call(*server_.plan_stub, &Stub::DeletePlan, request, &response);
  EXPECT_EQ(deleted.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_THAT(deleted.error_message(),
              HasSubstr("counter 'alice' is in use by somebody else's rule"));
  EXPECT_EQ(Holders("alice"), HoldersOfMember() + 1);
}

TEST_P(PlanTest, HandMadeRulesAreExportedAndTheExportCanBeApplied) {
  server_.AddObject({.name = "web"});
  v1::CreateRuleRequest rule;
  rule.mutable_rule()->set_chain("INPUT");
  rule.mutable_rule()->set_counter("web");
  rule.mutable_rule()->mutable_match()->set_protocol("tcp");
  v1::CreateRuleResponse created;
  ASSERT_OK(Call(*server_.rule_stub, &v1::RuleService::Stub::CreateRule, rule,
                 &created));
  v1::ExportPlanResponse exported;
  ASSERT_OK(Call(*server_.plan_stub, &Stub::ExportPlan, v1::ExportPlanRequest(),
                 &exported));
  ASSERT_THAT(exported.plan().accounts(), SizeIs(1));
  EXPECT_EQ(exported.plan().accounts(0).counter(), "web");
  EXPECT_EQ(exported.plan().accounts(0).match().protocol(), "tcp");
  EXPECT_OK(Apply(exported.plan()));
}

TEST_P(PlanTest, WhatNoPlanCanHaveIsLeftOutOfAnExport) {
  const auto rule = [&](const std::string& counter, const std::string& source) {
    v1::CreateRuleRequest request;
    request.mutable_rule()->set_chain("INPUT");
    request.mutable_rule()->set_counter(counter);
    request.mutable_rule()->mutable_match()->set_source(source);
    v1::CreateRuleResponse created;
    const grpc::Status status =
        Call(*server_.rule_stub, &v1::RuleService::Stub::CreateRule, request,
             &created);
    EXPECT_TRUE(status.ok()) << status.error_message();
  };
  for (const char* name : {"good", "nested", "twice", "a name"}) {
    server_.AddObject({.name = name});
  }
  rule("good", "10.1.0.1");
  rule("good", "10.1.0.2");
  rule("nested", "10.2.0.0/16");
  rule("nested", "10.2.0.1");
  rule("twice", "10.3.0.1");
  rule("twice", "10.3.0.1");
  rule("a\\x20name", "10.4.0.1");
  ASSERT_TRUE(Apply(Customers()).ok());
  rule("alice", "10.5.0.1");
  v1::ExportPlanResponse exported;
  ASSERT_TRUE(Call(*server_.plan_stub, &Stub::ExportPlan,
                   v1::ExportPlanRequest(), &exported)
                  .ok());
  EXPECT_THAT(
      exported.left_out(),
      UnorderedElementsAre(
          AllOf(HasSubstr("counter nested: "), HasSubstr("overlap")),
          AllOf(HasSubstr("counter twice: "), HasSubstr("twice")),
          AllOf(HasSubstr("counter a\\x20name: "), HasSubstr("must be")),
          AllOf(HasSubstr("counter alice: "), HasSubstr("customers"))));
  ASSERT_THAT(exported.plan().groups(), SizeIs(1));
  EXPECT_THAT(exported.plan().groups(0).members(), SizeIs(2));
  EXPECT_THAT(exported.plan().accounts(), SizeIs(0));
  EXPECT_TRUE(Apply(exported.plan()).ok());
}

// What an audit line is made of.
class Targets final : public telemetry::CallObserver {
 public:
  void OnCallEnded(const telemetry::CallRecord& record) override {
    absl::MutexLock lock(&mutex_);
    if (record.mutates) targets_ = record.targets;
  }
  std::vector<std::string> last() const {
    absl::MutexLock lock(&mutex_);
    return targets_;
  }

 private:
  mutable absl::Mutex mutex_;
  std::vector<std::string> targets_ ABSL_GUARDED_BY(mutex_);
};

// As an operator may not delete rules with a verdict one by one.
TEST(PlanRoleTest, AnOperatorUndoesNoPlanThatDecidesAboutPackets) {
  ComponentServer server({.role = security::Role::kOperator});
  v1::Plan caps;
  caps.set_name("caps");
  v1::Account& guest = *caps.add_accounts();
  guest.set_counter("guest");
  guest.mutable_match()->set_protocol("udp");
  const v1::Plan counts = caps;
  guest.mutable_quota()->set_bytes(1000);
  guest.mutable_quota()->set_over(v1::OVER_QUOTA_DROP);
  service::FieldErrors errors;
  ASSERT_OK(server.domain->plans()
                .Apply({.plan = service::ReadPlan(caps, "plan", errors),
                        .source = service::PlanSource(caps),
                        .owner = "admin"},
                       {})
                .status());
  ASSERT_OK(errors.ToStatus());

  v1::ApplyPlanRequest apply;
  *apply.mutable_plan() = counts;
  apply.set_take_over(true);
  v1::ApplyPlanResponse applied;
  v1::DeletePlanRequest remove;
  remove.set_name("caps");
  remove.set_take_over(true);
  v1::DeletePlanRequest remove_all;
  remove_all.set_all(true);
  v1::DeletePlanResponse removed;
  for (const grpc::Status& status :
       {Call(*server.plan_stub, &Stub::ApplyPlan, apply, &applied),
        Call(*server.plan_stub, &Stub::DeletePlan, remove, &removed),
        Call(*server.plan_stub, &Stub::DeletePlan, remove_all, &removed)}) {
    EXPECT_EQ(status.error_code(), grpc::StatusCode::PERMISSION_DENIED);
    EXPECT_EQ(ErrorInfoOf(status).reason(), "VERDICT_NOT_PERMITTED");
  }
  EXPECT_TRUE(server.domain->plans().Get("caps").ok());
}

TEST(PlanRoleTest, AnOperatorsPlanTakesNoQuotaThatPacketsAreDroppedBy) {
  ComponentServer server({.kernel = {.backend = kernel::Backend::kNftables},
                          .role = security::Role::kOperator});
  v1::CreateCounterRequest create;
  v1::CreateCounterResponse created;
  create.mutable_counter()->set_name("udp");
  create.mutable_counter()->mutable_quota()->set_bytes(1000);
  ASSERT_OK(Call(*server.counter_stub, &v1::CounterService::Stub::CreateCounter,
                 create, &created));
  ASSERT_OK(server.domain->rule_editor()
                .Create({{.spec = {.id = "cap",
                                   .chain = "INPUT",
                                   .counter = "udp",
                                   .verdict = kernel::Verdict::kDrop}}},
                        {})
                .status());
  v1::ApplyPlanRequest apply;
  *apply.mutable_plan() = Customers();
  v1::ApplyPlanResponse applied;
  const grpc::Status refused =
      Call(*server.plan_stub, &Stub::ApplyPlan, apply, &applied);
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(ErrorInfoOf(refused).reason(), "VERDICT_NOT_PERMITTED");
  // The same quota is no change.
  apply.mutable_plan()->mutable_accounts(0)->mutable_quota()->set_bytes(1000);
  EXPECT_OK(Call(*server.plan_stub, &Stub::ApplyPlan, apply, &applied));
}

// One that only counts is an operator's, whoever applied it.
TEST(PlanRoleTest, AnOperatorTakesPlansThatOnlyCountOver) {
  ComponentServer server({.role = security::Role::kOperator});
  service::FieldErrors errors;
  ASSERT_OK(server.domain->plans()
                .Apply({.plan = service::ReadPlan(Customers(), "plan", errors),
                        .source = service::PlanSource(Customers()),
                        .owner = "admin"},
                       {})
                .status());
  v1::DeletePlanRequest remove;
  remove.set_all(true);
  v1::DeletePlanResponse removed;
  EXPECT_OK(Call(*server.plan_stub, &Stub::DeletePlan, remove, &removed));
}

TEST(PlanAuditTest, AnApplicationNamesItsPlan) {
  Targets targets;
  ComponentServer server({.observers = {&targets}});
  v1::ApplyPlanRequest request;
  *request.mutable_plan() = Customers();
  v1::ApplyPlanResponse response;
  ASSERT_OK(Call(*server.plan_stub, &Stub::ApplyPlan, request, &response));
  EXPECT_THAT(targets.last(), ElementsAre("customers"));
}

TEST_P(PlanTest, AStreamTellsOfRepairs) {
  ASSERT_OK(Apply(Customers()));
  grpc::ClientContext context;
  const auto stream = server_.plan_stub->WatchPlanStatus(
      &context, v1::WatchPlanStatusRequest());
  v1::WatchPlanStatusResponse response;
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_EQ(response.status().repairs(), 0u);
  Flush();
  Look();
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_EQ(response.status().repairs(), 1u);
  context.TryCancel();
}

}  // namespace
}  // namespace nfmeter
