// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/ledger/ledger_files.h"

#include <memory>
#include <string>

#include "accounting/ledger/ledger.h"
#include "accounting/ledger/schema.h"
#include "base/sqlite.h"
#include "gmock/gmock.h"
#include "tests/support/fake_clock.h"
#include "tests/support/status_matchers.h"
#include "tests/support/subprocess.h"

namespace nfmeter::accounting {
namespace {

using ::nfmeter::testing::IsOkAndHolds;
using ::nfmeter::testing::StatusIs;
using ::testing::_;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

class LedgerFilesTest : public ::testing::Test {
 protected:
  LedgerFilesTest() {
    ledger_ = Open(path_, host_).value();
    ledger_->Start(nullptr, {});
    for (int i = 1; i <= 20; ++i) {
      clock_.Advance(absl::Minutes(1));
      ledger_->OnReset({{"a", 3, 300}});
      EXPECT_OK(ledger_->Commit());
    }
  }

  absl::StatusOr<std::unique_ptr<Ledger>> Open(const std::string& path,
                                               const HostIdentity& host) {
    return Ledger::Create({.path = path, .host = host}, clock_);
  }
  // What somebody does to the file while no server has it.
  void Change(const std::string& sql) {
    ledger_.reset();
    auto db = sqlite::Database::Open(LedgerFile(path_));
    ASSERT_OK(db);
    ASSERT_OK((*db)->Execute(sql));
  }
  std::vector<std::string> Faults() {
    const auto report = CheckLedger(path_, "machine");
    EXPECT_OK(report);
    return report.ok() ? report->faults : std::vector<std::string>();
  }

  testing::TemporaryDirectory dir_;
  const std::string path_ = dir_ / "ledger.db";
  const std::string copy_ = dir_ / "copy.db";
  const HostIdentity host_ = {.machine_id = "machine", .boot_id = "boot"};
  testing::FakeClock clock_;
  std::unique_ptr<Ledger> ledger_;
};

TEST_F(LedgerFilesTest, ASoundLedgerHasNoFaultsAlsoWhileItIsUsed) {
  const auto report = CheckLedger(path_, "machine");
  ASSERT_OK(report);
  EXPECT_THAT(report->faults, IsEmpty());
  EXPECT_EQ(report->records, 20u);
  EXPECT_EQ(report->sequence, 20u);
  EXPECT_EQ(report->accounts, 1u);
  EXPECT_EQ(report->node_id, ledger_->node_id());
  EXPECT_EQ(report->newest - report->oldest, absl::Minutes(19));
}

TEST_F(LedgerFilesTest, MissingRecordsAreFound) {
  Change("DELETE FROM records WHERE sequence IN (7, 8)");
  EXPECT_THAT(Faults(), Contains(HasSubstr("records 7 to 8 are missing")));
}

TEST_F(LedgerFilesTest, ARecordThatCannotBeReadIsFound) {
  Change("UPDATE records SET body = x'ff' WHERE sequence = 9");
  EXPECT_THAT(Faults(), Contains("record 9 can't be read"));
}

TEST_F(LedgerFilesTest, ATotalThatIsNotTheSumIsFound) {
  Checkpoint wrong{.rows = {{1, {1, 1}}}};
  ledger_.reset();
  {
    auto db = sqlite::Database::Open(LedgerFile(path_));
    ASSERT_OK(db);
    auto put =
        (*db)->Prepare("INSERT OR REPLACE INTO checkpoints VALUES (12, ?1)");
    ASSERT_OK(put);
    ASSERT_OK(put->Run(sqlite::Blob{Encode(wrong)}));
  }
  EXPECT_THAT(
      Faults(),
      ElementsAre(HasSubstr("account 1 has another total at record 12")));
}

TEST_F(LedgerFilesTest, OfAnotherMachineItSaysSo) {
  const auto report = CheckLedger(path_, "other");
  ASSERT_OK(report);
  EXPECT_THAT(report->faults, ElementsAre(HasSubstr("another machine")));
}

TEST_F(LedgerFilesTest, OneThatIsNotThereOrNoLedgerIsRefused) {
  EXPECT_THAT(CheckLedger(dir_ / "none.db", ""),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  Change("PRAGMA user_version = 99");
  EXPECT_THAT(
      CheckLedger(path_, "machine"),
      StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("version 99")));
}

TEST_F(LedgerFilesTest, ABackupGoesOnFromWhereItWasTakenAndTellsOfTheGap) {
  const absl::Time backup_time = clock_.WallTime();
  ASSERT_OK(BackUpLedger(path_, copy_, backup_time));
  EXPECT_THAT(CheckLedger(copy_, "machine")->faults, IsEmpty());
  const std::string node = ledger_->node_id();
  const uint64_t epoch = ledger_->epoch();
  clock_.Advance(absl::Hours(1));
  // Also on another machine.
  auto restored = Open(copy_, {.machine_id = "other", .boot_id = "boot"});
  ASSERT_OK(restored);
  EXPECT_EQ((*restored)->node_id(), node);
  EXPECT_NE((*restored)->epoch(), epoch);
  EXPECT_EQ((*restored)->Find("a")->total.packets, 60u);
  (*restored)->Start(nullptr, {});
  (*restored)->OnReset({{"a", 1, 100}});
  EXPECT_OK((*restored)->Commit());
  const auto reader = (*restored)->OpenReader();
  ASSERT_OK(reader);
  const auto gaps =
      (*reader)->Gaps(absl::InfinitePast(), absl::InfiniteFuture(), /*after=*/0,
                      /*limit=*/10);
  EXPECT_THAT(gaps, IsOkAndHolds(Contains(Pair(
                        _, AllOf(Field(&Gap::cause, GapCause::kStoreRestored),
                                 Field(&Gap::from, backup_time),
                                 Field(&Gap::to, clock_.WallTime()))))));
}

TEST_F(LedgerFilesTest, ABackupNeverReplacesAFileAndLeavesNoHalfOne) {
  ASSERT_OK(BackUpLedger(path_, copy_, clock_.WallTime()));
  EXPECT_THAT(BackUpLedger(path_, copy_, clock_.WallTime()),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("such a file already")));
  EXPECT_THAT(BackUpLedger(path_, dir_ / "no/folder.db", clock_.WallTime()),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("no backup is made")));
}

}  // namespace
}  // namespace nfmeter::accounting
