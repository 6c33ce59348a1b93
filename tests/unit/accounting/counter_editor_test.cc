// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/counters/counter_editor.h"

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "accounting/domain.h"
#include "base/error.h"
#include "base/status_macros.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernel/fake/fake_kernel.h"
#include "tests/support/fake_clock.h"
#include "tests/support/kernel_edits.h"
#include "tests/support/status_matchers.h"
#include "tests/support/subprocess.h"

namespace nfmeter::accounting {
namespace {

using ::nfmeter::testing::HasReason;
using ::nfmeter::testing::IsOkAndHolds;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// Asks before each reading by name, and tells of deletions.
class WatchedAcctTable final : public kernel::FakeAcctTable {
 public:
  absl::StatusOr<kernel::AcctObject> Get(absl::string_view name) override {
    if (before_get) NFM_RETURN_IF_ERROR(before_get());
    return FakeAcctTable::Get(name);
  }

  std::vector<absl::Status> Create(
      absl::Span<const kernel::AcctObject> objects) override {
    for (const kernel::AcctObject& object : objects) {
      if (object.name != refused) continue;
      return std::vector<absl::Status>(
          objects.size(), MakeError(absl::StatusCode::kResourceExhausted,
                                    "KERNEL_OUT_OF_MEMORY", "no memory"));
    }
    return FakeAcctTable::Create(objects);
  }

  std::vector<absl::Status> Delete(
      absl::Span<const std::string> names) override {
    std::vector<absl::Status> deleted = FakeAcctTable::Delete(names);
    if (after_delete) after_delete();
    return deleted;
  }

  std::function<absl::Status()> before_get;
  std::function<void()> after_delete;
  std::string refused;  // whatever would be made with it is not
};

// Tells of each reading before it is done.
class WatchedRuleTable final : public kernel::FakeRuleTable {
 public:
  using FakeRuleTable::FakeRuleTable;

  absl::StatusOr<kernel::TableContents> Read(kernel::Family family,
                                             kernel::Table table) override {
    if (before_read && family == kernel::Family::kIpv4 &&
        table == kernel::Table::kFilter) {
      before_read();
    }
    return FakeRuleTable::Read(family, table);
  }

  std::function<void()> before_read;  // of the filter table for IPv4
};

class CounterEditorTest : public ::testing::Test {
 protected:
  absl::Status Delete(const CounterDeletion& deletion = {}) {
    const CounterTarget target = {.name = "c"};
    const auto batch = counter_editor_.Delete({&target, 1}, deletion);
    if (!batch.ok()) return batch.status();
    return batch->failures.empty() ? absl::OkStatus()
                                   : batch->failures[0].status;
  }
  void CreateWithRules(std::vector<std::string> ids) {
    ASSERT_OK(acct_.Create({{.name = "c", .packets = 3}}).front());
    for (std::string& id : ids) {
      NewRule rule;
      rule.spec = {.id = std::move(id), .chain = "INPUT", .counter = "c"};
      ASSERT_OK(domain_->rule_editor().Create({rule}, {}));
    }
  }

  testing::FakeClock clock_;
  WatchedAcctTable& acct_ = *new WatchedAcctTable;  // the kernel's
  WatchedRuleTable& rule_table_ = *new WatchedRuleTable(&acct_);
  kernel::FakeKernel kernel_{absl::WrapUnique(&acct_),
                             absl::WrapUnique(&rule_table_)};
  std::unique_ptr<Domain> domain_ = *Domain::Open(kernel_, clock_, {});
  CounterEditor& counter_editor_ = domain_->counter_editor();
  Rules& rules_ = domain_->rules();
  LabelStore& labels_ = domain_->labels();
};

TEST_F(CounterEditorTest, ADeletionLeavesTheLabelsOfACounterMadeAnewMeanwhile) {
  ASSERT_OK(counter_editor_.Create(
      {{.object = {.name = "c"}, .labels = {{"made", "first"}}}}, false));
  acct_.after_delete = [this] {
    ASSERT_OK(labels_.Set({{"c", {{"made", "anew"}}}}));
  };
  ASSERT_OK(Delete());
  EXPECT_EQ(labels_.Get("c"), (Labels{{"made", "anew"}}));
}

TEST_F(CounterEditorTest, NothingIsMadeWhoseLabelsHaveNoRoom) {
  domain_ = *Domain::Open(
      kernel_, clock_,
      {.labels = {.max_bytes = 1 << 20, .max_bytes_per_scope = 1000}});
  const CounterScope scope = {{"a-"}};
  const auto create = [&](const std::string& name, bool validate_only,
                          const CounterScope& scope) {
    return domain_->counter_editor()
        .Create({{.object = {.name = name},
                  .labels = {{"k", std::string(900, 'v')}}}},
                validate_only, scope)
        .status();
  };
  for (const bool validate_only : {true, false}) {
    EXPECT_THAT(create("a-1", validate_only, scope),
                HasReason("TOO_MANY_LABELS"));
    EXPECT_TRUE(absl::IsNotFound(acct_.Get("a-1").status()));
  }
  EXPECT_OK(create("a-1", false, {}));
}

// Labels are written while more counters are made.
TEST_F(CounterEditorTest, ABatchThatFailsLateLeavesLabelsAsTheyWere) {
  const testing::TemporaryDirectory dir;
  domain_ = *Domain::Open(kernel_, clock_, {.ledger = {.path = dir / "l.db"}});
  LabelStore& labels = domain_->labels();
  const Labels old = {{"of", "one that others deleted"}};
  ASSERT_OK(labels.Set({{"c1", old}}));
  std::vector<Counter> counters;
  for (int i = 0; i < 3000; ++i) {
    counters.push_back({.object = {.name = absl::StrCat("c", i)},
                        .labels = {{"number", absl::StrCat(i)}}});
  }
  const auto create = [&] {
    return domain_->counter_editor().Create(counters, false).status();
  };
  acct_.refused = "c2999";
  EXPECT_THAT(create(), HasReason("KERNEL_OUT_OF_MEMORY"));
  const auto left = domain_->snapshots().Take(absl::ZeroDuration());
  ASSERT_OK(left.status());
  EXPECT_EQ((*left)->size(), 0u);
  EXPECT_EQ(labels.Get("c1"), old);
  EXPECT_THAT(labels.All(), SizeIs(1));
  acct_.refused.clear();
  EXPECT_OK(create());
  EXPECT_THAT(labels.All(), SizeIs(3000));
}

TEST_F(CounterEditorTest, ACounterWhoseLastValuesCannotBeReadStays) {
  CreateWithRules({});
  int readings = 0;  // the check, and the last one
  acct_.before_get = [&readings] {
    return ++readings < 2 ? absl::OkStatus()
                          : MakeError(absl::StatusCode::kUnavailable,
                                      "KERNEL_OUT_OF_BUFFERS", "no buffers");
  };
  EXPECT_THAT(Delete(), HasReason("KERNEL_OUT_OF_BUFFERS"));
  EXPECT_EQ(readings, 2);
  acct_.before_get = nullptr;
  const auto left = acct_.Get("c");
  ASSERT_OK(left);
  EXPECT_EQ(left->packets, 3u);
}

// Somebody deletes a rule between our look at the rules and their deletion.
TEST_F(CounterEditorTest, ARuleThatIsGoneMeanwhileHindersNoDeletion) {
  CreateWithRules({"ours", "theirs"});
  int readings = 0;
  rule_table_.before_read = [&] {
    if (++readings != 2) return;
    ASSERT_OK(testing::Edit(rule_table_, {.deletions = {"theirs"}}));
  };
  ASSERT_OK(Delete({.delete_managed_rules = true}));
  EXPECT_GT(readings, 2);
  EXPECT_THAT(acct_.Get("c"), HasReason("COUNTER_NOT_FOUND"));
  EXPECT_THAT(rules_.Holders({"c"}), IsOkAndHolds(IsEmpty()));
}

}  // namespace
}  // namespace nfmeter::accounting
