// SPDX-License-Identifier: GPL-3.0-or-later
// The two forms in which a rule counts, the nfacct match and the NFACCT target,
// in every RuleTable, the fake as the real one. A kernel without nfmeter's own
// modules has no such target: there it is refused by name.
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernel/ip_prefix.h"
#include "kernel/rule_table.h"
#include "tests/conformance/rule_table_fixture.h"
#include "tests/support/status_matchers.h"

namespace nfmeter::kernel {
namespace {

using ::nfmeter::testing::HasReason;
using ::nfmeter::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using Code = absl::StatusCode;

template <typename K>
class RuleCountingFormTest : public RuleTableTest<K> {
 protected:
  bool HasTarget(Family family = Family::kIpv4) {
    return this->kernel().capabilities()->rules.target(family).ok();
  }
};
TYPED_TEST_SUITE(RuleCountingFormTest, Kernels, KernelNames);

RuleSpec ByTarget(std::string id, std::string counter = "web") {
  RuleSpec spec = Spec(std::move(id), "INPUT", std::move(counter));
  spec.form = CountingForm::kTarget;
  return spec;
}

TYPED_TEST(RuleCountingFormTest, ATargetThatIsMissingIsNamed) {
  if (this->HasTarget()) GTEST_SKIP() << "this kernel has the target";
  for (const bool dry_run : {true, false}) {
    const auto outcome =
        this->Edit({.insertions = {Spec("m"), ByTarget("t")}}, dry_run);
    EXPECT_THAT(outcome, StatusIs(Code::kUnimplemented, HasSubstr("kmod/")));
    EXPECT_THAT(outcome, HasReason("TARGET_UNAVAILABLE"));
  }
  EXPECT_THAT(this->Texts(), IsEmpty());
}

TYPED_TEST(RuleCountingFormTest, ARuleOfEachFormIsReadBackAsItWasGiven) {
  for (const Family family : kAllFamilies) {
    if (!this->HasTarget(family)) GTEST_SKIP() << "no NFACCT target";
    RuleSpec target = ByTarget("t", "dns");
    target.match.source = {
        *ParseIpPrefix(family == Family::kIpv4 ? "10.0.0.0/8" : "fd00::/8")};
    target.match.comment = "by the target";
    const TableEdit edit = {.family = family,
                            .insertions = {target, Spec("m")}};
    for (const bool dry_run : {true, false}) {
      const auto outcome = this->Edit(edit, dry_run);
      ASSERT_OK(outcome);
      ASSERT_THAT(outcome->inserted, SizeIs(2));
      const Rule& rule = outcome->inserted[0];
      EXPECT_EQ(rule.id, "t");
      EXPECT_TRUE(rule.managed);
      EXPECT_EQ(rule.match, target.match);
      EXPECT_EQ(rule.counter, "dns");
      EXPECT_EQ(rule.form, CountingForm::kTarget);
      EXPECT_EQ(rule.verdict, Verdict::kContinue);
      EXPECT_EQ(rule.target, "NFACCT");
      EXPECT_THAT(rule.other_matches, IsEmpty());
      EXPECT_THAT(rule.text, EndsWith(" -j NFACCT --nfacct-name dns"));
      EXPECT_THAT(rule.text, Not(HasSubstr("-m nfacct")));
      EXPECT_EQ(outcome->inserted[1].form, CountingForm::kMatch);
      EXPECT_EQ(outcome->inserted[1].target, "");
    }
    EXPECT_THAT(this->Ids("INPUT", family), ElementsAre("t", "m"));
  }
}

TYPED_TEST(RuleCountingFormTest, RulesOfBothFormsHoldTheirCounters) {
  if (!this->HasTarget()) GTEST_SKIP() << "no NFACCT target";
  ASSERT_OK(this->Insert({Spec("m"), ByTarget("t"), ByTarget("d", "dns")}));
  EXPECT_EQ(this->UseCount("web"), 2u);
  EXPECT_EQ(this->UseCount("dns"), 1u);
  const std::vector<std::string> names = {"web"};
  ASSERT_OK(this->Delete({"m"}));
  EXPECT_THAT(this->acct().Delete(names)[0],
              StatusIs(Code::kFailedPrecondition));
  ASSERT_OK(this->Delete({"t"}));
  EXPECT_OK(this->acct().Delete(names)[0]);
}

TYPED_TEST(RuleCountingFormTest, ATargetForAMissingCounterChangesNothing) {
  if (!this->HasTarget()) GTEST_SKIP() << "no NFACCT target";
  for (const bool dry_run : {true, false}) {
    const auto outcome = this->Edit(
        {.insertions = {Spec("m"), ByTarget("t", "nobody")}}, dry_run);
    EXPECT_THAT(outcome, StatusIs(Code::kNotFound, HasSubstr("nobody")));
    EXPECT_THAT(outcome, HasReason("COUNTER_NOT_FOUND"));
  }
  EXPECT_THAT(this->Texts(), IsEmpty());
  EXPECT_EQ(this->UseCount("web"), 0u);
}

TYPED_TEST(RuleCountingFormTest, ATargetHasNoVerdict) {
  for (const Verdict verdict :
       {Verdict::kAccept, Verdict::kDrop, Verdict::kReturn}) {
    RuleSpec spec = ByTarget("t");
    spec.verdict = verdict;
    EXPECT_THAT(this->Insert({spec}), HasReason("RULE_REFUSED"));
  }
  EXPECT_THAT(this->Texts(), IsEmpty());
}

TYPED_TEST(RuleCountingFormTest, ATargetOfSomebodyElseShowsItsCounter) {
  if (!this->HasTarget()) GTEST_SKIP() << "no NFACCT target";
  const std::string both =
      "-A INPUT -m nfacct --nfacct-name web -j NFACCT --nfacct-name dns";
  for (const std::string& text :
       {std::string("-A INPUT -s 10.0.0.1/32 -j NFACCT --nfacct-name web"),
        both}) {
    this->host_.AddForeignRule(Family::kIpv4, Table::kFilter, text);
  }
  const std::vector<Rule> rules = this->ChainOf("INPUT").rules;
  ASSERT_THAT(rules, SizeIs(2));
  EXPECT_EQ(rules[0].text,
            "-A INPUT -s 10.0.0.1/32 -j NFACCT --nfacct-name web");
  EXPECT_EQ(rules[0].counter, "web");
  EXPECT_EQ(rules[0].form, CountingForm::kTarget);
  EXPECT_EQ(rules[0].verdict, Verdict::kContinue);
  EXPECT_EQ(rules[0].target, "NFACCT");
  EXPECT_FALSE(rules[0].managed);
  EXPECT_EQ(rules[1].counter, "web");
  EXPECT_EQ(rules[1].form, CountingForm::kMatch);
  EXPECT_THAT(rules[1].other_counters, ElementsAre("dns"));
  EXPECT_EQ(this->UseCount("web"), 2u);
  EXPECT_EQ(this->UseCount("dns"), 1u);
}

}  // namespace
}  // namespace nfmeter::kernel
