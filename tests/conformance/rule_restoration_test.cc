// SPDX-License-Identifier: GPL-3.0-or-later
// Deleted rules that are put back, in every RuleTable, the fake as the real
// one.
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
using ::testing::ElementsAre;
using ::testing::SizeIs;

template <typename K>
class RuleRestorationTest : public RuleTableTest<K> {
 protected:
  absl::StatusOr<TableOutcome> Restore(std::vector<RestoredRule> rules) {
    return this->Edit({.restorations = std::move(rules)});
  }
};
TYPED_TEST_SUITE(RuleRestorationTest, Kernels, KernelNames);

RestoredRule At(uint32_t position, std::string id, uint64_t packets = 0,
                uint64_t bytes = 0) {
  return {.spec = Spec(std::move(id)),
          .position = position,
          .packets = packets,
          .bytes = bytes};
}

TYPED_TEST(RuleRestorationTest, AllThatWereDeletedAreAgainWhereTheyWere) {
  std::vector<RuleSpec> specs;
  for (const char* id : {"a", "b", "c", "d", "e"}) specs.push_back(Spec(id));
  specs.push_back(Spec("o", "OUTPUT"));
  ASSERT_OK(this->Insert(specs));
  for (const std::vector<std::string>& gone :
       std::vector<std::vector<std::string>>{{"a", "c", "e", "o"},
                                             {"a", "b"},
                                             {"d", "e"},
                                             {"b", "c", "d"},
                                             {"a", "b", "c", "d", "e"}}) {
    const auto deleted = this->Delete(gone);
    ASSERT_OK(deleted);
    std::vector<RestoredRule> back;
    for (const Rule& rule : deleted->deleted) {
      back.push_back(
          {.spec = Spec(rule.id, rule.chain), .position = rule.position});
    }
    const auto restored = this->Restore(back);
    ASSERT_OK(restored);
    ASSERT_THAT(restored->inserted, SizeIs(gone.size()));
    for (size_t i = 0; i < gone.size(); ++i) {
      EXPECT_EQ(restored->inserted[i].id, gone[i]);
    }
    EXPECT_THAT(this->Ids("INPUT"), ElementsAre("a", "b", "c", "d", "e"));
    EXPECT_THAT(this->Ids("OUTPUT"), ElementsAre("o"));
  }
  EXPECT_EQ(this->UseCount("web"), 6u);
}

TYPED_TEST(RuleRestorationTest, TheirOwnCountersGoOn) {
  ASSERT_OK(this->Restore(
      {At(1, "a", 7, 700), At(2, "b", uint64_t{1} << 40, uint64_t{1} << 60)}));
  ASSERT_OK(this->Insert({Spec("new")}));
  const std::vector<Rule> rules = this->ChainOf("INPUT").rules;
  ASSERT_THAT(rules, SizeIs(3));
  EXPECT_EQ(rules[0].packets, 0u);
  EXPECT_EQ(rules[1].packets, 7u);
  EXPECT_EQ(rules[1].bytes, 700u);
  EXPECT_EQ(rules[2].packets, uint64_t{1} << 40);
  EXPECT_EQ(rules[2].bytes, uint64_t{1} << 60);
}

TYPED_TEST(RuleRestorationTest, InAShorterChainTheyGoToItsEnd) {
  ASSERT_OK(this->Insert({Spec("a"), Spec("b")}));
  ASSERT_OK(this->Edit({.deletions = {"a"},
                        .restorations = {At(9, "y"), At(12, "z")},
                        .insertions = {Spec("h")}}));
  EXPECT_THAT(this->Ids("INPUT"), ElementsAre("h", "b", "y", "z"));
}

TYPED_TEST(RuleRestorationTest, TheyAreCheckedAsNewOnesAre) {
  ASSERT_OK(this->Insert({Spec("a")}));
  EXPECT_THAT(this->Restore({At(1, "b"), At(1, "a")}),
              HasReason("RULE_EXISTS"));
  RestoredRule lost = At(1, "c");
  lost.spec.chain = "NOWHERE";
  EXPECT_THAT(this->Restore({lost}), HasReason("CHAIN_NOT_FOUND"));
  RestoredRule uncounted = At(1, "d");
  uncounted.spec.counter = "nobody";
  EXPECT_THAT(this->Restore({uncounted}), HasReason("COUNTER_NOT_FOUND"));
  EXPECT_THAT(this->Ids("INPUT"), ElementsAre("a"));
}

}  // namespace
}  // namespace nfmeter::kernel
