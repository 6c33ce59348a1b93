// SPDX-License-Identifier: GPL-3.0-or-later
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/error.h"
#include "gmock/gmock.h"
#include "tests/component/component_server.h"
#include "tests/support/status_matchers.h"

namespace nfmeter::testing {
namespace {

using kernel::Family;
using kernel::Table;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::SizeIs;

class RuleReadTest : public ::testing::Test {
 protected:
  void SetUp() override {
    server_.AddObject({.name = "web"});
    server_.AddObject({.name = "db"});
  }

  void AddRule(const std::string& id, const std::string& counter,
               const std::string& table = "filter",
               v1::Family family = v1::FAMILY_IPV4) {
    v1::CreateRuleRequest request;
    request.mutable_rule()->set_id(id);
    request.mutable_rule()->set_counter(counter);
    request.mutable_rule()->set_table(table);
    request.mutable_rule()->set_chain("OUTPUT");
    request.mutable_rule()->set_family(family);
    request.set_placement(v1::RULE_PLACEMENT_TAIL);
    v1::CreateRuleResponse response;
    ASSERT_OK(Call(*server_.rule_stub, &v1::RuleService::Stub::CreateRule,
                   request, &response));
  }
  grpc::Status Get(const std::string& id) {
    v1::GetRuleRequest request;
    request.set_id(id);
    return Call(*server_.rule_stub, &v1::RuleService::Stub::GetRule, request,
                &rule_);
  }
  grpc::Status List(const v1::ListRulesRequest& request) {
    page_.Clear();
    return Call(*server_.rule_stub, &v1::RuleService::Stub::ListRules, request,
                &page_);
  }
  std::vector<std::string> ListedIds(const v1::RuleFilter& filter) {
    v1::ListRulesRequest request;
    *request.mutable_filter() = filter;
    EXPECT_OK(List(request));
    std::vector<std::string> ids;
    for (const v1::Rule& rule : page_.rules()) ids.push_back(rule.id());
    return ids;
  }

  ComponentServer server_;
  v1::GetRuleResponse rule_;
  v1::ListRulesResponse page_;
};

TEST_F(RuleReadTest, GetsRulesOfAllTablesByIdForeignOnesToo) {
  AddRule("one", "web", "raw", v1::FAMILY_IPV6);
  server_.rule_table.SetRuleCounters(Family::kIpv6, Table::kRaw, "one", 5, 500);
  ASSERT_OK(Get("one"));
  EXPECT_EQ(rule_.rule().table(), "raw");
  EXPECT_EQ(rule_.rule().packets(), 5);
  const std::string foreign = server_.rule_table.AddForeignRule(
      Family::kIpv4, Table::kNat, "-A OUTPUT -s 10.0.0.1/32 -j LOG");
  ASSERT_OK(Get(foreign));
  EXPECT_FALSE(rule_.rule().managed());
  EXPECT_EQ(rule_.rule().target(), "LOG");
  EXPECT_EQ(rule_.rule().spec(), "-A OUTPUT -s 10.0.0.1/32 -j LOG");
}

TEST_F(RuleReadTest, AMissingOrMalformedIdIsAnError) {
  EXPECT_EQ(ErrorInfoOf(Get("none")).reason(), "RULE_NOT_FOUND");
  EXPECT_THAT(WrongFieldsOf(Get("")), ElementsAre("id"));
  EXPECT_THAT(WrongFieldsOf(Get("NOT AN ID")), ElementsAre("id"));
}

TEST_F(RuleReadTest, ListsInTheOrderOfTheKernel) {
  AddRule("f6", "web", "filter", v1::FAMILY_IPV6);
  AddRule("m4", "web", "mangle");
  AddRule("f4-1", "web");
  AddRule("f4-2", "db");
  EXPECT_THAT(ListedIds({}), ElementsAre("f4-1", "f4-2", "m4", "f6"));
  EXPECT_EQ(page_.total_size(), 4);
}

TEST_F(RuleReadTest, Filters) {
  AddRule("f6", "web", "filter", v1::FAMILY_IPV6);
  AddRule("m4", "db", "mangle");
  AddRule("f4", "web");
  const std::string foreign = server_.rule_table.AddForeignRule(
      Family::kIpv4, Table::kFilter, "-A INPUT -j ACCEPT");
  v1::RuleFilter filter;
  filter.set_family(v1::FAMILY_IPV6);
  EXPECT_THAT(ListedIds(filter), ElementsAre("f6"));
  filter.Clear();
  filter.set_table("filter");
  EXPECT_THAT(ListedIds(filter), ElementsAre(foreign, "f4", "f6"));
  filter.set_managed_only(true);
  EXPECT_THAT(ListedIds(filter), ElementsAre("f4", "f6"));
  filter.Clear();
  filter.set_chain("INPUT");
  EXPECT_THAT(ListedIds(filter), ElementsAre(foreign));
  filter.Clear();
  filter.set_counter_glob("d*");
  EXPECT_THAT(ListedIds(filter), ElementsAre("m4"));
  filter.set_counter_glob("*");
  EXPECT_THAT(ListedIds(filter), ElementsAre("f4", "m4", "f6"));
  v1::ListRulesRequest request;
  request.mutable_filter()->set_table("x");
  request.set_page_size(-1);
  EXPECT_THAT(WrongFieldsOf(List(request)),
              ElementsAre("filter.table", "page_size"));
}

TEST_F(RuleReadTest, PagesGoOverTables) {
  for (int i = 0; i < 5; ++i) {
    AddRule("f" + std::to_string(i), "web");
    AddRule("m" + std::to_string(i), "web", "mangle");
  }
  v1::ListRulesRequest request;
  request.set_page_size(4);
  std::vector<std::string> ids;
  do {
    ASSERT_OK(List(request));
    EXPECT_EQ(page_.total_size(), 10);
    for (const v1::Rule& rule : page_.rules()) ids.push_back(rule.id());
    request.set_page_token(page_.next_page_token());
  } while (!request.page_token().empty());
  EXPECT_THAT(ids, ElementsAre("f0", "f1", "f2", "f3", "f4", "m0", "m1", "m2",
                               "m3", "m4"));
}

TEST_F(RuleReadTest, AllPagesAreOfOneReading) {
  for (int i = 0; i < 5; ++i) AddRule("f" + std::to_string(i), "web");
  v1::ListRulesRequest request;
  request.set_page_size(2);
  std::vector<std::string> ids;
  const int reads = server_.rule_table.reads();
  int reads_of_one = 0;
  do {
    ASSERT_OK(List(request));
    if (reads_of_one == 0) reads_of_one = server_.rule_table.reads() - reads;
    EXPECT_EQ(page_.total_size(), 5);
    for (const v1::Rule& rule : page_.rules()) ids.push_back(rule.id());
    request.set_page_token(page_.next_page_token());
    // Somebody is busy, in this chain and in others.
    server_.rule_table.AddForeignRule(Family::kIpv4, Table::kFilter,
                                      "-A OUTPUT -j ACCEPT");
    server_.rule_table.AddForeignRule(Family::kIpv4, Table::kFilter,
                                      "-A INPUT -j ACCEPT");
  } while (!request.page_token().empty());
  EXPECT_THAT(ids, ElementsAre("f0", "f1", "f2", "f3", "f4"));
  EXPECT_EQ(server_.rule_table.reads() - reads, reads_of_one);
}

TEST_F(RuleReadTest, APageOfAReadingThatIsNotKeptIsAbortedAfterAChange) {
  for (int i = 0; i < 5; ++i) AddRule("f" + std::to_string(i), "web");
  v1::ListRulesRequest request;
  request.set_page_size(2);
  ASSERT_OK(List(request));
  request.set_page_token(page_.next_page_token());
  server_.Advance(absl::Minutes(2));
  // Counting is no change.
  server_.rule_table.SetRuleCounters(Family::kIpv4, Table::kFilter, "f1", 9, 9);
  EXPECT_OK(List(request));
  server_.Advance(absl::Minutes(2));
  server_.rule_table.AddForeignRule(Family::kIpv4, Table::kFilter,
                                    "-A OUTPUT -j ACCEPT");
  const grpc::Status status = List(request);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::ABORTED);
  EXPECT_EQ(ErrorInfoOf(status).reason(), "RULES_CHANGED");
}

TEST_F(RuleReadTest, RefusesGlobsThatNothingMatches) {
  v1::ListRulesRequest request;
  request.mutable_filter()->set_counter_glob("web[");
  const grpc::Status status = List(request);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(WrongFieldsOf(status), ElementsAre("filter.counter_glob"));
}

TEST_F(RuleReadTest, RefusesTokensOfAnotherFilterAndGarbage) {
  for (int i = 0; i < 3; ++i) AddRule("f" + std::to_string(i), "web");
  v1::ListRulesRequest request;
  request.set_page_size(1);
  ASSERT_OK(List(request));
  request.set_page_token(page_.next_page_token());
  request.mutable_filter()->set_managed_only(true);
  EXPECT_EQ(ErrorInfoOf(List(request)).reason(), "PAGE_TOKEN_INVALID");
  request.set_page_token("garbage");
  EXPECT_EQ(ErrorInfoOf(List(request)).reason(), "PAGE_TOKEN_INVALID");
}

TEST_F(RuleReadTest, ListsChainsWithPoliciesAndCounters) {
  server_.rule_table.AddUserChain(Family::kIpv4, Table::kFilter, "NFM-plan");
  server_.rule_table.SetPolicy(Family::kIpv4, Table::kFilter, "INPUT", "DROP",
                               7, 700);
  AddRule("one", "web");
  v1::ListChainsRequest request;
  request.set_family(v1::FAMILY_IPV4);
  request.set_table("filter");
  v1::ListChainsResponse response;
  ASSERT_OK(Call(*server_.rule_stub, &v1::RuleService::Stub::ListChains,
                 request, &response));
  ASSERT_THAT(response.chains(), SizeIs(4));
  EXPECT_EQ(response.chains(0).name(), "INPUT");
  EXPECT_EQ(response.chains(0).policy(), "DROP");
  EXPECT_EQ(response.chains(0).packets(), 7);
  EXPECT_TRUE(response.chains(0).builtin());
  EXPECT_EQ(response.chains(2).rule_count(), 1);
  EXPECT_TRUE(response.chains(3).managed());
  EXPECT_FALSE(response.chains(3).builtin());
}

TEST_F(RuleReadTest, ChainsAreFoundByTheNamesThatAreShown) {
  for (const char* chain : {"caf\xe9", "z\xc3\xa4hler", "a\\b", "a\\x41"}) {
    server_.rule_table.AddUserChain(Family::kIpv4, Table::kFilter, chain);
  }
  v1::ListChainsRequest request;
  request.set_family(v1::FAMILY_IPV4);
  request.set_table("filter");
  v1::ListChainsResponse chains;
  ASSERT_OK(Call(*server_.rule_stub, &v1::RuleService::Stub::ListChains,
                 request, &chains));
  std::vector<std::string> shown;
  for (const v1::Chain& chain : chains.chains()) {
    if (!chain.builtin()) shown.push_back(chain.name());
  }
  EXPECT_THAT(shown,
              ElementsAre("a\\x5cb", "a\\x5cx41", "caf\\xe9", "z\xc3\xa4hler"));
  shown.push_back("z\\xc3\\xa4hler");  // as it may be typed
  int made = 0;
  for (const std::string& chain : shown) {
    v1::CreateRuleRequest create;
    create.mutable_rule()->set_id(absl::StrCat("r", made));
    create.mutable_rule()->set_counter("web");
    create.mutable_rule()->set_chain(chain);
    v1::CreateRuleResponse created;
    ASSERT_OK(Call(*server_.rule_stub, &v1::RuleService::Stub::CreateRule,
                   create, &created))
        << chain;
    v1::RuleFilter filter;
    filter.set_chain(chain);
    EXPECT_THAT(ListedIds(filter), Contains(absl::StrCat("r", made))) << chain;
    EXPECT_EQ(page_.rules(0).chain(), created.rule().chain());
    ++made;
  }
  v1::ListRulesRequest list;
  list.mutable_filter()->set_chain("a\\b");
  EXPECT_THAT(WrongFieldsOf(List(list)), ElementsAre("filter.chain"));
}

// A user who can't read /proc/net/ip_tables_names must not ask for tables: that
// would make them.
TEST_F(RuleReadTest, TablesThatCantBeSeenAreLeftOutAndNoRuleIsSaidToBeMissing) {
  AddRule("seen", "web");
  AddRule("unseen", "web", "nat");
  server_.rule_table.HideTable(Family::kIpv4, Table::kNat);
  EXPECT_THAT(ListedIds({}), ElementsAre("seen"));
  EXPECT_OK(Get("seen"));
  EXPECT_EQ(ErrorInfoOf(Get("unseen")).reason(), "TABLE_NOT_VISIBLE");
  v1::DeleteRuleRequest remove;
  v1::DeleteRuleResponse removed;
  remove.set_id("unseen");
  EXPECT_EQ(
      ErrorInfoOf(Call(*server_.rule_stub, &v1::RuleService::Stub::DeleteRule,
                       remove, &removed))
          .reason(),
      "TABLE_NOT_VISIBLE");
  v1::ListRulesRequest named;
  named.mutable_filter()->set_table("nat");
  EXPECT_EQ(ErrorInfoOf(List(named)).reason(), "TABLE_NOT_VISIBLE");
  v1::ListChainsResponse chains;
  ASSERT_OK(Call(*server_.rule_stub, &v1::RuleService::Stub::ListChains,
                 v1::ListChainsRequest(), &chains));
  for (const v1::Chain& chain : chains.chains()) {
    EXPECT_FALSE(chain.table() == "nat" && chain.family() == v1::FAMILY_IPV4);
  }
}

TEST_F(RuleReadTest, TooManyChainsNameTheBound) {
  ComponentServer small({.limits = {.max_page_size = 3}});
  v1::ListChainsResponse response;
  const grpc::Status status =
      Call(*small.rule_stub, &v1::RuleService::Stub::ListChains,
           v1::ListChainsRequest(), &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(ErrorInfoOf(status).metadata().at("bound"), "3");
}

TEST_F(RuleReadTest, TablesThatTheKernelLacksAreLeftOut) {
  AddRule("one", "web");
  server_.rule_table.SetCapabilities(
      {.tables_ipv6 = MakeError(absl::StatusCode::kUnimplemented,
                                "TABLE_UNAVAILABLE", "no ip6tables")});
  EXPECT_THAT(ListedIds({}), ElementsAre("one"));
  v1::ListRulesRequest request;
  request.mutable_filter()->set_family(v1::FAMILY_IPV6);
  EXPECT_EQ(List(request).error_code(), grpc::StatusCode::UNIMPLEMENTED);
}

}  // namespace
}  // namespace nfmeter::testing
