// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/sqlite.h"

#include <sqlite3.h>
#include <sys/stat.h>

#include <cstdint>
#include <fstream>
#include <limits>
#include <string>

#include "base/error.h"
#include "gmock/gmock.h"
#include "tests/support/sqlite_faults.h"
#include "tests/support/status_matchers.h"
#include "tests/support/subprocess.h"

namespace nfmeter::sqlite {
namespace {

using ::nfmeter::testing::HasReason;
using ::nfmeter::testing::IsOkAndHolds;
using ::nfmeter::testing::SqliteFaults;
using ::nfmeter::testing::StatusIs;
using ::nfmeter::testing::TemporaryDirectory;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kUnusable[] = "STORE_UNUSABLE";
constexpr char kFailed[] = "STORE_FAILED";

class SqliteTest : public ::testing::Test {
 protected:
  Options OptionsOf(std::vector<std::string> migrations) const {
    return {.path = path_,
            .noun = "the store of tests",
            .unusable_reason = kUnusable,
            .failed_reason = kFailed,
            .application_id = 7,
            .migrations = std::move(migrations),
            .busy_timeout = absl::ZeroDuration(),
            .turn_timeout = absl::ZeroDuration()};
  }
  Options OptionsOf() const {
    return OptionsOf({"CREATE TABLE t (k BLOB PRIMARY KEY, v TEXT)"});
  }
  static std::unique_ptr<Database> Open(const Options& options) {
    absl::StatusOr<std::unique_ptr<Database>> db = Database::Open(options);
    EXPECT_OK(db);
    return db.ok() ? *std::move(db) : nullptr;
  }

  TemporaryDirectory directory_;
  const std::string path_ = directory_ / "store.db";
};

TEST_F(SqliteTest, WhatWasBoundIsReadBack) {
  const auto db = Open(OptionsOf({"CREATE TABLE t (a, b, c, d, e, f)"}));
  const std::string name("a\0\xff", 3);
  const uint64_t huge = std::numeric_limits<uint64_t>::max();
  {
    auto insert = *db->Prepare("INSERT INTO t VALUES (?1, ?2, ?3, ?4, ?5, ?6)");
    ASSERT_OK(insert.Run(-5, huge, "caf\xc3\xa9", Blob{name}, nullptr,
                         Blob{absl::string_view()}));
  }
  EXPECT_EQ(db->changes(), 1);
  auto rows = *db->Prepare("SELECT * FROM t");
  ASSERT_THAT(rows.Step(), IsOkAndHolds(true));
  EXPECT_EQ(rows.Int64(0), -5);
  EXPECT_EQ(rows.Uint64(1), huge);
  EXPECT_EQ(rows.Bytes(2), "caf\xc3\xa9");
  EXPECT_EQ(rows.Bytes(3), name);
  EXPECT_TRUE(rows.IsNull(4));
  EXPECT_EQ(rows.Int64(4), 0);
  EXPECT_FALSE(rows.IsNull(5));
  EXPECT_EQ(rows.Bytes(5), "");
  EXPECT_THAT(rows.Step(), IsOkAndHolds(false));
  // Reset by its end: from the start again.
  EXPECT_THAT(rows.Step(), IsOkAndHolds(true));
}

TEST_F(SqliteTest, AStatementRunsAgainAfterAnError) {
  const auto db = Open(OptionsOf());
  auto insert = *db->Prepare("INSERT INTO t VALUES (?1, ?2)");
  ASSERT_OK(insert.Run("a", "1"));
  const absl::Status twice = insert.Run("a", "2");
  EXPECT_THAT(twice, StatusIs(absl::StatusCode::kAlreadyExists));
  EXPECT_THAT(twice, HasReason(kFailed));
  EXPECT_OK(insert.Run("b", "2"));
}

TEST_F(SqliteTest, WrongSqlAndWrongParametersAreInternal) {
  const auto db = Open(OptionsOf());
  EXPECT_THAT(db->Prepare("SELECT nothing FROM t").status(),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("nothing")));
  auto insert = *db->Prepare("INSERT INTO t VALUES (?1, 'v')");
  EXPECT_THAT(insert.Run("a", "too many"),
              StatusIs(absl::StatusCode::kInternal));
  EXPECT_OK(insert.Run("a"));
}

TEST_F(SqliteTest, ATransactionIsRolledBackUnlessCommitted) {
  const auto db = Open(OptionsOf());
  {
    absl::StatusOr<Transaction> lost = Transaction::Begin(*db);
    ASSERT_OK(lost);
    ASSERT_OK(db->Execute("INSERT INTO t VALUES ('a', '1')"));
  }
  EXPECT_THAT(db->QueryNumber("SELECT count(*) FROM t"), IsOkAndHolds(0));
  {
    absl::StatusOr<Transaction> kept = Transaction::Begin(*db);
    ASSERT_OK(kept);
    ASSERT_OK(db->Execute("INSERT INTO t VALUES ('a', '1')"));
    ASSERT_OK(kept->Commit());
  }
  EXPECT_THAT(db->QueryNumber("SELECT count(*) FROM t"), IsOkAndHolds(1));
}

TEST_F(SqliteTest, AReaderSeesOneStateWhileAnotherWrites) {
  const auto writer = Open(OptionsOf());
  Options options = OptionsOf();
  options.read_only = true;
  const auto reader = Open(options);
  absl::StatusOr<Transaction> reading =
      Transaction::Begin(*reader, Transaction::Kind::kRead);
  ASSERT_OK(reading);
  EXPECT_THAT(reader->QueryNumber("SELECT count(*) FROM t"), IsOkAndHolds(0));
  ASSERT_OK(writer->Execute("INSERT INTO t VALUES ('a', '1')"));
  EXPECT_THAT(reader->QueryNumber("SELECT count(*) FROM t"), IsOkAndHolds(0));
  EXPECT_THAT(reader->Execute("DELETE FROM t"),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("read-only")));
}

TEST_F(SqliteTest, AWriterThatWaitsTooLongIsToldWhy) {
  const auto first = Open(OptionsOf());
  const auto second = Open(OptionsOf());
  absl::StatusOr<Transaction> writing = Transaction::Begin(*first);
  ASSERT_OK(writing);
  EXPECT_THAT(Transaction::Begin(*second).status(),
              StatusIs(absl::StatusCode::kUnavailable,
                       HasSubstr("it is being written already")));
}

TEST_F(SqliteTest, MigrationsRunOnceAndInOrder) {
  const std::string first = "CREATE TABLE t (k); INSERT INTO t VALUES (1)";
  const std::string second = "ALTER TABLE t ADD v; UPDATE t SET v = k + 1";
  Open(OptionsOf({first}));
  Open(OptionsOf({first, second}));
  const auto db = Open(OptionsOf({first, second}));
  EXPECT_THAT(db->QueryNumber("SELECT sum(v) FROM t"), IsOkAndHolds(2));
  EXPECT_THAT(db->QueryNumber("PRAGMA user_version"), IsOkAndHolds(2));
}

TEST_F(SqliteTest, AMigrationThatFailsChangesNothing) {
  Open(OptionsOf({"CREATE TABLE t (k)"}));
  const auto failed = Database::Open(
      OptionsOf({"CREATE TABLE t (k)",
                 "CREATE TABLE u (k); INSERT INTO none VALUES (1)"}));
  EXPECT_THAT(failed, StatusIs(absl::StatusCode::kFailedPrecondition,
                               HasSubstr("none")));
  const auto db = Open(OptionsOf({"CREATE TABLE t (k)"}));
  EXPECT_THAT(db->QueryNumber("SELECT count(*) FROM sqlite_master"),
              IsOkAndHolds(1));
}

TEST_F(SqliteTest, WhatIsNotOursIsRefusedAndLeftAlone) {
  const auto refused = [&](const std::string& why,
                           absl::StatusCode code =
                               absl::StatusCode::kFailedPrecondition) {
    const auto db = Database::Open(OptionsOf());
    EXPECT_THAT(db, StatusIs(code, HasSubstr(why)));
    EXPECT_THAT(db, HasReason(kUnusable));
    EXPECT_EQ(GetErrorDetails(db.status()).metadata.at("path"), path_);
  };
  const std::string text = "this is not a database, but long enough to look at";
  std::ofstream(path_) << text;
  refused("not a database", absl::StatusCode::kDataLoss);
  std::string left;
  std::getline(std::ifstream(path_), left);
  EXPECT_EQ(left, text);

  std::remove(path_.c_str());
  sqlite3* other = nullptr;
  ASSERT_EQ(sqlite3_open(path_.c_str(), &other), SQLITE_OK);
  sqlite3_exec(other, "CREATE TABLE addresses (name)", nullptr, nullptr,
               nullptr);
  sqlite3_close(other);
  refused("another program");

  std::remove(path_.c_str());
  Open(OptionsOf())->Execute("PRAGMA user_version = 9").IgnoreError();
  refused("its format is of version 9, this server knows 1");
}

TEST_F(SqliteTest, AFileThatCannotBeOpenedIsRefused) {
  Options options = OptionsOf();
  options.path = directory_ / "none/store.db";
  EXPECT_THAT(Database::Open(options),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("can't be opened: No such file")));
  options = OptionsOf();
  options.read_only = true;
  EXPECT_THAT(Database::Open(options),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  struct stat file;
  EXPECT_NE(stat(path_.c_str(), &file), 0) << "a reader has made the file";
}

class SqliteFaultsTest : public SqliteTest {
 protected:
  Options Faulty() const {
    Options options = OptionsOf();
    options.vfs = faults_.name();
    return options;
  }

  SqliteFaults faults_;
};

TEST_F(SqliteFaultsTest, AFullDiskChangesNothingWhereverItIsMet) {
  const auto db = Open(Faulty());
  ASSERT_OK(db->Execute("INSERT INTO t VALUES ('a', '1')"));
  auto update = *db->Prepare("UPDATE t SET v = '2'");
  int met = 0;
  // Whatever the number of writes that the disk still takes.
  for (int more = 0; more < 20; ++more) {
    faults_.FailWrites(SQLITE_FULL, more);
    const absl::Status status = update.Run();
    faults_.Mend();
    EXPECT_THAT(db->QueryNumber("SELECT v FROM t"),
                IsOkAndHolds(status.ok() ? 2 : 1));
    if (status.ok()) break;
    ++met;
    EXPECT_THAT(
        status,
        StatusIs(absl::StatusCode::kUnavailable,
                 HasSubstr("the store of tests failed: the disk is full")));
    EXPECT_THAT(status, HasReason(kFailed));
  }
  EXPECT_GT(met, 1);
}

TEST_F(SqliteFaultsTest, ErrorsOfTheDiskAreToldApart) {
  const auto db = Open(Faulty());
  const auto written = [&](int result) {
    faults_.FailWrites(result);
    const absl::Status status = db->Execute("INSERT INTO t VALUES ('a', '1')");
    faults_.Mend();
    EXPECT_THAT(std::string(status.message()), Not(HasSubstr(path_)));
    return status;
  };
  EXPECT_THAT(written(SQLITE_IOERR_WRITE),
              StatusIs(absl::StatusCode::kUnavailable,
                       HasSubstr("the disk can't be read or written")));
  EXPECT_THAT(written(SQLITE_READONLY),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("read-only")));
  EXPECT_THAT(written(SQLITE_CORRUPT),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("damaged")));
}

TEST_F(SqliteFaultsTest, ADiskThatFailsAtTheStartIsNamed) {
  Open(Faulty());
  faults_.FailReads(SQLITE_IOERR_READ);
  EXPECT_THAT(Database::Open(Faulty()),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("the disk can't be read or written")));
}

TEST_F(SqliteFaultsTest, EachCommitWaitsForTheDiskWhereThatIsAsked) {
  for (const bool full : {true, false}) {
    std::remove(path_.c_str());
    Options options = Faulty();
    options.durability = full ? Durability::kFull : Durability::kNormal;
    const auto db = Open(options);
    const int before = faults_.syncs();
    ASSERT_OK(db->Execute("INSERT INTO t VALUES ('a', '1')"));
    EXPECT_EQ(faults_.syncs() > before, full);
  }
}

TEST_F(SqliteFaultsTest, ACommitForLaterWaitsForNoDiskAndSyncMakesUpForIt) {
  const auto db = Open(Faulty());
  const auto syncs = [&](auto change) {
    const int before = faults_.syncs();
    change();
    return faults_.syncs() - before;
  };
  const auto insert = [&](const std::string& key, Transaction::Kind kind) {
    auto transaction = Transaction::Begin(*db, kind);
    ASSERT_OK(transaction.status());
    ASSERT_OK(db->Execute("INSERT INTO t VALUES ('" + key + "', '1')"));
    if (key == "rolled back") return;
    ASSERT_OK(transaction->Commit());
  };
  using Kind = Transaction::Kind;
  EXPECT_EQ(syncs([&] { insert("a", Kind::kWriteLater); }), 0);
  EXPECT_EQ(syncs([&] { ASSERT_OK(db->Sync()); }), 1);
  // The others wait as before.
  EXPECT_GT(syncs([&] { insert("b", Kind::kWrite); }), 0);
  insert("rolled back", Kind::kWriteLater);
  EXPECT_GT(syncs([&] { insert("c", Kind::kWrite); }), 0);
  EXPECT_THAT(db->QueryNumber("SELECT count(*) FROM t"), IsOkAndHolds(3));
}

}  // namespace
}  // namespace nfmeter::sqlite
