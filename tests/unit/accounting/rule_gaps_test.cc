// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/plans/rule_gaps.h"

#include "gmock/gmock.h"

namespace nfmeter::accounting {
namespace {

using kernel::OwnedAction;
using kernel::OwnedDifference;
using kernel::OwnedTable;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using Kind = OwnedDifference::Kind;

// INPUT -> in -> left (alice, bob), right (carol); OUTPUT -> out (dave).
OwnedTable Tree() {
  OwnedTable table;
  table.hooks = {{"INPUT", "in"}, {"OUTPUT", "out"}};
  table.chains = {
      {.name = "in",
       .rules = {{.action = OwnedAction::kGoto, .chain = "left"},
                 {.action = OwnedAction::kGoto, .chain = "right"}}},
      {.name = "left", .rules = {{.counter = "bob"}, {.counter = "alice"}}},
      {.name = "right", .rules = {{.counter = "carol"}}},
      {.name = "out", .rules = {{.counter = "dave"}}},
  };
  return table;
}

OwnedDifference Of(Kind kind, const std::string& chain) {
  return {.kind = kind, .chain = chain};
}

TEST(RuleGapsTest, AChainThatWasGoneConcernsItsOwnCounters) {
  EXPECT_THAT(MissedCounters({Tree()}, {Of(Kind::kMissing, "left")}),
              ElementsAre("alice", "bob"));
}

TEST(RuleGapsTest, ARuleThatWasGoneConcernsWhatItCountsIntoOrLeadsTo) {
  OwnedDifference left = Of(Kind::kChanged, "left");
  left.lost = {.counters = {"bob"}};
  EXPECT_THAT(MissedCounters({Tree()}, {left}), ElementsAre("bob"));
  OwnedDifference in = Of(Kind::kChanged, "in");
  in.lost = {.places = {"left"}};
  EXPECT_THAT(MissedCounters({Tree()}, {in}), ElementsAre("alice", "bob"));
  left.lost = OwnedDifference::Lost();
  EXPECT_THAT(MissedCounters({Tree()}, {left}), IsEmpty());
}

TEST(RuleGapsTest, AJumpThatWasGoneConcernsAllBehindIt) {
  EXPECT_THAT(MissedCounters({Tree()}, {Of(Kind::kMissing, "INPUT")}),
              ElementsAre("alice", "bob", "carol"));
}

TEST(RuleGapsTest, EachCounterIsNamedOnce) {
  EXPECT_THAT(MissedCounters({Tree()}, {Of(Kind::kChanged, "in"),
                                        Of(Kind::kMissing, "left"),
                                        Of(Kind::kMissing, "OUTPUT")}),
              ElementsAre("alice", "bob", "carol", "dave"));
}

TEST(RuleGapsTest, AChainTooManyMissedNothing) {
  EXPECT_THAT(MissedCounters({Tree()}, {Of(Kind::kUnwanted, "old")}),
              IsEmpty());
}

TEST(RuleGapsTest, AnotherFamilyIsNotConcerned) {
  OwnedDifference difference = Of(Kind::kMissing, "left");
  difference.family = kernel::Family::kIpv6;
  EXPECT_THAT(MissedCounters({Tree()}, {difference}), IsEmpty());
}

TEST(RuleGapsTest, WhatTheNewPlanChangesIsNoDrift) {
  OwnedTable changed = Tree();
  changed.chains[1].rules.push_back({.counter = "erin"});
  EXPECT_THAT(DriftIn({Of(Kind::kChanged, "left")}, {Tree()}, {changed}),
              IsEmpty());
  EXPECT_THAT(DriftIn({Of(Kind::kChanged, "left"), Of(Kind::kChanged, "right"),
                       Of(Kind::kMissing, "INPUT")},
                      {Tree()}, {changed}),
              SizeIs(2));
}

TEST(RuleGapsTest, RulesThatLookForTheFirstQuotasOfAMapAreNoDrift) {
  OwnedTable before = Tree();
  before.maps = {{.name = "by-address", .elements = {{.counter = "alice"}}}};
  before.chains[1].rules = {{.map = "by-address"}};
  OwnedTable limited = before;
  limited.maps[0].elements[0].quota = true;
  const OwnedDifference left = Of(Kind::kChanged, "left");
  EXPECT_THAT(DriftIn({left}, {before}, {limited}), IsEmpty());
  EXPECT_THAT(DriftIn({left}, {limited}, {before}), IsEmpty());
  EXPECT_THAT(DriftIn({left}, {limited}, {limited}), SizeIs(1));
}

}  // namespace
}  // namespace nfmeter::accounting
