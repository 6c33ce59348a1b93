// SPDX-License-Identifier: GPL-3.0-or-later
// Chains of an owner: made, kept, mended and taken away, and nothing else.
#include "kernel/owned_chains.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernel/ip_prefix.h"
#include "kernel/owned_diff.h"
#include "tests/conformance/rule_table_fixture.h"

namespace nfmeter::kernel {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr char kOwner[] = "1a2b3c4d-";
constexpr char kRoot[] = "NFM-1a2b3c4d-in";
constexpr char kLeaf[] = "NFM-1a2b3c4d-leaf";

OwnedTable Wanted(std::string counter = "web") {
  OwnedTable table;
  table.hooks = {{"INPUT", kRoot}};
  RuleMatch ten;
  ten.source = {.value = *ParseIpPrefix("10.0.0.0/8")};
  table.chains = {
      {kRoot, {{.match = ten, .action = OwnedAction::kGoto, .chain = kLeaf}}},
      {kLeaf, {{.counter = std::move(counter)}}}};
  return table;
}

template <typename K>
class OwnedChainsTest : public RuleTableTest<K> {
 protected:
  absl::StatusOr<OwnedOutcome> Apply(std::vector<OwnedTable> wanted,
                                     bool dry_run = false,
                                     std::string owner = kOwner) {
    return this->rules().ApplyOwned({.owner = std::move(owner),
                                     .wanted = std::move(wanted),
                                     .dry_run = dry_run},
                                    Patience(Soon()));
  }
  std::vector<std::string> TextsOf(std::string chain) {
    std::vector<std::string> texts;
    for (const Rule& rule : this->ChainOf(std::move(chain)).rules) {
      texts.push_back(rule.text);
    }
    return texts;
  }
  bool HasChain(const std::string& name) {
    for (const Chain& chain : this->Contents().chains) {
      if (chain.name == name) return true;
    }
    return false;
  }
};

// Backends without chains for owners say so (PLANS_UNSUPPORTED).
using WithOwnedChains = ::testing::Types<FakeHost, LinuxHost>;
TYPED_TEST_SUITE(OwnedChainsTest, WithOwnedChains, KernelNames);

TYPED_TEST(OwnedChainsTest, AreMadeWithTheirJumps) {
  const auto outcome = this->Apply({Wanted()});
  ASSERT_OK(outcome.status());
  EXPECT_EQ(outcome->commits, 1u);
  EXPECT_THAT(outcome->differences, SizeIs(3));  // two chains and a jump
  EXPECT_THAT(this->TextsOf("INPUT"),
              ElementsAre("-A INPUT -j NFM-1a2b3c4d-in"));
  EXPECT_THAT(this->TextsOf(kRoot),
              ElementsAre("-A NFM-1a2b3c4d-in -s 10.0.0.0/8 -g "
                          "NFM-1a2b3c4d-leaf"));
  EXPECT_EQ(this->UseCount("web"), 1u);
}

TYPED_TEST(OwnedChainsTest, TheSameAgainCommitsNothing) {
  ASSERT_OK(this->Apply({Wanted()}).status());
  const auto again = this->Apply({Wanted()});
  ASSERT_OK(again.status());
  EXPECT_EQ(again->commits, 0u);
  EXPECT_THAT(again->differences, IsEmpty());
}

TYPED_TEST(OwnedChainsTest, ADryRunSaysWhatDiffersAndChangesNothing) {
  const auto outcome = this->Apply({Wanted()}, /*dry_run=*/true);
  ASSERT_OK(outcome.status());
  EXPECT_THAT(outcome->differences, SizeIs(3));
  EXPECT_EQ(outcome->commits, 0u);
  EXPECT_FALSE(this->HasChain(kRoot));
}

TYPED_TEST(OwnedChainsTest, AChangedRuleIsSeenAndReplaced) {
  ASSERT_OK(this->Apply({Wanted("web")}).status());
  const auto outcome = this->Apply({Wanted("dns")});
  ASSERT_OK(outcome.status());
  ASSERT_THAT(outcome->differences, SizeIs(1));
  EXPECT_THAT(outcome->differences[0].missing, ElementsAre(HasSubstr("dns")));
  EXPECT_THAT(outcome->differences[0].unwanted, ElementsAre(HasSubstr("web")));
  EXPECT_EQ(this->UseCount("web"), 0u);
  EXPECT_EQ(this->UseCount("dns"), 1u);
}

TYPED_TEST(OwnedChainsTest, WhatOthersFlushedComesBack) {
  this->host_.AddForeignRule(Family::kIpv4, Table::kFilter,
                             "-A INPUT -s 192.0.2.1/32 -j ACCEPT");
  ASSERT_OK(this->Apply({Wanted()}).status());
  this->host_.Flush(Family::kIpv4, Table::kFilter, "INPUT");
  this->host_.Flush(Family::kIpv4, Table::kFilter, kLeaf);
  EXPECT_EQ(this->UseCount("web"), 0u);
  const auto outcome = this->Apply({Wanted()});
  ASSERT_OK(outcome.status());
  EXPECT_THAT(outcome->differences, SizeIs(2));
  EXPECT_EQ(this->UseCount("web"), 1u);
  EXPECT_THAT(this->TextsOf("INPUT"), SizeIs(1));
}

TYPED_TEST(OwnedChainsTest, AJumpBehindOthersRulesIsMovedToTheHead) {
  ASSERT_OK(this->Apply({Wanted()}).status());
  this->host_.Flush(Family::kIpv4, Table::kFilter, "INPUT");
  this->host_.AddForeignRule(Family::kIpv4, Table::kFilter,
                             "-A INPUT -s 192.0.2.1/32 -j ACCEPT");
  this->host_.AddForeignRule(Family::kIpv4, Table::kFilter,
                             "-A INPUT -j NFM-1a2b3c4d-in");
  ASSERT_OK(this->Apply({Wanted()}).status());
  EXPECT_THAT(this->TextsOf("INPUT"), ElementsAre("-A INPUT -j NFM-1a2b3c4d-in",
                                                  HasSubstr("192.0.2.1")));
}

TYPED_TEST(OwnedChainsTest, NothingWantedTakesEverythingAwayAndNothingElse) {
  this->host_.AddForeignRule(Family::kIpv4, Table::kFilter,
                             "-A INPUT -s 192.0.2.1/32 -j ACCEPT");
  ASSERT_OK(this->Insert({Spec("a")}).status());
  const std::vector<std::string> before = this->Texts();
  ASSERT_OK(this->Apply({Wanted()}).status());
  const auto outcome = this->Apply({});
  ASSERT_OK(outcome.status());
  EXPECT_EQ(this->Texts(), before);
  EXPECT_FALSE(this->HasChain(kRoot));
  EXPECT_FALSE(this->HasChain(kLeaf));
}

TYPED_TEST(OwnedChainsTest, OwnersDoNotTouchEachOther) {
  ASSERT_OK(this->Apply({Wanted()}).status());
  OwnedTable other;
  other.hooks = {{"INPUT", "NFM-99999999-in"}};
  other.chains = {{"NFM-99999999-in", {{.counter = "dns"}}}};
  ASSERT_OK(this->Apply({other}, false, "99999999-").status());
  const auto first = this->Apply({Wanted()}, /*dry_run=*/true);
  ASSERT_OK(first.status());
  EXPECT_THAT(first->differences, IsEmpty());
  ASSERT_OK(this->Apply({}, false, "99999999-").status());
  EXPECT_TRUE(this->HasChain(kRoot));
  EXPECT_FALSE(this->HasChain("NFM-99999999-in"));
}

TYPED_TEST(OwnedChainsTest, RulesThatActOnAnExceededQuotaReadBackAsTheyAre) {
  OwnedTable table;
  table.hooks = {{"INPUT", kRoot}};
  table.chains = {{kRoot,
                   {{.counter = "web", .action = OwnedAction::kDrop},
                    {.counter = "dns", .action = OwnedAction::kReject}}}};
  ASSERT_OK(this->Apply({table}).status());
  const auto again = this->Apply({table});
  ASSERT_OK(again.status());
  EXPECT_THAT(again->differences, IsEmpty());
  OwnedTable mangle = table;
  mangle.table = Table::kMangle;
  mangle.chains[0].rules[1] = {.counter = "dns",
                               .action = OwnedAction::kMark,
                               .mark = {.value = 7, .mask = 0xff}};
  ASSERT_OK(this->Apply({mangle}).status());
  EXPECT_FALSE(this->HasChain(kRoot));  // it went from the filter table
  const auto marked = this->Apply({mangle});
  ASSERT_OK(marked.status());
  EXPECT_THAT(marked->differences, IsEmpty());
}

}  // namespace
}  // namespace nfmeter::kernel
