// SPDX-License-Identifier: GPL-3.0-or-later
// What every RuleTable refuses, the fake as the real one, and that nothing is
// changed by it.
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernel/rule_table.h"
#include "tests/conformance/rule_table_fixture.h"
#include "tests/support/status_matchers.h"

namespace nfmeter::kernel {
namespace {

using ::nfmeter::testing::HasReason;
using ::nfmeter::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Code = absl::StatusCode;

template <typename K>
class RuleRefusalTest : public RuleTableTest<K> {};
TYPED_TEST_SUITE(RuleRefusalTest, Kernels, KernelNames);

TYPED_TEST(RuleRefusalTest, AnUnknownChainIsNamedWithThoseThatExist) {
  const auto outcome = this->Insert({Spec("a"), Spec("b", "INPTU")});
  EXPECT_THAT(outcome, StatusIs(Code::kNotFound, HasSubstr("'INPTU'")));
  EXPECT_THAT(outcome, HasReason("CHAIN_NOT_FOUND"));
  // Apart from the sentence: not every caller may see them.
  EXPECT_EQ(GetErrorDetails(outcome.status()).metadata["chains"],
            "INPUT, FORWARD, OUTPUT");
  EXPECT_THAT(this->Texts(), IsEmpty());
}

TYPED_TEST(RuleRefusalTest, AMissingCounterIsNamedAndNothingChanges) {
  ASSERT_OK(this->Insert({Spec("before")}));
  const std::vector<std::string> texts = this->Texts();
  const auto outcome = this->Edit(
      {.deletions = {"before"},
       .insertions = {Spec("a"), Spec("b", "INPUT", "nobody"), Spec("c")}});
  EXPECT_THAT(outcome, StatusIs(Code::kNotFound, HasSubstr("nobody")));
  EXPECT_THAT(outcome, HasReason("COUNTER_NOT_FOUND"));
  EXPECT_EQ(this->Texts(), texts);
  EXPECT_EQ(this->UseCount("web"), 1u);
}

TYPED_TEST(RuleRefusalTest, AnIdThatIsThereIsRefusedInAnyChain) {
  ASSERT_OK(this->Insert({Spec("a")}));
  const std::vector<std::string> texts = this->Texts();
  const auto outcome = this->Insert({Spec("new"), Spec("a", "OUTPUT")});
  EXPECT_THAT(outcome, StatusIs(Code::kAlreadyExists, HasSubstr("INPUT")));
  EXPECT_THAT(outcome, HasReason("RULE_EXISTS"));
  EXPECT_EQ(this->Texts(), texts);
}

TYPED_TEST(RuleRefusalTest, ContradictoryBatchesAreRefused) {
  ASSERT_OK(this->Insert({Spec("a")}));
  EXPECT_THAT(this->Insert({Spec("b"), Spec("b")}),
              HasReason("RULE_NAMED_TWICE"));
  EXPECT_THAT(this->Delete({"a", "a"}), HasReason("RULE_NAMED_TWICE"));
  EXPECT_THAT(this->Ids("INPUT"), ElementsAre("a"));
}

TYPED_TEST(RuleRefusalTest, AnUnknownIdIsNotFoundAndNothingIsDeleted) {
  ASSERT_OK(this->Insert({Spec("a")}));
  const auto outcome = this->Delete({"a", "gone"});
  EXPECT_THAT(outcome, StatusIs(Code::kNotFound, HasSubstr("'gone'")));
  EXPECT_THAT(outcome, HasReason("RULE_NOT_FOUND"));
  EXPECT_THAT(this->Ids("INPUT"), ElementsAre("a"));
}

TYPED_TEST(RuleRefusalTest, ADryRunShowsTheRulesAndChangesNothing) {
  ASSERT_OK(this->Insert({Spec("a")}));
  const std::vector<std::string> texts = this->Texts();
  const TableEdit edit = {.deletions = {"a"},
                          .insertions = {Spec("b"), Spec("c", "OUTPUT")}};
  const auto rehearsed = this->Edit(edit, /*dry_run=*/true);
  ASSERT_OK(rehearsed);
  EXPECT_THAT(
      rehearsed->inserted,
      ElementsAre(AllOf(Field(&Rule::id, "b"), Field(&Rule::position, 0u),
                        Field(&Rule::managed, true)),
                  Field(&Rule::id, "c")));
  EXPECT_THAT(rehearsed->deleted, ElementsAre(Field(&Rule::id, "a")));
  EXPECT_EQ(this->Texts(), texts);
  EXPECT_EQ(this->UseCount("web"), 1u);

  const auto done = this->Edit(edit);
  ASSERT_OK(done);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(rehearsed->inserted[i].text, done->inserted[i].text);
    EXPECT_EQ(rehearsed->inserted[i].match, done->inserted[i].match);
  }
}

TYPED_TEST(RuleRefusalTest, ADryRunShowsVerdictsAsTheyAreReadBack) {
  TableEdit edit;
  for (const Verdict verdict :
       {Verdict::kAccept, Verdict::kDrop, Verdict::kReturn}) {
    RuleSpec spec = Spec(absl::StrCat("v", edit.insertions.size()));
    spec.verdict = verdict;
    edit.insertions.push_back(spec);
  }
  const auto rehearsed = this->Edit(edit, /*dry_run=*/true);
  ASSERT_OK(rehearsed);
  const auto done = this->Edit(edit);
  ASSERT_OK(done);
  ASSERT_EQ(rehearsed->inserted.size(), 3u);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(rehearsed->inserted[i].text, done->inserted[i].text);
    EXPECT_EQ(rehearsed->inserted[i].verdict, done->inserted[i].verdict);
  }
  // A rule that takes the place of one of its id is told by its text.
  edit.deletions = {"v0", "v1", "v2"};
  EXPECT_OK(this->Edit(edit));
}

TYPED_TEST(RuleRefusalTest, ADryRunFindsEveryFault) {
  const auto rehearse = [&](const TableEdit& edit) {
    return this->Edit(edit, /*dry_run=*/true);
  };
  ASSERT_OK(this->Insert({Spec("a")}));
  EXPECT_THAT(rehearse({.insertions = {Spec("x", "NOWHERE")}}),
              HasReason("CHAIN_NOT_FOUND"));
  EXPECT_THAT(rehearse({.insertions = {Spec("a")}}), HasReason("RULE_EXISTS"));
  EXPECT_THAT(rehearse({.insertions = {Spec("x", "INPUT", "nobody")}}),
              HasReason("COUNTER_NOT_FOUND"));
  EXPECT_THAT(rehearse({.deletions = {"x"}}), HasReason("RULE_NOT_FOUND"));
}

TYPED_TEST(RuleRefusalTest, RulesThatCannotBeInAChainAreRefused) {
  RuleSpec out = Spec("out");
  out.match.out_interface = {"eth0"};
  RuleSpec in = Spec("in", "OUTPUT");
  in.match.in_interface = {"eth0"};
  RuleSpec owner = Spec("owner", "FORWARD");
  owner.match.owner_uid = {{0, 0}};
  RuleSpec cgroup = Spec("cgroup", "FORWARD");
  cgroup.match.cgroup_path = {"system.slice"};
  for (const RuleSpec& spec : {out, in, owner, cgroup}) {
    const auto outcome = this->Insert({Spec("good"), spec});
    EXPECT_THAT(outcome,
                StatusIs(Code::kInvalidArgument,
                         AllOf(HasSubstr(spec.id), HasSubstr("use "))));
    EXPECT_THAT(outcome, HasReason("RULE_REFUSED"));
  }
  EXPECT_THAT(this->Texts(), IsEmpty());
}

TYPED_TEST(RuleRefusalTest, AUserChainIsJudgedByWhereItIsReachedFrom) {
  if (!TypeParam::kUserChains) GTEST_SKIP() << "nobody else has chains there";
  this->host_.AddUserChain(Family::kIpv4, Table::kFilter, "outer");
  this->host_.AddUserChain(Family::kIpv4, Table::kFilter, "inner");
  this->host_.AddForeignRule(Family::kIpv4, Table::kFilter,
                             "-A outer -j inner");
  this->host_.AddForeignRule(Family::kIpv4, Table::kFilter,
                             "-A OUTPUT -j outer");
  RuleSpec owner = Spec("owner", "inner");
  owner.match.owner_gid = {{5, 9}};
  ASSERT_OK(this->Insert({owner}));
  ASSERT_OK(this->Delete({"owner"}));
  this->host_.AddForeignRule(Family::kIpv4, Table::kFilter,
                             "-A INPUT -j outer");
  EXPECT_THAT(this->Insert({owner}),
              StatusIs(Code::kInvalidArgument, HasSubstr("from INPUT")));
}

}  // namespace
}  // namespace nfmeter::kernel
