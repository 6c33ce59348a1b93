// SPDX-License-Identifier: GPL-3.0-or-later
// What every RuleTable does with an edit of several tables and of counters, the
// fake as the real ones.
#include "kernel/kernel_edit.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/conformance/rule_table_fixture.h"
#include "tests/support/status_matchers.h"

namespace nfmeter::kernel {
namespace {

using ::nfmeter::testing::HasReason;
using ::nfmeter::testing::IsOk;
using ::nfmeter::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using Code = absl::StatusCode;

template <typename K>
class KernelEditTest : public RuleTableTest<K> {
 protected:
  absl::StatusOr<KernelOutcome> Apply(const KernelEdit& edit) {
    return this->rules().Apply(edit, EditTerms(Soon()));
  }
};
TYPED_TEST_SUITE(KernelEditTest, Kernels, KernelNames);

// Rules in two tables that count into a counter of the same edit.
KernelEdit Many() {
  KernelEdit edit;
  edit.new_counters = {{.name = "new", .packets = 7, .bytes = 700}};
  edit.tables.resize(2);
  edit.tables[0].insertions = {Spec("a", "INPUT", "new"), Spec("b")};
  edit.tables[1].family = Family::kIpv6;
  edit.tables[1].table = Table::kMangle;
  edit.tables[1].insertions = {Spec("c", "OUTPUT", "new")};
  return edit;
}

TYPED_TEST(KernelEditTest, CountersAndRulesOfSeveralTablesAreMadeInOne) {
  const auto outcome = this->Apply(Many());
  ASSERT_OK(outcome);
  ASSERT_THAT(outcome->tables, SizeIs(2));
  EXPECT_THAT(outcome->tables[0].inserted,
              ElementsAre(Field(&Rule::id, "a"), Field(&Rule::id, "b")));
  EXPECT_THAT(outcome->tables[1].inserted, ElementsAre(Field(&Rule::id, "c")));
  const auto counter = this->acct().Get("new");
  ASSERT_OK(counter);
  EXPECT_EQ(counter->packets, 7u);
  EXPECT_EQ(counter->use_count, 2u);
}

TYPED_TEST(KernelEditTest, ADryRunForeseesItAndChangesNothing) {
  KernelEdit edit = Many();
  edit.dry_run = true;
  const auto outcome = this->Apply(edit);
  ASSERT_OK(outcome);
  EXPECT_THAT(outcome->tables[1].inserted, ElementsAre(Field(&Rule::id, "c")));
  EXPECT_THAT(this->acct().Get("new"), StatusIs(Code::kNotFound));
  EXPECT_THAT(this->Texts(), IsEmpty());
}

TYPED_TEST(KernelEditTest, NothingIsDoneIfOnePartCannotBe) {
  KernelEdit edit = Many();
  edit.tables[1].insertions.push_back(Spec("d", "OUTPUT", "nobody"));
  EXPECT_THAT(this->Apply(edit), HasReason("COUNTER_NOT_FOUND"));
  edit = Many();
  edit.new_counters.push_back({.name = "web"});
  EXPECT_THAT(this->Apply(edit), HasReason("COUNTER_EXISTS"));
  edit = Many();
  edit.deleted_counters = {"dns", "gone"};
  EXPECT_THAT(this->Apply(edit), StatusIs(Code::kNotFound));
  EXPECT_THAT(this->acct().Get("new"), StatusIs(Code::kNotFound));
  EXPECT_THAT(this->acct().Get("dns"), IsOk());
  EXPECT_THAT(this->Texts(), IsEmpty());
}

TYPED_TEST(KernelEditTest, RulesAndTheirCountersGoTogether) {
  ASSERT_OK(this->Apply(Many()));
  KernelEdit edit;
  edit.tables.resize(2);
  edit.tables[0].deletions = {"a"};
  edit.tables[1].family = Family::kIpv6;
  edit.tables[1].table = Table::kMangle;
  edit.deleted_counters = {"new"};
  // One rule too few.
  EXPECT_THAT(this->Apply(edit), HasReason("COUNTER_IN_USE"));
  EXPECT_THAT(this->Ids("INPUT"), ElementsAre("a", "b"));
  edit.tables[1].deletions = {"c"};
  const auto outcome = this->Apply(edit);
  ASSERT_OK(outcome);
  EXPECT_THAT(outcome->deleted_counters,
              ElementsAre(AllOf(Field(&AcctObject::name, "new"),
                                Field(&AcctObject::packets, 7u))));
  EXPECT_THAT(this->Ids("INPUT"), ElementsAre("b"));
  EXPECT_THAT(this->acct().Get("new"), StatusIs(Code::kNotFound));
}

TYPED_TEST(KernelEditTest, ChangesOfCountersAreToldInTheirTurn) {
  std::vector<std::string> told;
  EditTerms terms(Soon());
  terms.counter_turn = [&](absl::FunctionRef<CounterChanges()> change) {
    const CounterChanges changes = change();
    for (const AcctObject& counter : changes.created) {
      told.push_back("created " + counter.name);
    }
    for (const AcctObject& counter : changes.deleted) {
      told.push_back("deleted " + counter.name);
    }
    return absl::OkStatus();
  };
  KernelEdit edit = Many();
  edit.deleted_counters = {"dns"};
  ASSERT_OK(this->rules().Apply(edit, terms));
  EXPECT_THAT(told, ElementsAre("created new", "deleted dns"));
}

TYPED_TEST(KernelEditTest, ATurnThatIsRefusedChangesNothing) {
  EditTerms terms(Soon());
  terms.counter_turn = [](absl::FunctionRef<CounterChanges()>) {
    return absl::ResourceExhaustedError("the lane is full");
  };
  EXPECT_THAT(this->rules().Apply(Many(), terms),
              StatusIs(Code::kResourceExhausted));
  EXPECT_THAT(this->Texts(), IsEmpty());
  EXPECT_THAT(this->acct().Get("new"), StatusIs(Code::kNotFound));
}

TYPED_TEST(KernelEditTest, ACounterThatOthersHoldKeepsItsRules) {
  ASSERT_OK(this->Insert({Spec("ours")}));
  this->host_.AddForeignRule(Family::kIpv4, Table::kFilter,
                             "-A OUTPUT -m nfacct --nfacct-name web");
  const std::vector<std::string> texts = this->Texts();
  EXPECT_THAT(this->Apply({.tables = {{.deletions = {"ours"}}},
                           .deleted_counters = {"dns", "web"}}),
              StatusIs(Code::kFailedPrecondition));
  EXPECT_EQ(this->Texts(), texts);
  EXPECT_THAT(this->acct().Get("dns"), IsOk());
  EXPECT_EQ(this->UseCount("web"), 2u);
}

TYPED_TEST(KernelEditTest, WhatNobodyWantsAnyMoreIsNotBegun) {
  EXPECT_THAT(this->rules().Apply({.tables = Many().tables, .dry_run = false},
                                  Patience(Soon(), [] { return true; })),
              ::testing::Not(IsOk()));
  EXPECT_THAT(this->Texts(), IsEmpty());
}

}  // namespace
}  // namespace nfmeter::kernel
