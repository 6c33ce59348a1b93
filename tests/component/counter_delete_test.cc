// SPDX-License-Identifier: GPL-3.0-or-later
#include <cerrno>
#include <chrono>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "tests/component/component_server.h"
#include "tests/support/kernel_edits.h"
#include "tests/support/status_matchers.h"

namespace nfmeter::testing {
namespace {

using kernel::Family;
using kernel::Table;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::Pair;
using ::testing::SizeIs;

class CounterDeleteTest : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* name : {"a", "b", "c"}) {
      server_.AddObject({.name = name, .packets = 3, .bytes = 300});
    }
  }

  grpc::Status Delete(const v1::DeleteCounterRequest& request) {
    return Call(*server_.counter_stub, &v1::CounterService::Stub::DeleteCounter,
                request, &response_);
  }
  grpc::Status DeleteNamed(const std::string& name, bool with_rules = false) {
    v1::DeleteCounterRequest request;
    request.set_name(name);
    request.set_delete_managed_rules(with_rules);
    return Delete(request);
  }
  grpc::Status DeleteBatch(const std::vector<std::string>& names,
                           bool with_rules = false) {
    v1::BatchDeleteCountersRequest request;
    request.mutable_names()->Assign(names.begin(), names.end());
    request.set_delete_managed_rules(with_rules);
    return Call(*server_.counter_stub,
                &v1::CounterService::Stub::BatchDeleteCounters, request,
                &batch_);
  }
  void AddRule(const std::string& id, const std::string& counter,
               const std::string& table = "filter") {
    v1::CreateRuleRequest request;
    request.mutable_rule()->set_id(id);
    request.mutable_rule()->set_counter(counter);
    request.mutable_rule()->set_table(table);
    request.mutable_rule()->set_chain("OUTPUT");
    v1::CreateRuleResponse response;
    const grpc::Status status =
        Call(*server_.rule_stub, &v1::RuleService::Stub::CreateRule, request,
             &response);
    ASSERT_OK(status);
  }
  bool Exists(const std::string& name) { return server_.acct.Get(name).ok(); }

  ComponentServer server_;
  v1::DeleteCounterResponse response_;
  v1::BatchDeleteCountersResponse batch_;
};

TEST_F(CounterDeleteTest, ReturnsTheLastValues) {
  ASSERT_OK(server_.labels.Set({{"a", {{"k", "v"}}}}));
  ASSERT_OK(DeleteNamed("a"));
  EXPECT_EQ(response_.counter().packets(), 3);
  EXPECT_EQ(response_.counter().labels().at("k"), "v");
  EXPECT_FALSE(Exists("a"));
  EXPECT_THAT(server_.labels.Get("a"), IsEmpty());
}

TEST_F(CounterDeleteTest, TheNextSnapshotNeedsNoSecondLook) {
  std::vector<std::string> names;
  for (int i = 0; i < 20; ++i) {
    names.push_back("n" + std::to_string(i));
    server_.AddObject({.name = names.back()});
  }
  ASSERT_OK(server_.hub.Take(absl::ZeroDuration()));
  ASSERT_OK(DeleteBatch(names));
  const auto after = server_.hub.Take(absl::ZeroDuration());
  ASSERT_OK(after);
  EXPECT_TRUE((*after)->complete);
  EXPECT_EQ((*after)->size(), 3u);
  EXPECT_EQ(server_.hub.stats().repeated_passes, 0u);
}

TEST_F(CounterDeleteTest, OfAMissingCounterDeletesNone) {
  EXPECT_EQ(ErrorInfoOf(DeleteBatch({"a", "x", "y"})).reason(),
            "COUNTER_NOT_FOUND");
  EXPECT_THAT(ErrorInfoOf(DeleteBatch({"a", "x", "y"})).metadata(),
              Contains(Pair("counters", "x,y")));
  EXPECT_TRUE(Exists("a"));
}

TEST_F(CounterDeleteTest, OfACounterInUseNamesTheRules) {
  AddRule("web-out", "b");
  const std::string foreign = server_.rule_table.AddForeignRule(
      Family::kIpv6, Table::kMangle,
      "-A INPUT -m nfacct --nfacct-name  b -j ACCEPT");
  const grpc::Status status = DeleteBatch({"a", "b"});
  EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(ErrorInfoOf(status).reason(), "COUNTER_IN_USE");
  EXPECT_THAT(status.error_message(), HasSubstr("rule web-out (iptables -t "
                                                "filter -A OUTPUT"));
  EXPECT_THAT(status.error_message(),
              HasSubstr("somebody else's rule " + foreign +
                        " (ip6tables -t mangle -A INPUT"));
  EXPECT_THAT(ErrorInfoOf(status).metadata(),
              Contains(Pair("rules", "web-out," + foreign)));
  EXPECT_THAT(ErrorInfoOf(status).metadata(), Contains(Pair("counters", "b")));
  EXPECT_TRUE(Exists("a"));
  EXPECT_TRUE(Exists("b"));
}

TEST_F(CounterDeleteTest, InUseByManyRulesTheErrorStillArrives) {
  for (int i = 0; i < 100; ++i) AddRule("rule-" + std::to_string(i), "a");
  const grpc::Status status = DeleteNamed("a");
  EXPECT_EQ(ErrorInfoOf(status).reason(), "COUNTER_IN_USE");
  EXPECT_THAT(ErrorInfoOf(status).metadata(),
              Contains(Pair("rule_count", "100")));
  EXPECT_THAT(status.error_message(), HasSubstr("and 96 more"));
}

TEST_F(CounterDeleteTest, InUseByWhatIsNoRuleSaysSo) {
  ASSERT_OK(server_.acct.AddReference("a"));
  const grpc::Status status = DeleteNamed("a", true);
  EXPECT_EQ(ErrorInfoOf(status).reason(), "COUNTER_IN_USE");
  EXPECT_THAT(status.error_message(), HasSubstr("not a rule"));
  EXPECT_TRUE(Exists("a"));
}

TEST_F(CounterDeleteTest, DeletesManagedRulesFirstWhenAsked) {
  AddRule("one", "a");
  AddRule("two", "a", "mangle");
  AddRule("other", "b");
  ASSERT_OK(DeleteNamed("a", true));
  EXPECT_EQ(response_.counter().packets(), 3);
  EXPECT_FALSE(Exists("a"));
  EXPECT_THAT(server_.rules.Holders({"b"}), IsOkAndHolds(SizeIs(1)));
}

TEST_F(CounterDeleteTest, ARuleOfOthersKeepsEvenManagedRules) {
  AddRule("one", "a");
  server_.rule_table.AddForeignRule(Family::kIpv4, Table::kFilter,
                                    "-A INPUT -m nfacct --nfacct-name  a");
  const int commits = server_.rule_table.total_commits();
  const grpc::Status status = DeleteNamed("a", true);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_THAT(status.error_message(), HasSubstr("somebody else's rule"));
  EXPECT_EQ(server_.rule_table.total_commits(), commits);
  EXPECT_TRUE(Exists("a"));
}

TEST_F(CounterDeleteTest, WithManagedRulesOnlyWhatOthersHoldIsInUse) {
  AddRule("one", "a");
  server_.rule_table.AddForeignRule(Family::kIpv4, Table::kFilter,
                                    "-A INPUT -m nfacct --nfacct-name  b");
  v1::BatchDeleteCountersRequest request;
  for (const char* name : {"a", "b"}) request.add_names(name);
  request.set_delete_managed_rules(true);
  const grpc::Status status =
      Call(*server_.counter_stub,
           &v1::CounterService::Stub::BatchDeleteCounters, request, &batch_);
  EXPECT_EQ(ErrorInfoOf(status).reason(), "COUNTER_IN_USE");
  EXPECT_THAT(ErrorInfoOf(status).metadata(), Contains(Pair("counters", "b")));
  EXPECT_TRUE(Exists("a"));
  EXPECT_TRUE(Exists("b"));
}

TEST_F(CounterDeleteTest, ValidateOnlyFindsTheSameAndDeletesNothing) {
  AddRule("one", "a");
  v1::DeleteCounterRequest request;
  request.set_name("a");
  request.set_validate_only(true);
  EXPECT_EQ(ErrorInfoOf(Delete(request)).reason(), "COUNTER_IN_USE");
  request.set_delete_managed_rules(true);
  ASSERT_OK(Delete(request));
  EXPECT_EQ(response_.counter().packets(), 3);
  EXPECT_TRUE(Exists("a"));
  EXPECT_THAT(server_.rules.Holders({"a"}), IsOkAndHolds(SizeIs(1)));
}

TEST_F(CounterDeleteTest, WithAnotherEtagIsAborted) {
  v1::DeleteCounterRequest request;
  request.set_name("a");
  request.set_etag("other");
  EXPECT_EQ(Delete(request).error_code(), grpc::StatusCode::ABORTED);
  EXPECT_TRUE(Exists("a"));
}

TEST_F(CounterDeleteTest, AFailureInTheMiddleIsListed) {
  server_.acct.InjectErrno(kernel::Operation::kAcctDelete, EBUSY, 1);
  ASSERT_OK(DeleteBatch({"a", "b", "c"}));
  ASSERT_THAT(batch_.counters(), SizeIs(2));
  ASSERT_THAT(batch_.failures(), SizeIs(1));
  EXPECT_EQ(batch_.failures(0).name(), "a");
  EXPECT_EQ(ErrorInfoOf(batch_.failures(0).status()).reason(),
            "COUNTER_IN_USE");
  EXPECT_TRUE(Exists("a"));
  EXPECT_FALSE(Exists("c"));
}

TEST_F(CounterDeleteTest, WithoutAnAnswerOfTheKernelsTheLastValuesAreKept) {
  server_.acct.LoseNextAnswer(kernel::Operation::kAcctDelete);
  ASSERT_OK(DeleteNamed("a"));
  EXPECT_EQ(response_.counter().packets(), 3);
  EXPECT_FALSE(Exists("a"));
}

TEST_F(CounterDeleteTest, WhatTheKernelDidNotDeleteIsDeletedAgain) {
  server_.acct.InjectErrno(kernel::Operation::kAcctDelete, ENOBUFS);
  ASSERT_OK(DeleteNamed("a"));
  EXPECT_EQ(response_.counter().packets(), 3);
  EXPECT_FALSE(Exists("a"));
}

TEST_F(CounterDeleteTest, ABatchOf10000ReturnsExactValues) {
  std::vector<std::string> names;
  for (int i = 0; i < 10'000; ++i) {
    names.push_back("n" + std::to_string(i));
    server_.AddObject({.name = names.back(), .packets = uint64_t(i)});
  }
  ASSERT_OK(DeleteBatch(names));
  ASSERT_THAT(batch_.counters(), SizeIs(10'000));
  for (int i = 0; i < 10'000; ++i) {
    ASSERT_EQ(batch_.counters(i).packets(), i);
  }
  EXPECT_EQ((*server_.hub.Take(absl::ZeroDuration()))->size(), 3);
}

TEST_F(CounterDeleteTest,
       OfACounterThatOnlyOthersUseDoesNotOfferToDeleteRules) {
  server_.rule_table.AddForeignRule(Family::kIpv4, Table::kFilter,
                                    "-A INPUT -m nfacct --nfacct-name  b");
  const grpc::Status status = DeleteNamed("b");
  EXPECT_EQ(ErrorInfoOf(status).reason(), "COUNTER_IN_USE");
  EXPECT_THAT(status.error_message(),
              AllOf(HasSubstr("nfmeter deletes only rules of its own"),
                    Not(HasSubstr("delete_managed_rules"))));
}

TEST_F(CounterDeleteTest, ForeignNamesWork) {
  server_.AddObject({.name = "a b\xff", .packets = 1});
  ASSERT_OK(DeleteNamed("a\\x20b\\xff"));
  EXPECT_FALSE(Exists("a b\xff"));
}

// As after iptables-save, an edit of the table's name, and iptables-restore.
TEST_F(CounterDeleteTest, ManagedRulesThatWereCopiedToAnotherTableGoToo) {
  AddRule("r1", "a");
  ASSERT_OK(testing::Edit(
      server_.rule_table,
      {.table = Table::kMangle,
       .insertions = {{.id = "r1", .chain = "OUTPUT", .counter = "a"}}}));
  AddRule("r2", "a", "raw");
  const grpc::Status status = DeleteNamed("a", /*with_rules=*/true);
  EXPECT_OK(status);
  EXPECT_FALSE(Exists("a"));
}

TEST_F(CounterDeleteTest, ACopyThatCountsIntoAnotherCounterStays) {
  AddRule("r1", "b");
  ASSERT_OK(testing::Edit(
      server_.rule_table,
      {.table = Table::kMangle,
       .insertions = {{.id = "r1", .chain = "OUTPUT", .counter = "a"}}}));
  const grpc::Status status = DeleteNamed("a", /*with_rules=*/true);
  EXPECT_OK(status);
  EXPECT_FALSE(Exists("a"));
  EXPECT_THAT(server_.rules.Holders({"b"}), IsOkAndHolds(SizeIs(1)));
}

TEST_F(CounterDeleteTest, ACounterMadeAnewUnderItsNameCrossesItsQuotaAgain) {
  const kernel::AcctObject limited = {
      .name = "q",
      .quota = kernel::QuotaLimit{kernel::QuotaLimit::Unit::kPackets, 5}};
  server_.AddObject(limited);
  // Found by a reading, so that an event could be late news of it.
  server_.acct.DropQuotaEvents(1);
  ASSERT_OK(server_.acct.Count("q", 5, 500));
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() +
                       std::chrono::seconds(10));
  const auto events = server_.counter_stub->WatchQuotaEvents(&context, {});
  const auto next = [&] {
    v1::WatchQuotaEventsResponse event;
    EXPECT_TRUE(events->Read(&event));
    return std::pair(event.kind(), event.counter().name());
  };
  EXPECT_THAT(next(), Pair(v1::QUOTA_EVENT_KIND_STANDING, "q"));
  EXPECT_THAT(next(), Pair(v1::QUOTA_EVENT_KIND_SYNCED, ""));
  ASSERT_OK(DeleteNamed("q"));
  server_.AddObject(limited);
  ASSERT_OK(server_.acct.Count("q", 5, 500));
  server_.AddObject({.name = "last", .quota = limited.quota});
  ASSERT_OK(server_.acct.Count("last", 5, 500));
  EXPECT_THAT(next(), Pair(v1::QUOTA_EVENT_KIND_CROSSED, "q"));
  EXPECT_THAT(next(), Pair(v1::QUOTA_EVENT_KIND_CROSSED, "last"));
  context.TryCancel();
}

}  // namespace
}  // namespace nfmeter::testing
