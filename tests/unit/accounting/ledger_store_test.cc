// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/ledger/ledger_store.h"

#include <stdlib.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "accounting/ledger/schema.h"
#include "base/error.h"
#include "gmock/gmock.h"
#include "tests/support/sqlite_faults.h"
#include "tests/support/status_matchers.h"
#include "tests/support/subprocess.h"

namespace nfmeter::accounting {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class LedgerStoreTest : public ::testing::Test {
 protected:
  LedgerStoreTest() { Open(); }

  std::string path() const { return dir_ / "ledger.db"; }
  absl::Status TryOpen() {
    store_.reset();
    sqlite::Options options = LedgerFile(path());
    options.vfs = faults_.name();
    auto opened = LedgerStore::Open(std::move(options), host_);
    if (!opened.ok()) return opened.status();
    store_ = *std::move(opened);
    return absl::OkStatus();
  }
  void Open() { ASSERT_OK(TryOpen()); }

  // Counts so many packets, of 100 bytes, into account 1.
  void Count(uint64_t packets) {
    total_ += Amount{packets, 100 * packets};
    changes_.totals = {{1, total_, {packets, 100 * packets}}};
    commit_.record.rows = {{1, {packets, 100 * packets}}};
  }
  absl::StatusOr<uint64_t> Append() {
    now_ += absl::Seconds(10);
    commit_.time = now_;
    commit_.changes = &changes_;
    commit_.next_account = 2;
    changes_.reading = {now_, absl::ZeroDuration()};
    auto sequence = store_->Append(commit_, {});
    if (sequence.ok()) {
      commit_ = LedgerCommit();
      changes_ = BookChanges();
    }
    return sequence;
  }
  void OpenAccount() {
    changes_.accounts = {{.id = 1,
                          .name = std::string("a\xff", 2),
                          .create_time = now_,
                          .start_time = now_}};
  }
  Book::Past Past() {
    auto past = store_->LoadPast();
    EXPECT_OK(past);
    return past.ok() ? *std::move(past) : Book::Past();
  }

  testing::TemporaryDirectory dir_;
  testing::SqliteFaults faults_;
  HostIdentity host_ = {"machine", "boot", 7};
  absl::Time now_ = absl::FromUnixSeconds(1'800'000'000);
  Amount total_;
  BookChanges changes_;
  LedgerCommit commit_;
  std::unique_ptr<LedgerStore> store_;
};

TEST_F(LedgerStoreTest, WhatWasAppendedIsThereAgain) {
  OpenAccount();
  Count(5);
  ASSERT_OK(Append());
  Count(7);
  changes_.gaps = {{1, GapCause::kForeignReset, now_, now_ + absl::Seconds(1)}};
  ASSERT_OK(Append());
  const std::string node = store_->node_id();
  const uint64_t epoch = store_->epoch();
  Open();
  EXPECT_EQ(store_->node_id(), node);
  EXPECT_EQ(store_->epoch(), epoch);
  EXPECT_EQ(store_->sequence(), 2u);
  const Book::Past past = Past();
  ASSERT_THAT(past.accounts, SizeIs(1));
  EXPECT_EQ(past.accounts[0].account.name, std::string("a\xff", 2));
  EXPECT_EQ(past.accounts[0].total, (Amount{12, 1200}));
  EXPECT_EQ(past.last_reading, now_);
  EXPECT_EQ(past.next_id, 2u);
  EXPECT_TRUE(past.same_boot);
  EXPECT_TRUE(past.same_namespace);
}

TEST_F(LedgerStoreTest, TotalsGoOnFromACheckpoint) {
  OpenAccount();
  Count(5);
  commit_.checkpoint = {{{1, total_}}};
  ASSERT_OK(Append());
  EXPECT_EQ(store_->bytes_since_checkpoint(), 0u);
  Count(2);
  ASSERT_OK(Append());
  Open();
  EXPECT_EQ(Past().accounts[0].total, (Amount{7, 700}));
}

TEST_F(LedgerStoreTest, WhatCouldNotBeWrittenCanBeTriedAgain) {
  OpenAccount();
  Count(5);
  faults_.FailWrites(testing::SqliteFaults::kFull);
  const auto failed = Append();
  EXPECT_TRUE(absl::IsUnavailable(failed.status()));
  EXPECT_THAT(std::string(failed.status().message()),
              HasSubstr("disk is full"));
  faults_.Mend();
  EXPECT_EQ(*Append(), 1u);
  Open();
  EXPECT_EQ(Past().accounts[0].total, (Amount{5, 500}));
}

TEST_F(LedgerStoreTest, AnotherBootAndAnotherNamespaceAreNoticed) {
  ASSERT_OK(Append());
  host_.boot_id = "another";
  Open();
  EXPECT_FALSE(Past().same_boot);
  host_.network_namespace = 8;
  Open();
  EXPECT_FALSE(Past().same_namespace);
  ASSERT_OK(Append());
  EXPECT_TRUE(Past().same_boot);
}

TEST_F(LedgerStoreTest, ACopyOnAnotherMachineIsRefused) {
  host_.machine_id = "another";
  const absl::Status refused = TryOpen();
  EXPECT_EQ(GetErrorDetails(refused).reason, "LEDGER_OF_ANOTHER_NODE");
  EXPECT_THAT(std::string(refused.message()), HasSubstr(path()));
  host_.machine_id = "machine";
  ASSERT_OK(TryOpen());
  // A container has none, and can't tell.
  host_.machine_id = "";
  ASSERT_OK(TryOpen());
}

TEST_F(LedgerStoreTest, IntentsStayUntilARecordTellsOfThem) {
  OpenAccount();
  ASSERT_OK(Append());
  ASSERT_OK(store_->Announce({{{1, false, {5, 500}, now_}}}));
  ASSERT_OK(Append());
  Open();
  const Book::Past past = Past();
  ASSERT_THAT(past.intents, SizeIs(1));
  EXPECT_EQ(past.intents[0].value, (Amount{5, 500}));
  changes_.settled = {1};
  ASSERT_OK(Append());
  EXPECT_THAT(Past().intents, IsEmpty());
}

TEST_F(LedgerStoreTest, ConsumersAreKept) {
  Consumers::Changes changes = {
      .put = {{.name = "billing", .owner = "me", .sequence = 3}}};
  commit_.changes = &changes_;
  ASSERT_OK(store_->Append(commit_, changes));
  Open();
  EXPECT_THAT(*store_->LoadConsumers(), ElementsAre(changes.put[0]));
  ASSERT_OK(store_->Append(commit_, {.removed = {"billing"}}));
  EXPECT_THAT(*store_->LoadConsumers(), IsEmpty());
}

TEST_F(LedgerStoreTest, ConsumersAloneAreNoRecord) {
  const Consumers::Changes changes = {.put = {{.name = "billing"}}};
  ASSERT_OK(store_->StoreConsumers(changes));
  EXPECT_EQ(store_->sequence(), 0u);
  Open();
  EXPECT_EQ(store_->sequence(), 0u);
  EXPECT_THAT(*store_->LoadConsumers(), ElementsAre(changes.put[0]));
}

class LedgerRetentionTest : public LedgerStoreTest {
 protected:
  // Ten records with a checkpoint at each second one.
  void AppendTen() {
    OpenAccount();
    for (int i = 1; i <= 10; ++i) {
      Count(1);
      if (i % 2 == 0) commit_.checkpoint = {{{1, total_}}};
      commit_.five_minutes[BucketOf(now_)].rows = {{1, {1, 100}, {1, 100}}};
      ASSERT_OK(Append());
    }
  }
  std::vector<absl::Time> Kept() {
    std::vector<absl::Time> times;
    EXPECT_OK(store_->ForEachRecordAfter(
        0, [&](absl::Time time, const Record&) { times.push_back(time); }));
    return times;
  }
};

TEST_F(LedgerRetentionTest, OldRecordsGoUpToACheckpoint) {
  AppendTen();
  const auto forgotten =
      store_->Forget({.records = absl::Seconds(45)}, now_, std::nullopt);
  ASSERT_OK(forgotten);
  EXPECT_EQ(forgotten->records, 4u);
  EXPECT_THAT(Kept(), SizeIs(6));
  Open();
  EXPECT_EQ(Past().accounts[0].total, (Amount{10, 1000}));
}

TEST_F(LedgerRetentionTest, RecordsGoBeyondTheirBytes) {
  AppendTen();
  const uint64_t before = store_->record_bytes();
  ASSERT_OK(store_->Forget({.record_bytes = before / 2}, now_, std::nullopt));
  EXPECT_LE(store_->record_bytes(), before / 2 + before / 5);
  EXPECT_LT(store_->record_bytes(), before);
}

TEST_F(LedgerRetentionTest, WhatAConsumerHasNotAcknowledgedStays) {
  AppendTen();
  auto forgotten =
      store_->Forget({.records = absl::Seconds(45)}, now_, uint64_t{3});
  EXPECT_EQ(forgotten->records, 2u);
  EXPECT_FALSE(forgotten->unacknowledged);
  // Up to the hard bound.
  forgotten = store_->Forget(
      {.records = absl::Seconds(45), .record_bytes = 0, .hard_record_bytes = 1},
      now_, uint64_t{3});
  EXPECT_TRUE(forgotten->unacknowledged);
  EXPECT_EQ(Past().accounts[0].total, (Amount{10, 1000}));
}

// --- Damage -----------------------------------------------------------------

// The write-ahead log is cut at each byte, as a power loss may do: what is left
// is the ledger up to some record, and all of it.
TEST_F(LedgerStoreTest, ATornTailLosesWholeRecordsOnly) {
  OpenAccount();
  Count(1);
  ASSERT_OK(Append());
  for (int i = 0; i < 3; ++i) {
    Count(10);
    ASSERT_OK(Append());
  }
  // In memory, where nobody waits for a disk.
  char folder[] = "/dev/shm/nfmeter-torn-XXXXXX";
  ASSERT_NE(mkdtemp(folder), nullptr);
  const std::string copy = absl::StrCat(folder, "/copy.db");
  const auto wal = std::filesystem::file_size(path() + "-wal");
  uint64_t least = 4;
  // A header of 32 bytes, then frames: 24 bytes and a page of 4,096. Each byte
  // around the headers, and the last ones; some of the pages.
  const auto step = [&](uintmax_t size) -> uintmax_t {
    const uintmax_t in_frame = size < 32 ? 0 : (size - 32) % 4120;
    return in_frame < 26 || size + 30 > wal
               ? 1
               : std::min<uintmax_t>(331, wal - 30 - size + 1);
  };
  for (uintmax_t size = 0; size <= wal; size += step(size)) {
    std::filesystem::copy_file(
        path(), copy, std::filesystem::copy_options::overwrite_existing);
    std::filesystem::copy_file(
        path() + "-wal", copy + "-wal",
        std::filesystem::copy_options::overwrite_existing);
    std::filesystem::resize_file(copy + "-wal", size);
    auto torn = LedgerStore::Open(LedgerFile(copy), host_);
    ASSERT_OK(torn) << size;
    const auto past = (*torn)->LoadPast();
    ASSERT_OK(past) << size;
    const uint64_t sequence = (*torn)->sequence();
    least = std::min(least, sequence);
    if (sequence == 0) {
      EXPECT_THAT(past->accounts, IsEmpty());
    } else {
      ASSERT_THAT(past->accounts, SizeIs(1));
      EXPECT_EQ(past->accounts[0].total.packets, 1 + 10 * (sequence - 1));
    }
    if (size == wal) {
      EXPECT_EQ(sequence, 4u);
    }
  }
  EXPECT_LT(least, 4u);
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace nfmeter::accounting
