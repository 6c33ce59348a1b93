// SPDX-License-Identifier: GPL-3.0-or-later
// Which records of a stream are stored together.
#include "collector/progress.h"

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "tests/collector/memory_sink.h"
#include "tests/collector/records.h"
#include "tests/support/status_matchers.h"

namespace nfmeter {
namespace {

using collector::Progress;
using testing::IsOkAndHolds;
using testing::MakeRecord;
using testing::StatusIs;

class ProgressTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto leases = sink_.KeepLeases("a", {3}, absl::Minutes(5));
    ASSERT_OK(leases.status());
    lease_ = leases->front();
  }
  Progress MakeProgress(const std::string& name = "gw1") {
    return {name, lease_, sink_,
            [this](const std::string& name, const std::string& id) {
              return others_.contains({name, id});
            }};
  }
  // From `sequence` on, the first one full.
  static std::vector<v1::UsageRecord> Three(uint64_t sequence) {
    std::vector<v1::UsageRecord> records;
    for (uint64_t i = 0; i < 3; ++i) {
      records.push_back(MakeRecord(
          {.sequence = sequence + i, .full = i == 0, .described = i == 0},
          {{5, 10 * (sequence + i)}}));
    }
    return records;
  }

  testing::MemorySink sink_;
  std::set<std::pair<std::string, std::string>> others_;  // name and id
  collector::Lease lease_;
};

// What it tells was counted before: that is in no hour.
TEST_F(ProgressTest, TheFirstRecordOfANodeIsStoredAlone) {
  Progress progress = MakeProgress();
  ASSERT_OK(progress.Begin().status());
  const std::vector<v1::UsageRecord> records = Three(1);
  EXPECT_THAT(progress.Store(records), IsOkAndHolds(1));
  EXPECT_THAT(progress.Store(absl::MakeSpan(records).subspan(1)),
              IsOkAndHolds(2));
}

// Where it falls is seen, though the next ones are larger again.
TEST_F(ProgressTest, TheFirstRecordOfALedgerThatWasSetBackIsStoredAlone) {
  Progress progress = MakeProgress();
  ASSERT_OK(progress.Begin().status());
  ASSERT_OK(progress.Store(Three(20)).status());
  const std::vector<v1::UsageRecord> records = Three(10);
  EXPECT_THAT(progress.Store(records), IsOkAndHolds(1));
  EXPECT_THAT(progress.Store(absl::MakeSpan(records).subspan(1)),
              IsOkAndHolds(2));
  const auto totals = sink_.totals();
  EXPECT_EQ(totals.at({"gw1", "c5"}).first, 200 + 20);
}

// The node has refused the position, as it has another record there.
TEST_F(ProgressTest, AFullRecordInsteadOfTheNextIsOfALedgerThatWasSetBack) {
  Progress progress = MakeProgress();
  ASSERT_OK(progress.Begin().status());
  ASSERT_OK(progress.Store(Three(10)).status());
  std::vector<v1::UsageRecord> records = Three(11);
  records.front().clear_full();
  records[1] = Three(12).front();
  EXPECT_THAT(progress.Store(records), IsOkAndHolds(1));
  EXPECT_THAT(progress.Store(absl::MakeSpan(records).subspan(1)),
              IsOkAndHolds(1));
  EXPECT_THAT(sink_.gaps(), ::testing::ElementsAre("LEDGER_SET_BACK"));
}

TEST_F(ProgressTest, AFullRecordThatTellsOfDroppedOnesGoesOn) {
  Progress progress = MakeProgress();
  ASSERT_OK(progress.Begin().status());
  ASSERT_OK(progress.Store(Three(10)).status());
  std::vector<v1::UsageRecord> records = Three(20);
  records.front().add_gaps()->set_cause(v1::USAGE_GAP_CAUSE_RECORDS_DROPPED);
  ASSERT_OK(progress.Store(records).status());
  EXPECT_THAT(sink_.gaps(), ::testing::ElementsAre("RECORDS_DROPPED"));
}

// The stream began before the node said which one it is: nothing was refused.
TEST_F(ProgressTest, AFullRecordThatNobodyAskedToGoOnGoesOn) {
  Progress before = MakeProgress("gw1");
  ASSERT_OK(before.Begin().status());
  ASSERT_OK(before.Store(Three(10)).status());
  Progress renamed = MakeProgress("gw2");
  ASSERT_OK(renamed.Begin().status());
  ASSERT_OK(renamed.Store(Three(20)).status());
  EXPECT_THAT(sink_.gaps(), ::testing::IsEmpty());
}

TEST_F(ProgressTest, TheNodeIsGivenTheTimeOfTheLastRecord) {
  Progress first = MakeProgress();
  ASSERT_OK(first.Begin().status());
  ASSERT_OK(first.Store(Three(10)).status());
  const auto position = MakeProgress().Begin();
  ASSERT_OK(position.status());
  ASSERT_TRUE(position->has_value());
  EXPECT_EQ((*position)->time().seconds(), Three(10).front().time().seconds());
}

TEST_F(ProgressTest, ANameThatBecameAnothersIsNoSecondTargetOfItsNode) {
  Progress first = MakeProgress("gw1");
  ASSERT_OK(first.Begin().status());
  ASSERT_OK(first.Store(Three(1)).status());
  Progress second = MakeProgress("gw2");
  ASSERT_OK(second.Begin().status());
  others_ = {{"gw1", "id-1"}};
  EXPECT_THAT(second.Meet("id-1"), StatusIs(absl::StatusCode::kAlreadyExists));
  others_ = {{"gw1", "id-2"}};
  const auto position = second.Meet("id-1");
  ASSERT_OK(position.status());
  ASSERT_TRUE(position->has_value());
  EXPECT_EQ((*position)->sequence(), 1u);
}

}  // namespace
}  // namespace nfmeter
