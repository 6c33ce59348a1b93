// SPDX-License-Identifier: GPL-3.0-or-later
// Snapshots while counters are deleted.
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "gmock/gmock.h"
#include "kernel/fake/fake_acct_table.h"
#include "tests/unit/accounting/snapshot_hub_fixture.h"

namespace nfmeter::accounting {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

using SnapshotCompleteTest = SnapshotHubFixture;

// Leaves some objects out of dumps that it calls complete, as the kernel does
// when a new object gets the memory of the deleted one at the cursor.
class SkippingTable : public kernel::FakeAcctTable {
 public:
  absl::StatusOr<kernel::AcctDumpOutcome> Dump(
      kernel::AcctDumpFilter filter,
      absl::FunctionRef<void(absl::Span<const kernel::AcctRecord>)> on_records)
      override {
    const bool skip = skips > 0;
    if (skip) --skips;
    return FakeAcctTable::Dump(
        filter, [&](absl::Span<const kernel::AcctRecord> records) {
          std::vector<kernel::AcctRecord> kept;
          for (const auto& record : records) {
            if (!skip || record.name[0] != 's') kept.push_back(record);
          }
          on_records(kept);
        });
  }
  int skips = 0;
};

TEST_F(SnapshotCompleteTest, ADumpThatWasCutIsRepeated) {
  Create("c", 20);
  table_.CutDumps(8, 2);
  const SharedSnapshot snapshot = Take();
  EXPECT_TRUE(snapshot->complete);
  EXPECT_EQ(snapshot->size(), 20u);
  EXPECT_EQ(table_.dumps(), 3);
}

TEST_F(SnapshotCompleteTest, CutEveryTimeItSaysSoAndNothingCountsAsRemoved) {
  Create("c", 20);
  const SharedSnapshot before = Take();
  table_.CutDumps(8, 100);
  const SharedSnapshot cut = Take();
  EXPECT_FALSE(cut->complete);
  EXPECT_EQ(cut->sequence, before->sequence + 1);
  EXPECT_EQ(cut->size(), 8u);
  EXPECT_THAT(cut->RemovedSince(0), IsEmpty());
  table_.CutDumps(0, 0);
}

TEST_F(SnapshotCompleteTest, AnIncompleteSnapshotIsNotServedAsAStaleOne) {
  Create("c", 20);
  table_.CutDumps(8, 5);
  EXPECT_FALSE(Take()->complete);
  EXPECT_TRUE(Take(absl::Hours(1))->complete);
}

TEST_F(SnapshotCompleteTest,
       RowsThatComeBackAfterAnIncompleteSnapshotAreChanged) {
  Create("c", 12);
  Take();
  table_.CutDumps(8, 5);
  const SharedSnapshot cut = Take();
  const SharedSnapshot whole = Take();
  EXPECT_THAT(NamesOf(*whole, whole->AddedSince(cut->sequence)),
              UnorderedElementsAre("c8", "c9", "c10", "c11"));
  for (size_t row = 0; row < whole->size(); ++row) {
    EXPECT_EQ(whole->chunks()[0]->changed_in[row], row < 8 ? 1u : 3u) << row;
  }
}

TEST_F(SnapshotCompleteTest, SurvivorsAreInEveryCompleteSnapshotWhileOthersGo) {
  Create("gone", 60);
  Create("stay", 40);
  int next = 0;
  table_.SetDumpHook([&](size_t) {
    if (next < 60) table_.Delete({absl::StrCat("gone", next++)});
  });
  int complete = 0;
  for (int i = 0; i < 30; ++i) {
    const SharedSnapshot snapshot = Take();
    if (!snapshot->complete) continue;
    ++complete;
    for (int survivor = 0; survivor < 40; ++survivor) {
      EXPECT_TRUE(snapshot->Find(absl::StrCat("stay", survivor)).has_value());
    }
  }
  EXPECT_GT(complete, 0);
}

TEST_F(SnapshotCompleteTest, ARemovalIsConfirmedByNameAndTold) {
  Create({"a", "b", "c"});
  const SharedSnapshot before = Take();
  table_.Delete({"b"});
  const SharedSnapshot after = Take();
  EXPECT_TRUE(after->complete);
  EXPECT_EQ(Dumps(), 2);
  EXPECT_THAT(NamesOf(*after, after->RemovedSince(before->sequence)),
              ElementsAre("b"));
  EXPECT_THAT(after->RemovedSince(after->sequence), IsEmpty());
}

TEST_F(SnapshotCompleteTest, ACompleteDumpThatSkipsAFewIsNotBelieved) {
  SkippingTable table;
  hub_ = SnapshotHub::Create({table, lane_, observers_, clock_}, {});
  for (const char* name : {"a", "s1", "s2", "b"}) {
    ASSERT_OK(table.Create({{.name = name}})[0]);
  }
  Take();
  table.skips = 1;
  const SharedSnapshot snapshot = Take();
  EXPECT_TRUE(snapshot->complete);
  EXPECT_THAT(Names(*snapshot), ElementsAre("a", "s1", "s2", "b"));
  EXPECT_THAT(snapshot->RemovedSince(0), IsEmpty());
  hub_.reset();
}

// nfmeter's own module: what its dumps lack has gone.
TEST_F(SnapshotCompleteTest, ADumpThatTheKernelGuaranteesIsBelievedAtOnce) {
  SkippingTable table;
  table.SetFeatures({.stable_dump = true});
  hub_ = SnapshotHub::Create({table, lane_, observers_, clock_}, {});
  for (const char* name : {"a", "s1", "s2", "b"}) {
    ASSERT_OK(table.Create({{.name = name}})[0]);
  }
  Take();
  table.skips = 1;
  const SharedSnapshot snapshot = Take();
  EXPECT_TRUE(snapshot->complete);
  EXPECT_THAT(Names(*snapshot), ElementsAre("a", "b"));
  EXPECT_EQ(table.dumps(), 2);
  hub_.reset();
}

TEST_F(SnapshotCompleteTest, ACompleteDumpThatSkipsManyIsNotBelieved) {
  SkippingTable table;
  hub_ = SnapshotHub::Create({table, lane_, observers_, clock_}, {});
  for (int i = 0; i < 100; ++i) {
    ASSERT_OK(table.Create({{.name = absl::StrCat("s", i)}})[0]);
  }
  Take();
  table.skips = 1;
  const SharedSnapshot snapshot = Take();
  EXPECT_TRUE(snapshot->complete);
  EXPECT_EQ(snapshot->size(), 100u);
  EXPECT_THAT(snapshot->RemovedSince(0), IsEmpty());
  hub_.reset();
}

TEST_F(SnapshotCompleteTest, SkippedInEveryDumpItIsMissingButNotRemoved) {
  SkippingTable table;
  hub_ = SnapshotHub::Create({table, lane_, observers_, clock_}, {});
  for (const char* name : {"a", "s1", "b"}) {
    ASSERT_OK(table.Create({{.name = name}})[0]);
  }
  Take();
  table.skips = 1000;
  const SharedSnapshot snapshot = Take();
  EXPECT_FALSE(snapshot->complete);
  EXPECT_THAT(snapshot->RemovedSince(0), IsEmpty());
  hub_.reset();
}

TEST_F(SnapshotCompleteTest, ManyRemovalsAreConfirmedByASecondDump) {
  Create("c", 100);
  const SharedSnapshot before = Take();
  std::vector<std::string> names;
  for (int i = 0; i < 50; ++i) names.push_back(absl::StrCat("c", i));
  table_.Delete(names);
  const SharedSnapshot after = Take();
  EXPECT_TRUE(after->complete);
  EXPECT_EQ(after->RemovedSince(before->sequence).size(), 50u);
  EXPECT_EQ(Dumps(), 3);
}

TEST_F(SnapshotCompleteTest, OurOwnDeletionsNeedNoSecondLook) {
  Create("c", 100);
  const SharedSnapshot before = Take();
  std::vector<std::string> names;
  for (int i = 0; i < 50; ++i) names.push_back(absl::StrCat("c", i));
  ASSERT_OK(lane_.Run(Lane::Priority::kNormal, [&] {
    table_.Delete(names);
    for (const std::string& name : names) hub_->OnDeleted({{.name = name}});
    return absl::OkStatus();
  }));
  const SharedSnapshot after = Take();
  EXPECT_EQ(after->RemovedSince(before->sequence).size(), 50u);
  EXPECT_EQ(Dumps(), 2);
}

TEST_F(SnapshotCompleteTest, ChangedInIsTheSnapshotAlsoWhenAPassOfItWasVoid) {
  Create("c", 12);
  Take();
  ASSERT_OK(table_.Count("c1", 1, 1));
  ASSERT_OK(table_.Count("c10", 1, 1));
  table_.CutDumps(8, 1);
  const SharedSnapshot second = Take();
  EXPECT_EQ(second->chunks()[0]->changed_in[0], 1u);
  EXPECT_EQ(second->chunks()[0]->changed_in[1], 2u);
  EXPECT_EQ(second->chunks()[0]->changed_in[10], 2u);
}

TEST_F(SnapshotCompleteTest, AReadingThatStartsAgainSaysSoToItsReaders) {
  Create("c", 12);
  table_.CutDumps(8, 1);
  class Recorder : public SnapshotReader {
   public:
    void OnBegin(SharedSnapshot begun) override {
      events += absl::StrCat("B", begun->sequence);
    }
    void OnChunk(std::shared_ptr<const SnapshotChunk> chunk) override {
      events += absl::StrCat("C", chunk->size());
    }
    void OnEnd(absl::StatusOr<SharedSnapshot> snapshot) override {
      events += snapshot.ok() ? "E" : "!";
      done.Notify();
    }
    std::string events;
    absl::Notification done;
  };
  auto recorder = std::make_shared<Recorder>();
  hub_->Read(absl::ZeroDuration(), recorder);
  recorder->done.WaitForNotification();
  EXPECT_EQ(recorder->events, "B1B1C12E");
}

}  // namespace
}  // namespace nfmeter::accounting
