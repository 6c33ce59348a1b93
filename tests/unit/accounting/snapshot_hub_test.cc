// SPDX-License-Identifier: GPL-3.0-or-later
// What is in snapshots, and which callers share a reading.
#include <errno.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "gmock/gmock.h"
#include "tests/support/busy_lane.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/accounting/snapshot_hub_fixture.h"

namespace nfmeter::accounting {
namespace {

using ::nfmeter::testing::BusyLane;
using ::nfmeter::testing::HasReason;
using ::nfmeter::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

using SnapshotHubTest = SnapshotHubFixture;

TEST_F(SnapshotHubTest, HasAllCountersInTheKernelsOrderWithTheirValues) {
  Create({"b", "a", "c"});
  ASSERT_OK(table_.Count("a", 3, 300));
  const SharedSnapshot snapshot = Take();
  EXPECT_TRUE(snapshot->complete);
  EXPECT_THAT(Names(*snapshot), ElementsAre("b", "a", "c"));
  EXPECT_EQ(snapshot->size(), 3u);
  EXPECT_EQ(snapshot->wall_time, clock_.WallTime());
  EXPECT_EQ(snapshot->boottime, clock_.BootTime());
  ASSERT_TRUE(snapshot->Find("a").has_value());
  EXPECT_EQ(snapshot->Find("a")->packets, 3u);
  EXPECT_EQ(snapshot->Find("a")->bytes, 300u);
  EXPECT_FALSE(snapshot->Find("d").has_value());
  EXPECT_EQ(snapshot->SortedByName().front().name, "a");
  EXPECT_EQ(snapshot->SortedByName().back().name, "c");
}

TEST_F(SnapshotHubTest, AnEmptyKernelGivesAnEmptyCompleteSnapshot) {
  const SharedSnapshot snapshot = Take();
  EXPECT_TRUE(snapshot->complete);
  EXPECT_EQ(snapshot->size(), 0u);
  EXPECT_TRUE(snapshot->chunks().empty());
}

TEST_F(SnapshotHubTest, KeepsQuotasAndUseCounts) {
  ASSERT_OK(table_.Create({{.name = "free"},
                           {.name = "capped",
                            .quota = kernel::QuotaLimit{
                                kernel::QuotaLimit::Unit::kBytes, 100}}})[0]);
  ASSERT_OK(table_.AddReference("free"));
  ASSERT_OK(table_.Count("capped", 1, 100));
  const SharedSnapshot snapshot = Take();
  EXPECT_EQ(snapshot->Find("free")->use_count, 1u);
  EXPECT_FALSE(snapshot->Find("free")->quota.has_value());
  EXPECT_EQ(*snapshot->Find("capped"), *table_.Get("capped"));
  EXPECT_TRUE(snapshot->Find("capped")->quota_exceeded);
}

TEST_F(SnapshotHubTest, SequencesCountFromOneWithoutGapsEvenAfterFailures) {
  Create({"a"});
  EXPECT_EQ(Take()->sequence, 1u);
  EXPECT_EQ(Take()->sequence, 2u);
  table_.InjectErrno(kernel::Operation::kAcctDump, ENOMEM);
  EXPECT_THAT(hub_->Take(absl::ZeroDuration()),
              StatusIs(absl::StatusCode::kResourceExhausted));
  table_.CutDumps(0, 1);
  EXPECT_EQ(Take()->sequence, 3u);
  EXPECT_EQ(Take()->epoch, hub_->epoch());
}

TEST_F(SnapshotHubTest, EachHubHasAnEpochOfItsOwn) {
  const uint64_t first = hub_->epoch();
  Restart({});
  EXPECT_NE(hub_->epoch(), first);
  EXPECT_NE(hub_->epoch(), 0u);
}

TEST_F(SnapshotHubTest, ReadingsAskedForWhileOneWaitsShareIt) {
  Create({"a"});
  BusyLane busy(lane_);
  class Counting : public SnapshotReader {
   public:
    void OnBegin(SharedSnapshot) override {}
    void OnChunk(std::shared_ptr<const SnapshotChunk>) override {}
    void OnEnd(absl::StatusOr<SharedSnapshot> snapshot) override {
      result = *snapshot;
      done.Notify();
    }
    SharedSnapshot result;
    absl::Notification done;
  };
  std::vector<std::shared_ptr<Counting>> readers;
  for (int i = 0; i < 8; ++i) {
    readers.push_back(std::make_shared<Counting>());
    hub_->Read(absl::ZeroDuration(), readers.back());
  }
  busy.Release();
  for (const auto& reader : readers) reader->done.WaitForNotification();
  for (const auto& reader : readers) {
    EXPECT_EQ(reader->result, readers[0]->result);
  }
  EXPECT_EQ(Dumps(), 1);
}

TEST_F(SnapshotHubTest, StalenessIsServedFromTheLastSnapshotAndNoLonger) {
  Create({"a"});
  const SharedSnapshot first = Take();
  clock_.Advance(absl::Seconds(5));
  EXPECT_EQ(Take(absl::Seconds(5)), first);
  EXPECT_NE(Take(absl::Seconds(4.9)), first);
  EXPECT_EQ(Dumps(), 2);
}

TEST_F(SnapshotHubTest, WallClockJumpsDoNotMatterForStaleness) {
  const SharedSnapshot first = Take();
  clock_.JumpWallTime(absl::Hours(-24));
  EXPECT_EQ(Take(absl::Seconds(1)), first);
  clock_.JumpWallTime(absl::Hours(48));
  EXPECT_EQ(Take(absl::Seconds(1)), first);
}

TEST_F(SnapshotHubTest, ACounterMadeAnewKeepsItsIdAndIsNotGoneAnyMore) {
  Create({"a", "b"});
  const uint32_t id = *Take()->names().Find("a");
  table_.Delete({"a"});
  const SharedSnapshot without = Take();
  Create({"a"});
  const SharedSnapshot with = Take();
  EXPECT_EQ(*with->names().Find("a"), id);
  EXPECT_THAT(with->RemovedSince(0), IsEmpty());
  EXPECT_THAT(with->AddedSince(without->sequence), ElementsAre(id));
  // Snapshots that were handed out before do not change.
  EXPECT_THAT(without->RemovedSince(0), ElementsAre(id));
}

TEST_F(SnapshotHubTest, ACounterMadeAnewDuringAReadingIsInItOnce) {
  Create("c", 8);
  bool made_anew = false;
  table_.SetDumpHook([&](size_t records) {
    if (records < 4 || std::exchange(made_anew, true)) return;
    table_.Delete({"c0"});
    Create({"c0"});
  });
  const SharedSnapshot snapshot = Take();
  ASSERT_NE(snapshot, nullptr);
  EXPECT_TRUE(made_anew);
  EXPECT_TRUE(snapshot->complete);
  EXPECT_THAT(Names(*snapshot),
              ElementsAre("c0", "c1", "c2", "c3", "c4", "c5", "c6", "c7"));
}

TEST_F(SnapshotHubTest, ChangedInTellsWhichSnapshotFirstHadTheValues) {
  Create({"a", "b"});
  Take();
  ASSERT_OK(table_.Count("b", 1, 1));
  Take();
  const SharedSnapshot third = Take();
  EXPECT_THAT(third->chunks()[0]->changed_in, ElementsAre(1, 2));
}

TEST_F(SnapshotHubTest, AdditionsAreKnownSinceAnySequence) {
  Create({"a"});
  Take();
  Create({"b"});
  Take();
  Take();
  Create({"c"});
  const SharedSnapshot last = Take();
  EXPECT_THAT(NamesOf(*last, last->AddedSince(0)), ElementsAre("a", "b", "c"));
  EXPECT_THAT(NamesOf(*last, last->AddedSince(1)), ElementsAre("b", "c"));
  EXPECT_THAT(NamesOf(*last, last->AddedSince(3)), ElementsAre("c"));
  EXPECT_EQ(last->LastAddition(3), 2u);
  EXPECT_EQ(last->LastAddition(4), 4u);
}

TEST_F(SnapshotHubTest, LargeSnapshotsComeInFullChunksAndOneRest) {
  Create("c", kSnapshotChunkRows * 2 + 1);
  const SharedSnapshot snapshot = Take();
  ASSERT_EQ(snapshot->chunks().size(), 3u);
  EXPECT_EQ(snapshot->chunks()[0]->size(), kSnapshotChunkRows);
  EXPECT_EQ(snapshot->chunks()[1]->size(), kSnapshotChunkRows);
  EXPECT_EQ(snapshot->chunks()[2]->size(), 1u);
}

TEST_F(SnapshotHubTest, MoreCountersThanTheBoundAreRefusedWithTheBound) {
  Create("c", 11);
  Restart({.max_counters = 10});
  const auto snapshot = hub_->Take(absl::ZeroDuration());
  EXPECT_THAT(snapshot, StatusIs(absl::StatusCode::kResourceExhausted,
                                 ::testing::HasSubstr("10")));
  EXPECT_THAT(snapshot, HasReason("TOO_MANY_COUNTERS"));
  table_.Delete({"c0"});
  EXPECT_EQ(Take()->size(), 10u);
}

TEST_F(SnapshotHubTest, NamesThatComeAndGoEndTheEpochInsteadOfFillingMemory) {
  Restart({.max_counters = 10, .max_names = 20});
  const uint64_t first_epoch = hub_->epoch();
  Create({"stays"});
  const SharedSnapshot old = Take();
  for (int i = 0; i < 100; ++i) {
    Create({absl::StrCat("c", i)});
    Take();
    table_.Delete({absl::StrCat("c", i)});
  }
  const SharedSnapshot now = Take();
  EXPECT_NE(now->epoch, first_epoch);
  EXPECT_LT(now->sequence, 100u);
  EXPECT_THAT(Names(*now), ElementsAre("stays"));
  EXPECT_THAT(Names(*old), ElementsAre("stays"));
}

TEST_F(SnapshotHubTest, ForeignNamesAreShownEscaped) {
  Create({std::string("we\xffird \n\\")});
  const SharedSnapshot snapshot = Take();
  EXPECT_EQ(snapshot->names().Shown(0), "we\\xffird\\x20\\x0a\\x5c");
  EXPECT_TRUE(snapshot->Find("we\xffird \n\\").has_value());
}

TEST_F(SnapshotHubTest, ChunksShareTheirMembersWhileNoneComesOrGoes) {
  Create("c", 3 * kSnapshotChunkRows / 2);
  const SharedSnapshot first = Take();
  ASSERT_OK(table_.Count("c1", 1, 1));
  const SharedSnapshot second = Take();
  ASSERT_EQ(second->chunks().size(), 2u);
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(second->chunks()[i]->members, first->chunks()[i]->members);
  }
  table_.Delete({absl::StrCat("c", kSnapshotChunkRows)});
  const SharedSnapshot third = Take();
  EXPECT_EQ(third->chunks()[0]->members, first->chunks()[0]->members);
  EXPECT_NE(third->chunks()[1]->members, first->chunks()[1]->members);
  EXPECT_EQ(first->chunks()[1]->ids().front(), kSnapshotChunkRows);
  EXPECT_EQ(third->chunks()[1]->ids().front(), kSnapshotChunkRows + 1);
}

}  // namespace
}  // namespace nfmeter::accounting
