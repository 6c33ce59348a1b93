#include "accounting/counters/counters.h"

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/status_macros.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernel/fake/fake_acct_table.h"
#include "kernel/fake/fake_rule_table.h"
#include "tests/support/fake_clock.h"
#include "tests/support/status_matchers.h"

namespace nfmeter::accounting {
namespace {

using ::nfmeter::testing::HasReason;
using ::nfmeter::testing::IsOkAndHolds;
using ::testing::IsEmpty;

// Asks before each reading by name.
class WatchedAcctTable final : public kernel::FakeAcctTable {
 public:
  absl::StatusOr<kernel::AcctObject> Get(absl::string_view name) override {
    if (before_get) NFM_RETURN_IF_ERROR(before_get());
    return FakeAcctTable::Get(name);
  }

  std::function<absl::Status()> before_get;
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

class CountersTest : public ::testing::Test {
 protected:
  absl::Status Delete(const CounterDeletion& deletion = {}) {
    const CounterTarget target = {.name = "c"};
    const auto batch = counters_.Delete({&target, 1}, deletion);
    if (!batch.ok()) return batch.status();
    return batch->failures.empty() ? absl::OkStatus()
                                   : batch->failures[0].status;
  }
  void CreateWithRules(std::vector<std::string> ids) {
    ASSERT_OK(acct_.Create({{.name = "c", .packets = 3}}).front());
    for (std::string& id : ids) {
      NewRule rule;
      rule.spec = {.id = std::move(id), .chain = "INPUT", .counter = "c"};
      ASSERT_OK(rules_.Create({rule}, {}));
    }
  }

  testing::FakeClock clock_;
  WatchedAcctTable acct_;
  WatchedRuleTable rule_table_{&acct_};
  Lane counter_lane_{"counters", 16};
  Lane rule_lane_{"rules", 16};
  std::unique_ptr<SnapshotHub> hub_ =
      SnapshotHub::Create(acct_, counter_lane_, clock_, {});
  std::unique_ptr<LabelStore> labels_ = *LabelStore::Open("");
  Rules rules_{{rule_table_, rule_lane_}, {rule_table_, rule_lane_}, acct_};
  // On the counter lane, when counters have just been deleted.
  std::function<void()> on_deleted_;
  Counters counters_{acct_,
                     counter_lane_,
                     *hub_,
                     *labels_,
                     rules_,
                     clock_,
                     absl::OkStatus(),
                     [this](absl::Span<const std::string>) {
                       if (on_deleted_) on_deleted_();
                     }};
};

TEST_F(CountersTest, ADeletionLeavesTheLabelsOfACounterMadeAnewMeanwhile) {
  ASSERT_OK(counters_.Create(
      {{.object = {.name = "c"}, .labels = {{"made", "first"}}}}, false));
  on_deleted_ = [this] {
    ASSERT_OK(labels_->Set({{"c", {{"made", "anew"}}}}));
  };
  ASSERT_OK(Delete());
  EXPECT_EQ(labels_->Get("c"), (Labels{{"made", "anew"}}));
}

TEST_F(CountersTest, ACounterWhoseLastValuesCannotBeReadStays) {
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
TEST_F(CountersTest, ARuleThatIsGoneMeanwhileHindersNoDeletion) {
  CreateWithRules({"ours", "theirs"});
  int readings = 0;
  rule_table_.before_read = [&] {
    if (++readings != 2) return;
    ASSERT_OK(rule_table_.Edit({.deletions = {"theirs"}}, {}));
  };
  ASSERT_OK(Delete({.delete_managed_rules = true}));
  EXPECT_GT(readings, 2);
  EXPECT_THAT(acct_.Get("c"), HasReason("COUNTER_NOT_FOUND"));
  EXPECT_THAT(rules_.Holders({"c"}), IsOkAndHolds(IsEmpty()));
}

}  // namespace
}  // namespace nfmeter::accounting
