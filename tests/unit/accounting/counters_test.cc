#include "accounting/counters.h"

#include <functional>
#include <memory>
#include <string>

#include "gtest/gtest.h"
#include "kernel/fake/fake_acct_table.h"
#include "kernel/fake/fake_rule_table.h"
#include "tests/support/fake_clock.h"
#include "tests/support/status_matchers.h"

namespace nfmeter::accounting {
namespace {

class CountersTest : public ::testing::Test {
 protected:
  testing::FakeClock clock_;
  kernel::FakeAcctTable acct_;
  kernel::FakeRuleTable rule_table_{&acct_};
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
  const CounterTarget target = {.name = "c"};
  ASSERT_OK(counters_.Delete({&target, 1}, {}));
  EXPECT_EQ(labels_->Get("c"), (Labels{{"made", "anew"}}));
}

}  // namespace
}  // namespace nfmeter::accounting
