// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/ledger/ledger.h"

#include <stdio.h>

#include <atomic>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "accounting/ledger/ledger_reader.h"
#include "gmock/gmock.h"
#include "kernel/fake/fake_acct_table.h"
#include "tests/support/fake_clock.h"
#include "tests/support/sqlite_faults.h"
#include "tests/support/status_matchers.h"
#include "tests/support/subprocess.h"

namespace nfmeter::accounting {
namespace {

using ::nfmeter::testing::FakeClock;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

// A ledger over a fake kernel, used as the server does it.
class LedgerFixture {
 protected:
  LedgerFixture(bool kept, const SnapshotHub::Options& options)
      : kept_(kept), options_(options) {
    Open();
  }
  ~LedgerFixture() { Close(); }

  void Open() {
    Ledger::Options options = {.host = host_};
    options.on_writable = [this](const absl::Status& status) {
      told_writable_ = status.ok();
    };
    if (kept_) {
      options.path = dir_ / "ledger.db";
      options.vfs = faults_.name();
    }
    auto ledger = Ledger::Create(std::move(options), clock_);
    ASSERT_OK(ledger);
    ledger_ = *std::move(ledger);
    observers_ = std::make_unique<CounterObservers>();
    lane_ = std::make_unique<Lane>("counters", 64);
    hub_ = SnapshotHub::Create({table_, *lane_, *observers_, clock_}, options_);
    observers_->Add(*hub_);
    observers_->Add(*ledger_);
    ledger_->Start(hub_.get(), [this](absl::string_view name) {
      const auto found = labels_.find(std::string(name));
      return found == labels_.end() ? Labels() : found->second;
    });
  }
  void Close() {
    ledger_->Stop();
    hub_.reset();
    lane_.reset();
    ledger_.reset();
  }

  void Create(const std::string& name) {
    ASSERT_OK(table_.Create({{.name = name}})[0]);
  }
  void Reset(const std::string& name) {
    const auto before = table_.Get(name);
    ASSERT_OK(before);
    ASSERT_OK(observers_->BeforeReset({*before}));
    ASSERT_OK(lane_->Run(Lane::Priority::kNormal, [&] {
      const auto objects = table_.GetAndReset({name});
      if (!objects[0].ok()) return objects[0].status();
      observers_->OnReset({*objects[0]});
      return absl::OkStatus();
    }));
    ASSERT_OK(observers_->Commit());
  }
  void Delete(const std::string& name) {
    const auto before = table_.Get(name);
    ASSERT_OK(before);
    ASSERT_OK(observers_->BeforeDeletion({*before}));
    ASSERT_OK(lane_->Run(Lane::Priority::kNormal, [&] {
      const absl::Status deleted = table_.Delete({name})[0];
      observers_->OnDeleted({*before});
      return deleted;
    }));
    ASSERT_OK(observers_->Commit());
  }
  // As somebody else does it.
  void ResetByOthers(const std::string& name) {
    ASSERT_OK(table_.GetAndReset({name})[0]);
  }
  void Count(const std::string& name, uint64_t packets) {
    ASSERT_OK(table_.Count(name, packets, 100 * packets));
  }

  // Packets by name; checks that bytes are a hundred times as many.
  std::map<std::string, uint64_t> Read(
      absl::Duration staleness = absl::ZeroDuration()) {
    const auto read = ledger_->Take(staleness);
    EXPECT_OK(read);
    std::map<std::string, uint64_t> packets;
    if (!read.ok()) return packets;
    size_t row = 0;
    for (const auto& chunk : (*read)->snapshot->chunks()) {
      for (const uint32_t id : chunk->ids()) {
        const std::string name((*read)->snapshot->names().KernelName(id));
        packets[name] = (*read)->amounts[row].packets;
        EXPECT_EQ((*read)->amounts[row].bytes, 100 * packets[name]);
        ++row;
      }
    }
    return packets;
  }

  const bool kept_;
  const SnapshotHub::Options options_;
  testing::TemporaryDirectory dir_;
  testing::SqliteFaults faults_;
  HostIdentity host_ = {"machine", "boot", 1};
  FakeClock clock_;
  kernel::FakeAcctTable table_;
  std::map<std::string, Labels> labels_;
  std::atomic<bool> told_writable_ = true;
  std::unique_ptr<Ledger> ledger_;
  std::unique_ptr<CounterObservers> observers_;
  std::unique_ptr<Lane> lane_;
  std::unique_ptr<SnapshotHub> hub_;
};

// In memory, and in a file.
class LedgerTotalsTest : public LedgerFixture,
                         public ::testing::TestWithParam<bool> {
 protected:
  LedgerTotalsTest() : LedgerFixture(GetParam(), {}) {}
};

INSTANTIATE_TEST_SUITE_P(Kept, LedgerTotalsTest, ::testing::Bool());

TEST_P(LedgerTotalsTest, WithoutResetsTheyAreTheKernelsValues) {
  Create("a");
  Create("b");
  Count("b", 7);
  EXPECT_THAT(Read(), ElementsAre(Pair("a", 0), Pair("b", 7)));
  Count("b", 3);
  EXPECT_THAT(Read(), ElementsAre(Pair("a", 0), Pair("b", 10)));
}

TEST_P(LedgerTotalsTest, ResetsOfOursDoNotShow) {
  Create("a");
  Count("a", 5);
  Reset("a");  // before anybody has asked
  Count("a", 2);
  EXPECT_THAT(Read(), ElementsAre(Pair("a", 7)));
  Count("a", 10);
  Reset("a");
  Reset("a");
  EXPECT_THAT(Read(), ElementsAre(Pair("a", 17)));
  Count("a", 1);
  EXPECT_THAT(Read(), ElementsAre(Pair("a", 18)));
  EXPECT_EQ(ledger_->status().foreign_resets, 0);
}

TEST_P(LedgerTotalsTest, ResetsOfOthersKeepTheTotalAndAreCounted) {
  Create("a");
  Count("a", 5);
  EXPECT_THAT(Read(), ElementsAre(Pair("a", 5)));
  ResetByOthers("a");
  Count("a", 2);
  EXPECT_THAT(Read(), ElementsAre(Pair("a", 7)));
  EXPECT_EQ(ledger_->status().foreign_resets, 1);
  EXPECT_THAT(Read(), ElementsAre(Pair("a", 7)));
  EXPECT_EQ(ledger_->status().foreign_resets, 1);
}

TEST_P(LedgerTotalsTest, AResetOfOthersIsSeenByOurNextResetToo) {
  Create("a");
  Count("a", 5);
  EXPECT_THAT(Read(), ElementsAre(Pair("a", 5)));
  ResetByOthers("a");
  Count("a", 2);
  Reset("a");
  Count("a", 9);
  EXPECT_THAT(Read(), ElementsAre(Pair("a", 16)));
  EXPECT_EQ(ledger_->status().foreign_resets, 1);
}

TEST_P(LedgerTotalsTest, ACounterThatIsMadeAgainBeginsAtZero) {
  Create("a");
  Count("a", 5);
  Reset("a");
  EXPECT_THAT(Read(), ElementsAre(Pair("a", 5)));
  Delete("a");
  Create("a");
  Count("a", 1);
  EXPECT_THAT(Read(), ElementsAre(Pair("a", 1)));
}

TEST_P(LedgerTotalsTest, AnIncompleteReadingShowsTheTotalsBefore) {
  Create("a");
  Create("b");
  Count("b", 3);
  EXPECT_THAT(Read(), ElementsAre(Pair("a", 0), Pair("b", 3)));
  Count("b", 3);
  table_.CutDumps(1, 100);
  EXPECT_THAT(Read(), ElementsAre(Pair("a", 0), Pair("b", 3)));
  table_.CutDumps(1, 0);
}

TEST_P(LedgerTotalsTest, WithoutAnyCompleteReadingThereAreNone) {
  Close();  // not even the ledger's own reading may end
  Create("a");
  Create("b");
  table_.CutDumps(1, 100);
  Open();
  EXPECT_THAT(ledger_->Take(absl::ZeroDuration()),
              testing::HasReason("SNAPSHOT_INCOMPLETE"));
}

TEST_P(LedgerTotalsTest, AnErrorOfTheKernelsIsPassedOn) {
  Create("a");
  // The first one may meet the ledger's own reading.
  table_.InjectErrno(kernel::Operation::kAcctDump, ENOMEM, 1000);
  EXPECT_THAT(ledger_->Take(absl::ZeroDuration()),
              testing::StatusIs(absl::StatusCode::kResourceExhausted));
}

TEST_P(LedgerTotalsTest, ReadersAndResetsAtOnceLoseNothing) {
  Create("a");
  std::atomic<bool> done = false;
  std::vector<std::thread> readers;
  for (int i = 0; i < 3; ++i) {
    readers.emplace_back([&, i] {
      uint64_t last = 0;
      while (!done) {
        // Some share readings that may be from before a reset.
        const uint64_t now = Read(absl::Seconds(i))["a"];
        EXPECT_GE(now, last);
        last = now;
      }
    });
  }
  for (int i = 0; i < 2000; ++i) {
    Count("a", 1);
    if (i % 3 == 0) Reset("a");
  }
  done = true;
  for (std::thread& reader : readers) reader.join();
  EXPECT_THAT(Read(), ElementsAre(Pair("a", 2000)));
  EXPECT_EQ(ledger_->status().foreign_resets, 0);
}

class SmallEpochTest : public LedgerFixture, public ::testing::Test {
 protected:
  SmallEpochTest()
      : LedgerFixture(false, {.max_counters = 4, .max_names = 4}) {}
};

TEST_F(SmallEpochTest, TotalsOutliveAnEpoch) {
  Create("stays");
  Count("stays", 5);
  Reset("stays");
  EXPECT_THAT(Read(), ElementsAre(Pair("stays", 5)));
  const uint64_t epoch = hub_->epoch();
  for (int i = 0; i < 40; ++i) {
    Create(absl::StrCat("passes-", i));
    Count("stays", 1);
    Read();
    Delete(absl::StrCat("passes-", i));
    Reset("stays");
  }
  EXPECT_NE(hub_->epoch(), epoch);
  EXPECT_THAT(Read(), ElementsAre(Pair("stays", 45)));
  EXPECT_EQ(ledger_->status().foreign_resets, 0);
}

// --- In a file ---------------------------------------------------------------

class LedgerTest : public LedgerFixture, public ::testing::Test {
 protected:
  LedgerTest() : LedgerFixture(true, {}) {}

  void Reopen() {
    Close();
    Open();
  }
  std::vector<GapCause> Causes() {
    std::vector<GapCause> causes;
    auto reader = LedgerReader::Open(dir_ / "ledger.db");
    EXPECT_OK(reader);
    const auto gaps =
        (*reader)->Gaps(absl::UnixEpoch(), clock_.WallTime(), 0, 100);
    EXPECT_OK(gaps);
    for (const auto& [number, gap] : *gaps) causes.push_back(gap.cause);
    return causes;
  }
};

TEST_F(LedgerTest, TotalsOutliveTheServer) {
  Create("a");
  Count("a", 5);
  Reset("a");
  Count("a", 2);
  EXPECT_THAT(Read(), ElementsAre(Pair("a", 7)));
  Reopen();
  Count("a", 1);
  EXPECT_THAT(Read(), ElementsAre(Pair("a", 8)));
  EXPECT_THAT(Causes(), IsEmpty());
}

TEST_F(LedgerTest, TotalsOutliveARebootAndTheGapIsTold) {
  Create("a");
  Count("a", 5);
  EXPECT_THAT(Read(), ElementsAre(Pair("a", 5)));
  Close();
  ASSERT_OK(table_.Delete({"a"})[0]);
  host_.boot_id = "next";
  Create("a");
  Count("a", 1);
  clock_.Advance(absl::Seconds(30));
  Open();
  EXPECT_THAT(Read(), ElementsAre(Pair("a", 6)));
  EXPECT_THAT(Causes(), ElementsAre(GapCause::kReboot));
}

TEST_F(LedgerTest, WhatAResetReadIsInTheFileBeforeTheCallerHears) {
  Create("a");
  Count("a", 5);
  Read();
  Count("a", 2);
  Reset("a");
  auto reader = LedgerReader::Open(dir_ / "ledger.db");
  ASSERT_OK(reader);
  const auto totals = (*reader)->TotalsAfter(*(*reader)->NewestSequence());
  ASSERT_OK(totals);
  ASSERT_TRUE(totals->has_value());
  EXPECT_EQ((*totals)->at(1), (Amount{7, 700}));
}

TEST_F(LedgerTest, LabelsOfADeletedCounterAreKept) {
  Create("a");
  labels_["a"] = {{"team", "x"}};
  Count("a", 5);
  Read();
  Delete("a");
  auto reader = LedgerReader::Open(dir_ / "ledger.db");
  ASSERT_OK(reader);
  const auto account = (*reader)->FindAccount(1);
  ASSERT_OK(account);
  EXPECT_EQ((*account)->account.state, Account::State::kClosed);
  EXPECT_EQ((*account)->last_labels, labels_["a"]);
}

TEST_F(LedgerTest, AnOlderCopyOfTheFileGivesNoIdAgain) {
  Create("a");
  Read();
  Close();
  const std::string file = dir_ / "ledger.db";
  std::filesystem::copy_file(file, dir_ / "copy.db");
  Open();
  clock_.Advance(absl::Seconds(1));
  Create("b");
  Read();
  const uint64_t lost = ledger_->Find("b")->account.id;
  Close();
  std::filesystem::rename(dir_ / "copy.db", file);
  ASSERT_OK(table_.Delete({"b"})[0]);
  clock_.Advance(absl::Seconds(1));
  Open();
  Create("c");
  Read();
  EXPECT_EQ(ledger_->Find("a")->account.id, 1u);
  EXPECT_GT(ledger_->Find("c")->account.id, lost);
}

TEST_F(LedgerTest, OnAFullDiskAccountingGoesOnAndRecoversByItself) {
  Create("a");
  Count("a", 5);
  EXPECT_THAT(Read(), ElementsAre(Pair("a", 5)));
  faults_.FailWrites(testing::SqliteFaults::kFull);
  Count("a", 1);
  Reset("a");
  Count("a", 1);
  EXPECT_THAT(Read(), ElementsAre(Pair("a", 7)));
  EXPECT_FALSE(ledger_->status().writable.ok());
  faults_.Mend();
  EXPECT_THAT(Read(), ElementsAre(Pair("a", 7)));
  EXPECT_OK(ledger_->status().writable);
  Reopen();
  EXPECT_THAT(Read(), ElementsAre(Pair("a", 7)));
}

TEST_F(LedgerTest, ThoseThatWaitForTheDiskAreToldLast) {
  Create("a");
  Read();
  for (int i = 0; i < 100; ++i) {
    faults_.FailWrites(testing::SqliteFaults::kFull);
    Count("a", 1);
    Reset("a");
    ASSERT_FALSE(told_writable_) << i;
    faults_.Mend();
    Reset("a");
    ASSERT_TRUE(told_writable_) << i;
  }
}

TEST_F(LedgerTest, AFileThatIsDamagedWhileItIsUsedIsReplacedAndTotalsGoOn) {
  Create("a");
  Create("gone");
  Count("a", 5);
  Count("gone", 2);
  Read();
  Reset("a");
  const uint64_t epoch = ledger_->epoch();
  const std::string node = ledger_->node_id();
  int told = 0;
  ledger_->WhenBegunAnew([&told] { ++told; });
  faults_.FailWrites(testing::SqliteFaults::kCorrupt);
  Count("a", 1);
  Delete("gone");
  EXPECT_THAT(Read(), ElementsAre(Pair("a", 6)));
  EXPECT_FALSE(ledger_->status().writable.ok());
  faults_.Mend();
  EXPECT_THAT(Read(), ElementsAre(Pair("a", 6)));
  EXPECT_OK(ledger_->status().writable);
  EXPECT_EQ(told, 1);
  EXPECT_NE(ledger_->epoch(), epoch);
  EXPECT_EQ(ledger_->node_id(), node);
  EXPECT_NE(ledger_->status().damaged_file, "");
  // What was counted before is no usage of now.
  EXPECT_THAT(ledger_->OpenBuckets().buckets, IsEmpty());
  Count("a", 1);
  Read();
  Reopen();
  EXPECT_EQ(ledger_->node_id(), node);
  EXPECT_THAT(Read(), ElementsAre(Pair("a", 7)));
}

TEST_F(LedgerTest, ADamagedFileIsPutAsideAndTheGapIsTold) {
  Create("a");
  Count("a", 5);
  Read();
  const uint64_t epoch = ledger_->epoch();
  Close();
  {
    FILE* const file = fopen((dir_ / "ledger.db").c_str(), "r+");
    ASSERT_NE(file, nullptr);
    fputs("this is no database any more", file);
    fclose(file);
  }
  Open();
  EXPECT_THAT(Read(), ElementsAre(Pair("a", 5)));
  EXPECT_NE(ledger_->epoch(), epoch);
  EXPECT_THAT(ledger_->status().damaged_file,
              ::testing::HasSubstr("ledger.db.damaged-"));
  EXPECT_THAT(Causes(), ElementsAre(GapCause::kStoreLost));
}

// Listens for a record after those that there are.
class NextRecord {
 public:
  explicit NextRecord(Ledger& ledger)
      : before_(ledger.sequence()),
        subscription_(ledger.Subscribe([this, &ledger] {
          // An earlier record may be told of only now.
          if (ledger.sequence() > before_ && !heard_.HasBeenNotified()) {
            heard_.Notify();
          }
        })) {}

  // Waits for it.
  void Await() { heard_.WaitForNotification(); }
  // The newest record when this was made.
  uint64_t before() const { return before_; }

 private:
  const uint64_t before_;
  absl::Notification heard_;
  const std::unique_ptr<Ledger::Subscription> subscription_;
};

TEST_F(LedgerTest, ATickIsARecordAndListenersHearOfIt) {
  Create("a");
  Read();
  NextRecord next(*ledger_);
  Count("a", 5);
  clock_.Advance(absl::Seconds(20));
  next.Await();
  EXPECT_GT(ledger_->sequence(), next.before());
}

TEST_F(LedgerTest, WhatIsToldOfALongMutationIsWrittenWhileItGoesOn) {
  Create("a");
  Read();
  NextRecord next(*ledger_);
  ASSERT_OK(lane_->Run(Lane::Priority::kNormal, [&] {
    observers_->OnCreated({{.name = "b"}});
    return absl::OkStatus();
  }));
  observers_->CommitSoon();
  next.Await();
  const uint64_t written = ledger_->sequence();
  EXPECT_GT(written, next.before());
  // There is nothing left to write.
  ASSERT_OK(observers_->Commit());
  EXPECT_EQ(ledger_->sequence(), written);
}

}  // namespace
}  // namespace nfmeter::accounting
