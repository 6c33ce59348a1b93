// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/ledger/recoverable_store.h"

#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "gmock/gmock.h"
#include "tests/support/fake_clock.h"
#include "tests/support/sqlite_faults.h"
#include "tests/support/status_matchers.h"
#include "tests/support/subprocess.h"

namespace nfmeter::accounting {
namespace {

using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class RecoverableStoreTest : public ::testing::Test {
 protected:
  RecoverableStoreTest() { Open(); }

  std::string path() const { return dir_ / "ledger.db"; }
  void Open() {
    store_.reset();
    auto opened = RecoverableStore::Open(
        {path(), faults_.name(), {"machine", "boot", 1}}, clock_);
    ASSERT_OK(opened);
    store_ = std::move(opened->store);
    past_ = std::move(opened->past);
  }
  // A record of so many packets in account 1, with which `over` are stored.
  // All that came back in buckets.
  void ExpectOneRowOf(const Amount& sum) {
    ASSERT_THAT(past_.buckets, SizeIs(1));
    const Bucket& bucket = past_.buckets[past_.last_bucket];
    ASSERT_THAT(bucket.rows, SizeIs(1));
    EXPECT_EQ(bucket.rows[0].sum, sum);
  }
  absl::Status Append(uint64_t packets, const Buckets& over = {}) {
    LedgerCommit commit;
    BookChanges changes;
    commit.time = clock_.WallTime();
    commit.next_account = 2;
    commit.changes = &changes;
    commit.record.rows = {{1, {packets, 100 * packets}}};
    commit.five_minutes = over;
    if (store_->checkpoint_due()) commit.checkpoint.emplace();
    return store_->Append(commit, {});
  }
  void Damage() {
    store_.reset();
    std::ofstream(path(), std::ios::in) << "this is no database any more";
  }

  testing::TemporaryDirectory dir_;
  testing::SqliteFaults faults_;
  testing::FakeClock clock_;
  std::unique_ptr<RecoverableStore> store_;
  LedgerPast past_;
};

TEST_F(RecoverableStoreTest, ANewFileHasNoPast) {
  EXPECT_FALSE(past_.book.has_value());
  EXPECT_THAT(past_.gaps, IsEmpty());
  EXPECT_TRUE(store_->state().opened);
  EXPECT_TRUE(store_->checkpoint_due());
}

TEST_F(RecoverableStoreTest, RecordsThatNoBucketHasComeBackAsBuckets) {
  ASSERT_OK(Append(3));
  ASSERT_OK(Append(4));
  EXPECT_FALSE(store_->checkpoint_due());
  Open();
  EXPECT_TRUE(past_.book.has_value());
  EXPECT_EQ(store_->state().sequence, 2u);
  ExpectOneRowOf({7, 700});
}

TEST_F(RecoverableStoreTest, RecordsThatBucketsHoldDoNotComeBack) {
  ASSERT_OK(Append(3));
  Buckets over;
  over[BucketOf(clock_.WallTime())].rows = {{.account = 1, .sum = {7, 700}}};
  ASSERT_OK(Append(4, over));
  ASSERT_OK(Append(5));
  Open();
  ExpectOneRowOf({5, 500});
}

TEST_F(RecoverableStoreTest, RecordsAreNotForgottenBeforeBucketsHoldThem) {
  ASSERT_OK(Append(3));
  ASSERT_OK(Append(4));
  clock_.Advance(Retention().records + absl::Hours(1));
  auto forgotten = store_->Forget({}, clock_.WallTime(), std::nullopt);
  ASSERT_OK(forgotten);
  EXPECT_EQ(forgotten->records, 0u);
  Buckets over;
  over[BucketOf(clock_.WallTime())].rows = {{.account = 1, .sum = {12, 1200}}};
  ASSERT_OK(Append(5, over));
  forgotten = store_->Forget({}, clock_.WallTime(), std::nullopt);
  ASSERT_OK(forgotten);
  EXPECT_GT(forgotten->records, 0u);
}

TEST_F(RecoverableStoreTest, AFileThatIsDamagedAtAStartIsPutAside) {
  ASSERT_OK(Append(3));
  const uint64_t epoch = store_->state().epoch;
  Damage();
  Open();
  EXPECT_FALSE(past_.book.has_value());
  EXPECT_THAT(past_.gaps,
              ElementsAre(Field(&Gap::cause, GapCause::kStoreLost)));
  const RecoverableStore::State state = store_->state();
  EXPECT_NE(state.epoch, epoch);
  EXPECT_TRUE(std::filesystem::exists(state.damaged_file));
  EXPECT_FALSE(store_->awaits_new_file());
  EXPECT_OK(Append(1));
}

TEST_F(RecoverableStoreTest, AFileThatIsDamagedWhileItIsUsedIsReplaced) {
  ASSERT_OK(Append(3));
  const RecoverableStore::State before = store_->state();
  faults_.FailWrites(testing::SqliteFaults::kCorrupt);
  EXPECT_TRUE(absl::IsDataLoss(Append(1)));
  EXPECT_TRUE(store_->damaged());
  EXPECT_FALSE(store_->BeginAnew().ok());
  EXPECT_TRUE(store_->damaged());
  EXPECT_TRUE(store_->awaits_new_file());
  EXPECT_FALSE(store_->state().opened);
  EXPECT_THAT(Append(1), testing::HasReason("LEDGER_FAILED"));
  faults_.Mend();
  ASSERT_OK(store_->BeginAnew());
  EXPECT_FALSE(store_->damaged());
  const RecoverableStore::State after = store_->state();
  EXPECT_EQ(after.node_id, before.node_id);
  EXPECT_NE(after.epoch, before.epoch);
  EXPECT_THAT(after.damaged_file, HasSubstr("ledger.db.damaged-"));
  EXPECT_OK(Append(1));
  EXPECT_EQ(store_->state().sequence, 1u);
}

TEST_F(RecoverableStoreTest, AFullDiskIsNoDamage) {
  faults_.FailWrites(testing::SqliteFaults::kFull);
  EXPECT_TRUE(absl::IsUnavailable(Append(1)));
  EXPECT_FALSE(store_->damaged());
  faults_.Mend();
  EXPECT_OK(Append(1));
}

}  // namespace
}  // namespace nfmeter::accounting
