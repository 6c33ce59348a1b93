// SPDX-License-Identifier: GPL-3.0-or-later
// What every RuleTable shows of the other users of a host, the fake as the real
// one.
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernel/rule_table.h"
#include "tests/conformance/rule_table_fixture.h"
#include "tests/support/status_matchers.h"

namespace nfmeter::kernel {
namespace {

using ::nfmeter::testing::HasReason;
using ::nfmeter::testing::StatusIs;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using Code = absl::StatusCode;

template <typename K>
class RuleForeignTest : public RuleTableTest<K> {};
TYPED_TEST_SUITE(RuleForeignTest, Kernels, KernelNames);

TYPED_TEST(RuleForeignTest, ForeignRulesAreShownAndNeverDeleted) {
  this->host_.AddForeignRule(Family::kIpv4, Table::kFilter,
                             "-A INPUT -s 10.0.0.1/32 -j DROP");
  ASSERT_OK(this->Insert({Spec("a")}));
  const Rule foreign = this->ChainOf("INPUT").rules[1];
  EXPECT_FALSE(foreign.managed);
  EXPECT_EQ(foreign.text, TypeParam::kIptablesText
                              ? "-A INPUT -s 10.0.0.1/32 -j DROP"
                              : "ip saddr 10.0.0.1 drop");
  EXPECT_EQ(foreign.target, "DROP");
  EXPECT_EQ(foreign.verdict, Verdict::kDrop);
  EXPECT_THAT(foreign.id, ::testing::MatchesRegex("~[0-9a-f]+"));
  EXPECT_THAT(foreign.id, SizeIs(17));
  const auto outcome = this->Delete({"a", foreign.id});
  EXPECT_THAT(outcome, StatusIs(Code::kFailedPrecondition));
  EXPECT_THAT(outcome, HasReason("FOREIGN_RULE"));
  EXPECT_THAT(this->Ids("INPUT"), ElementsAre("a", "foreign"));
}

TYPED_TEST(RuleForeignTest, IdsOfForeignRulesAreStableAndDistinct) {
  for (const char* text :
       {"-A INPUT -s 10.0.0.1/32 -j DROP", "-A INPUT -s 10.0.0.1/32 -j DROP",
        "-A INPUT -s 10.0.0.2/32 -j DROP",
        "-A OUTPUT -s 10.0.0.1/32 -j DROP"}) {
    this->host_.AddForeignRule(Family::kIpv4, Table::kFilter, text);
  }
  const auto ids = [&] {
    std::vector<std::string> found;
    for (const Chain& chain : this->Contents().chains) {
      for (const Rule& rule : chain.rules) {
        if (!rule.managed) found.push_back(rule.id);
      }
    }
    return found;
  };
  const std::vector<std::string> before = ids();
  EXPECT_THAT(std::set<std::string>(before.begin(), before.end()), SizeIs(4));
  ASSERT_OK(this->Insert({Spec("a"), Spec("b", "OUTPUT")}));
  EXPECT_EQ(ids(), before);
  this->host_.AddForeignRule(Family::kIpv4, Table::kFilter,
                             "-A INPUT -s 10.0.0.1/32 -j DROP");
  const std::vector<std::string> after = ids();
  EXPECT_THAT(after, SizeIs(5));
  for (const std::string& id : before) EXPECT_THAT(after, Contains(id));
}

TYPED_TEST(RuleForeignTest, AFingerprintIsOfRulesAndNotOfReads) {
  ASSERT_OK(this->Insert({Spec("a"), Spec("b", "OUTPUT")}));
  // Whatever was in the memory that it takes.
  char dirt = 0;
  const auto fingerprint = [&] {
    ++dirt;
    for (const size_t size : {1000, 2000, 3000, 4000, 8000, 16'000}) {
      std::vector<std::string>(10, std::string(size, dirt));
    }
    const auto now = this->rules().Fingerprint();
    EXPECT_OK(now.status());
    EXPECT_TRUE(now.ok() && now->has_value());
    return now.ok() ? *now : std::nullopt;
  };
  const auto before = fingerprint();
  this->Contents();
  EXPECT_EQ(fingerprint(), before);
  EXPECT_OK(this->Insert({}));
  EXPECT_EQ(fingerprint(), before);

  this->host_.AddForeignRule(Family::kIpv4, Table::kFilter,
                             "-A INPUT -s 10.0.0.1/32 -j DROP");
  const auto more = fingerprint();
  EXPECT_NE(more, before);
  ASSERT_OK(this->Delete({"b"}));
  const auto fewer = fingerprint();
  EXPECT_NE(fewer, more);
  // Others of the same size.
  this->host_.Flush(Family::kIpv4, Table::kFilter, "INPUT");
  this->host_.AddForeignRule(Family::kIpv4, Table::kFilter,
                             "-A INPUT -s 10.0.0.2/32 -j DROP");
  const auto flushed = fingerprint();
  EXPECT_NE(flushed, fewer);
  this->host_.Flush(Family::kIpv4, Table::kFilter, "INPUT");
  this->host_.AddForeignRule(Family::kIpv4, Table::kFilter,
                             "-A INPUT -s 10.0.0.3/32 -j DROP");
  EXPECT_NE(fingerprint(), flushed);
}

TYPED_TEST(RuleForeignTest, IdsOfForeignRulesAreTheSameOnEveryMachine) {
  this->host_.AddForeignRule(Family::kIpv4, Table::kFilter,
                             "-A INPUT -s 10.0.0.1/32 -j DROP");
  EXPECT_EQ(this->ChainOf("INPUT").rules[0].id, TypeParam::kIptablesText
                                                    ? "~908f4bcdc671c4d5"
                                                    : "~3fd1fae5ca2f749f");
}

TYPED_TEST(RuleForeignTest, ForeignUsersOfACounterAreSeen) {
  this->host_.AddForeignRule(Family::kIpv4, Table::kFilter,
                             "-A INPUT -m nfacct --nfacct-name web");
  const Rule rule = this->ChainOf("INPUT").rules[0];
  EXPECT_EQ(rule.counter, "web");
  EXPECT_FALSE(rule.managed);
  EXPECT_EQ(this->UseCount("web"), 1u);
}

TYPED_TEST(RuleForeignTest, AFlushBySomebodyElseIsSeen) {
  ASSERT_OK(this->Insert({Spec("a"), Spec("b", "OUTPUT")}));
  this->host_.Flush(Family::kIpv4, Table::kFilter, "INPUT");
  EXPECT_THAT(this->Ids("INPUT"), IsEmpty());
  EXPECT_THAT(this->Ids("OUTPUT"), ElementsAre("b"));
  EXPECT_EQ(this->UseCount("web"), 1u);
  EXPECT_THAT(this->Delete({"a"}), HasReason("RULE_NOT_FOUND"));
  EXPECT_OK(this->Insert({Spec("a")}));
}

TYPED_TEST(RuleForeignTest, PoliciesAndReferencesOfChainsAreRead) {
  if (!TypeParam::kUserChains) GTEST_SKIP() << "nobody else has chains there";
  this->host_.AddUserChain(Family::kIpv4, Table::kFilter, "zone");
  this->host_.AddUserChain(Family::kIpv4, Table::kFilter, "area");
  for (const char* text :
       {"-A INPUT -j zone", "-A OUTPUT -j zone", "-A zone -j area"}) {
    this->host_.AddForeignRule(Family::kIpv4, Table::kFilter, text);
  }
  this->host_.SetPolicy(Family::kIpv4, Table::kFilter, "FORWARD", "DROP");
  ASSERT_OK(this->Insert({Spec("a", "zone")}));
  EXPECT_EQ(this->ChainOf("FORWARD").policy, "DROP");
  EXPECT_EQ(this->ChainOf("INPUT").policy, "ACCEPT");
  const Chain zone = this->ChainOf("zone");
  EXPECT_FALSE(zone.builtin);
  EXPECT_EQ(zone.policy, "");
  EXPECT_EQ(zone.references, 2u);
  EXPECT_EQ(this->ChainOf("area").references, 1u);
  EXPECT_EQ(this->ChainOf("INPUT").rules[0].verdict, Verdict::kOther);
  EXPECT_EQ(this->ChainOf("INPUT").rules[0].target, "zone");
  std::vector<std::string> names;
  for (const Chain& chain : this->Contents().chains) {
    names.push_back(chain.name);
  }
  EXPECT_THAT(names, ElementsAre("INPUT", "FORWARD", "OUTPUT", "area", "zone"));
}

}  // namespace
}  // namespace nfmeter::kernel
