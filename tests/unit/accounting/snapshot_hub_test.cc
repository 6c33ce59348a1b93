#include "accounting/snapshot_hub.h"

#include <errno.h>

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernel/fake/fake_acct_table.h"
#include "tests/support/fake_clock.h"
#include "tests/support/status_matchers.h"

namespace nfmeter::accounting {
namespace {

using ::nfmeter::testing::FakeClock;
using ::nfmeter::testing::HasReason;
using ::nfmeter::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

using SharedSnapshot = std::shared_ptr<const Snapshot>;

std::vector<std::string> Names(const Snapshot& snapshot) {
  std::vector<std::string> names;
  for (const auto& chunk : snapshot.chunks()) {
    for (const uint32_t id : chunk->ids()) {
      names.emplace_back(snapshot.names().KernelName(id));
    }
  }
  return names;
}

std::vector<std::string> NamesOf(const Snapshot& snapshot,
                                 const std::vector<uint32_t>& ids) {
  std::vector<std::string> names;
  for (const uint32_t id : ids) {
    names.emplace_back(snapshot.names().KernelName(id));
  }
  return names;
}

// Collects what it is given, for a test to wait for.
class Inbox : public SnapshotSubscriber {
 public:
  void OnSnapshot(SharedSnapshot snapshot) override {
    absl::MutexLock lock(&mutex_);
    snapshots_.push_back(std::move(snapshot));
  }
  void OnError(const absl::Status& status) override {
    absl::MutexLock lock(&mutex_);
    errors_.push_back(status);
  }

  SharedSnapshot Next() {
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(
        +[](std::deque<SharedSnapshot>* queue) { return !queue->empty(); },
        &snapshots_));
    SharedSnapshot next = snapshots_.front();
    snapshots_.pop_front();
    return next;
  }
  absl::Status NextError() {
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(
        +[](std::deque<absl::Status>* queue) { return !queue->empty(); },
        &errors_));
    absl::Status next = errors_.front();
    errors_.pop_front();
    return next;
  }
  size_t size() {
    absl::MutexLock lock(&mutex_);
    return snapshots_.size();
  }

 private:
  absl::Mutex mutex_;
  std::deque<SharedSnapshot> snapshots_;
  std::deque<absl::Status> errors_;
};

class SnapshotHubTest : public ::testing::Test {
 protected:
  SnapshotHubTest() : table_({.dump_group_size = 4}) { Restart({}); }

  void Restart(const SnapshotHub::Options& options) {
    hub_ = SnapshotHub::Create(table_, lane_, clock_, options);
  }

  void Create(const std::vector<std::string>& names) {
    std::vector<kernel::AcctObject> objects;
    for (const std::string& name : names) objects.push_back({.name = name});
    for (const auto& status : table_.Create(objects)) ASSERT_OK(status);
  }
  void Create(const std::string& prefix, int count) {
    std::vector<std::string> names;
    for (int i = 0; i < count; ++i) names.push_back(absl::StrCat(prefix, i));
    Create(names);
  }

  SharedSnapshot Take(absl::Duration max_staleness = absl::ZeroDuration()) {
    auto snapshot = hub_->Take(max_staleness);
    EXPECT_OK(snapshot);
    return snapshot.ok() ? *snapshot : nullptr;
  }

  int Dumps() const {
    return table_.dumps(kernel::AcctDumpMode::kFast) +
           table_.dumps(kernel::AcctDumpMode::kSentinel);
  }

  kernel::FakeAcctTable table_;
  FakeClock clock_;
  Lane lane_{"lane", 1000};
  std::unique_ptr<SnapshotHub> hub_;
};

// Keeps a lane busy until it is let go.
class Block {
 public:
  explicit Block(Lane& lane) {
    EXPECT_OK(lane.Post(Lane::Priority::kUrgent, [this] {
      running_.Notify();
      release_.WaitForNotification();
    }));
    running_.WaitForNotification();
  }
  void Release() { release_.Notify(); }

 private:
  absl::Notification running_;
  absl::Notification release_;
};

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
  Block block(lane_);
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
  block.Release();
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

TEST_F(SnapshotHubTest, ADumpThatWasCutIsRepeatedWithASentinel) {
  Create("c", 20);
  table_.CutDumps(8, 2);
  const SharedSnapshot snapshot = Take();
  EXPECT_TRUE(snapshot->complete);
  EXPECT_EQ(snapshot->size(), 20u);
  EXPECT_EQ(table_.dumps(kernel::AcctDumpMode::kFast), 1);
  EXPECT_EQ(table_.dumps(kernel::AcctDumpMode::kSentinel), 2);
}

TEST_F(SnapshotHubTest, CutEveryTimeItSaysSoAndNothingCountsAsRemoved) {
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

TEST_F(SnapshotHubTest, AnIncompleteSnapshotIsNotServedAsAStaleOne) {
  Create("c", 20);
  table_.CutDumps(8, 5);
  EXPECT_FALSE(Take()->complete);
  EXPECT_TRUE(Take(absl::Hours(1))->complete);
}

TEST_F(SnapshotHubTest, RowsThatComeBackAfterAnIncompleteSnapshotAreChanged) {
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

TEST_F(SnapshotHubTest, SurvivorsAreInEveryCompleteSnapshotWhileOthersGo) {
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

TEST_F(SnapshotHubTest, ARemovalIsConfirmedByNameAndTold) {
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

// Leaves some objects out of dumps that it calls complete, as the kernel does
// when a new object gets the memory of the deleted one at the cursor.
class SkippingTable : public kernel::FakeAcctTable {
 public:
  absl::StatusOr<kernel::AcctDumpOutcome> Dump(
      kernel::AcctDumpFilter filter, kernel::AcctDumpMode mode,
      absl::FunctionRef<void(absl::Span<const kernel::AcctRecord>)> on_records)
      override {
    const bool skip = skips > 0;
    if (skip) --skips;
    return FakeAcctTable::Dump(
        filter, mode, [&](absl::Span<const kernel::AcctRecord> records) {
          std::vector<kernel::AcctRecord> kept;
          for (const auto& record : records) {
            if (!skip || record.name[0] != 's') kept.push_back(record);
          }
          on_records(kept);
        });
  }
  int skips = 0;
};

TEST_F(SnapshotHubTest, ACompleteDumpThatSkipsAFewIsNotBelieved) {
  SkippingTable table;
  hub_ = SnapshotHub::Create(table, lane_, clock_, {});
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

TEST_F(SnapshotHubTest, ACompleteDumpThatSkipsManyIsNotBelieved) {
  SkippingTable table;
  hub_ = SnapshotHub::Create(table, lane_, clock_, {});
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

TEST_F(SnapshotHubTest, SkippedInEveryDumpItIsMissingButNotRemoved) {
  SkippingTable table;
  hub_ = SnapshotHub::Create(table, lane_, clock_, {});
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

TEST_F(SnapshotHubTest, ManyRemovalsAreConfirmedByASecondDump) {
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

TEST_F(SnapshotHubTest, OurOwnDeletionsNeedNoSecondLook) {
  Create("c", 100);
  const SharedSnapshot before = Take();
  std::vector<std::string> names;
  for (int i = 0; i < 50; ++i) names.push_back(absl::StrCat("c", i));
  ASSERT_OK(lane_.Run(Lane::Priority::kNormal, [&] {
    table_.Delete(names);
    hub_->NoteDeleted(names);
    return absl::OkStatus();
  }));
  const SharedSnapshot after = Take();
  EXPECT_EQ(after->RemovedSince(before->sequence).size(), 50u);
  EXPECT_EQ(Dumps(), 2);
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

TEST_F(SnapshotHubTest, ChangedInTellsWhichSnapshotFirstHadTheValues) {
  Create({"a", "b"});
  Take();
  ASSERT_OK(table_.Count("b", 1, 1));
  Take();
  const SharedSnapshot third = Take();
  EXPECT_THAT(third->chunks()[0]->changed_in, ElementsAre(1, 2));
}

TEST_F(SnapshotHubTest, ChangedInIsTheSnapshotAlsoWhenAPassOfItWasVoid) {
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

TEST_F(SnapshotHubTest, SubscribersGetOneAtOnceAndThenOnEachMultiple) {
  auto inbox = std::make_shared<Inbox>();
  clock_.Advance(absl::Milliseconds(300));
  const auto subscription = hub_->Subscribe(absl::Seconds(2), inbox);
  EXPECT_EQ(inbox->Next()->boottime, absl::Milliseconds(1000'300));
  clock_.AwaitWaiter(absl::Seconds(1002));
  clock_.Advance(absl::Milliseconds(1700));
  EXPECT_EQ(inbox->Next()->boottime, absl::Seconds(1002));
  clock_.AwaitWaiter(absl::Seconds(1004));
  EXPECT_EQ(inbox->size(), 0u);
}

TEST_F(SnapshotHubTest, EqualAndMultipleIntervalsShareReadings) {
  auto every = std::make_shared<Inbox>();
  auto same = std::make_shared<Inbox>();
  auto second = std::make_shared<Inbox>();
  const auto a = hub_->Subscribe(absl::Seconds(1), every);
  every->Next();
  const auto b = hub_->Subscribe(absl::Seconds(1), same);
  same->Next();
  const auto c = hub_->Subscribe(absl::Seconds(2), second);
  second->Next();
  EXPECT_EQ(hub_->subscriber_count(), 3u);
  const int before = Dumps();
  for (int i = 0; i < 2; ++i) {
    clock_.AwaitWaiter(absl::Seconds(1001 + i));
    clock_.Advance(absl::Seconds(1));
    const SharedSnapshot snapshot = every->Next();
    EXPECT_EQ(same->Next(), snapshot);
    if (i == 1) {
      EXPECT_EQ(second->Next(), snapshot);
    }
  }
  EXPECT_EQ(Dumps(), before + 2);
}

TEST_F(SnapshotHubTest, IntervalsBelowTheFloorAreRaisedToIt) {
  Restart({.min_interval = absl::Seconds(1)});
  auto inbox = std::make_shared<Inbox>();
  const auto subscription = hub_->Subscribe(absl::Milliseconds(1), inbox);
  inbox->Next();
  clock_.AwaitWaiter(absl::Seconds(1001));
}

TEST_F(SnapshotHubTest, ReadsNothingWhenNobodyWantsAny) {
  auto inbox = std::make_shared<Inbox>();
  auto subscription = hub_->Subscribe(absl::Seconds(1), inbox);
  inbox->Next();
  subscription.reset();
  EXPECT_EQ(hub_->subscriber_count(), 0u);
  const int before = Dumps();
  clock_.Advance(absl::Seconds(1));
  clock_.AwaitWaiter(absl::InfiniteDuration());
  // What the tick might have queued is before this.
  ASSERT_OK(
      lane_.Run(Lane::Priority::kNormal, [] { return absl::OkStatus(); }));
  EXPECT_EQ(Dumps(), before);
}

TEST_F(SnapshotHubTest, TicksThatNoSubscriberWantsAreNotRead) {
  class Choosy final : public Inbox {
    bool Wants(absl::Duration boottime) override {
      return boottime != absl::Seconds(1001);
    }
  };
  auto inbox = std::make_shared<Choosy>();
  const auto subscription = hub_->Subscribe(absl::Seconds(1), inbox);
  EXPECT_EQ(inbox->Next()->sequence, 1u);
  for (int second : {1001, 1002}) {
    clock_.AwaitWaiter(absl::Seconds(second));
    clock_.Advance(absl::Seconds(1));
  }
  const SharedSnapshot next = inbox->Next();
  EXPECT_EQ(next->boottime, absl::Seconds(1002));
  EXPECT_EQ(next->sequence, 2u);
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

TEST_F(SnapshotHubTest, TicksThatPassWhileTheLaneIsBusyBecomeOneReading) {
  auto inbox = std::make_shared<Inbox>();
  const auto subscription = hub_->Subscribe(absl::Seconds(1), inbox);
  inbox->Next();
  clock_.AwaitWaiter(absl::Seconds(1001));
  const int before = Dumps();
  Block block(lane_);
  for (int i = 1; i <= 5; ++i) {
    clock_.Advance(absl::Seconds(1));
    clock_.AwaitWaiter(absl::Seconds(1001 + i));
  }
  block.Release();
  EXPECT_EQ(inbox->Next()->boottime, absl::Seconds(1005));
  EXPECT_EQ(Dumps(), before + 1);
}

TEST_F(SnapshotHubTest, AFailedReadingIsToldAndTheNextOneComes) {
  auto inbox = std::make_shared<Inbox>();
  const auto subscription = hub_->Subscribe(absl::Seconds(1), inbox);
  inbox->Next();
  clock_.AwaitWaiter(absl::Seconds(1001));
  table_.InjectErrno(kernel::Operation::kAcctDump, EPERM);
  clock_.Advance(absl::Seconds(1));
  EXPECT_THAT(inbox->NextError(),
              StatusIs(absl::StatusCode::kPermissionDenied));
  clock_.AwaitWaiter(absl::Seconds(1002));
  clock_.Advance(absl::Seconds(1));
  EXPECT_EQ(inbox->Next()->sequence, 2u);
}

TEST_F(SnapshotHubTest, AFullLaneIsAnErrorForEverybodyWhoWaits) {
  Lane narrow("narrow", 1);
  auto hub = SnapshotHub::Create(table_, narrow, clock_, {});
  Block block(narrow);
  ASSERT_OK(narrow.Post(Lane::Priority::kNormal, [] {}));
  EXPECT_THAT(hub->Take(absl::ZeroDuration()), HasReason("LANE_FULL"));
  auto inbox = std::make_shared<Inbox>();
  const auto subscription = hub->Subscribe(absl::Seconds(1), inbox);
  EXPECT_THAT(inbox->NextError(), HasReason("LANE_FULL"));
  block.Release();
}

TEST_F(SnapshotHubTest, AReadingThatStartsAgainSaysSoToItsReaders) {
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
  EXPECT_EQ(recorder->events, "B1C8B1C12E");
}

}  // namespace
}  // namespace nfmeter::accounting
