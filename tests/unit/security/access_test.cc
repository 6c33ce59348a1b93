// SPDX-License-Identifier: GPL-3.0-or-later
#include "security/access/access.h"

#include <string>

#include "gmock/gmock.h"

namespace nfmeter::security {
namespace {

TEST(MatchesPatternTest, StarsStandForAnything) {
  EXPECT_TRUE(MatchesPattern("*", ""));
  EXPECT_TRUE(MatchesPattern("*", "abc"));
  EXPECT_TRUE(MatchesPattern("a*", "a"));
  EXPECT_TRUE(MatchesPattern("a*c*e", "abcde"));
  EXPECT_TRUE(MatchesPattern("*b*b", "abbb"));
  EXPECT_TRUE(MatchesPattern("spiffe://a/*", "spiffe://a/b/c"));
  EXPECT_TRUE(MatchesPattern("abc", "abc"));
}

TEST(MatchesPatternTest, TheWholeTextIsMeantAndNothingElseIsSpecial) {
  EXPECT_FALSE(MatchesPattern("", "a"));
  EXPECT_FALSE(MatchesPattern("abc", "abcd"));
  EXPECT_FALSE(MatchesPattern("bc", "abc"));
  EXPECT_FALSE(MatchesPattern("a*c", "abd"));
  EXPECT_FALSE(MatchesPattern("a?c", "abc"));
  EXPECT_FALSE(MatchesPattern("[a]", "a"));
  EXPECT_FALSE(MatchesPattern("A", "a"));
}

TEST(MatchesPatternTest, ManyStarsDoNotTakeForever) {
  std::string pattern;
  for (int i = 0; i < 500; ++i) pattern += "*a";
  EXPECT_FALSE(MatchesPattern(pattern + "b", std::string(2000, 'a')));
}

TEST(GrantTest, ARoleIncludesThoseBelowIt) {
  const Method& get = *FindMethod("nfmeter.v1.CounterService/GetCounter");
  const Method& reset = *FindMethod("nfmeter.v1.CounterService/ResetCounter");
  EXPECT_TRUE(Grant{.role = Role::kViewer}.Allows(get));
  EXPECT_FALSE(Grant{.role = Role::kViewer}.Allows(reset));
  EXPECT_TRUE(Grant{.role = Role::kOperator}.Allows(reset));
  EXPECT_TRUE(Grant{.role = Role::kAdmin}.Allows(get));
}

TEST(GrantTest, MethodsNarrowTheRoleAndNeverWidenIt) {
  const Method& get = *FindMethod("nfmeter.v1.CounterService/GetCounter");
  const Method& reset = *FindMethod("nfmeter.v1.CounterService/ResetCounter");
  EXPECT_TRUE((Grant{.role = Role::kOperator, .methods = {"x", "*/Reset*"}})
                  .Allows(reset));
  EXPECT_FALSE(
      (Grant{.role = Role::kOperator, .methods = {"*/Reset*"}}).Allows(get));
  EXPECT_FALSE((Grant{.role = Role::kViewer, .methods = {"*"}}).Allows(reset));
}

TEST(GrantTest, WhatShowsTheWholeHostNeedsAllCounters) {
  const Method& chains = *FindMethod("nfmeter.v1.RuleService/ListChains");
  EXPECT_TRUE(Grant{.role = Role::kViewer}.Allows(chains));
  EXPECT_FALSE(
      (Grant{.role = Role::kAdmin, .counter_prefixes = {"a-"}}).Allows(chains));
}

TEST(RoleTest, NobodyIsNoRoleThatCanBeGranted) {
  EXPECT_EQ(ParseRole("admin"), Role::kAdmin);
  EXPECT_EQ(ParseRole("nobody"), std::nullopt);
  EXPECT_EQ(ParseRole("Admin"), std::nullopt);
  EXPECT_EQ(ParseRole(""), std::nullopt);
}

}  // namespace
}  // namespace nfmeter::security
