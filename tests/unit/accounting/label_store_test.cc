#include "accounting/counters/label_store.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <fstream>

#include "gmock/gmock.h"
#include "tests/support/status_matchers.h"
#include "tests/support/subprocess.h"

namespace nfmeter::accounting {
namespace {

using ::nfmeter::testing::HasReason;
using ::nfmeter::testing::StatusIs;
using ::nfmeter::testing::TemporaryDirectory;
using ::testing::IsEmpty;

class LabelStoreTest : public ::testing::Test {
 protected:
  std::unique_ptr<LabelStore> Open() {
    absl::StatusOr<std::unique_ptr<LabelStore>> store = LabelStore::Open(path_);
    EXPECT_OK(store);
    return store.ok() ? *std::move(store) : nullptr;
  }

  void Execute(const char* sql) {
    sqlite3* db = nullptr;
    ASSERT_EQ(sqlite3_open(path_.c_str(), &db), SQLITE_OK);
    ASSERT_EQ(sqlite3_exec(db, sql, nullptr, nullptr, nullptr), SQLITE_OK);
    sqlite3_close(db);
  }

  TemporaryDirectory directory_;
  const std::string path_ = directory_ / "labels.db";
};

TEST_F(LabelStoreTest, LabelsSurviveARestart) {
  const Labels labels = {{"team", "blue"}, {"note", "caf\xc3\xa9 'x'"}};
  const std::string foreign("a\0\xff'", 4);
  ASSERT_OK(Open()->Set({{"c", labels}, {foreign, {{"k", ""}}}}));
  const auto store = Open();
  EXPECT_EQ(store->Get("c"), labels);
  EXPECT_EQ(store->Get(foreign), (Labels{{"k", ""}}));
  EXPECT_THAT(store->Get("other"), IsEmpty());
}

TEST_F(LabelStoreTest, SetReplacesAndEmptyRemoves) {
  auto store = Open();
  ASSERT_OK(store->Set({{"c", {{"a", "1"}, {"b", "2"}}}, {"d", {{"a", "1"}}}}));
  ASSERT_OK(store->Set({{"c", {{"b", "3"}}}, {"d", {}}}));
  EXPECT_EQ(store->Get("c"), (Labels{{"b", "3"}}));
  EXPECT_THAT(store->Get("d"), IsEmpty());
  store.reset();
  store = Open();
  EXPECT_EQ(store->Get("c"), (Labels{{"b", "3"}}));
  EXPECT_THAT(store->Get("d"), IsEmpty());
}

TEST_F(LabelStoreTest, EverySetIsANewVersion) {
  const auto store = Open();
  const uint64_t before = store->version();
  ASSERT_OK(store->Set({{"c", {{"a", "1"}}}}));
  EXPECT_NE(store->version(), before);
}

TEST_F(LabelStoreTest, WithoutAPathLabelsLiveInMemory) {
  const auto store = *LabelStore::Open("");
  ASSERT_OK(store->Set({{"c", {{"a", "1"}}}}));
  EXPECT_EQ(store->Get("c"), (Labels{{"a", "1"}}));
}

TEST_F(LabelStoreTest, AFileOfAnotherKindIsRefusedAndLeftAlone) {
  std::ofstream(path_) << "this is not a database, but long enough to look at";
  const auto store = LabelStore::Open(path_);
  EXPECT_THAT(store, StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(store, HasReason("LABEL_STORE_UNUSABLE"));
  std::string text;
  std::getline(std::ifstream(path_), text);
  EXPECT_EQ(text, "this is not a database, but long enough to look at");
}

TEST_F(LabelStoreTest, AnotherProgramsDatabaseIsRefused) {
  Execute("CREATE TABLE addresses (name TEXT)");
  EXPECT_THAT(LabelStore::Open(path_),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       ::testing::HasSubstr("another program")));
}

TEST_F(LabelStoreTest, ANewerFormatIsRefused) {
  Open();
  Execute("PRAGMA user_version = 2");
  EXPECT_THAT(LabelStore::Open(path_),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       ::testing::HasSubstr("version 2")));
}

TEST_F(LabelStoreTest, AMissingFolderIsRefused) {
  EXPECT_THAT(LabelStore::Open(directory_ / "none/labels.db"),
              StatusIs(absl::StatusCode::kFailedPrecondition));
}

// A file size limit stands in for a full disk.
TEST_F(LabelStoreTest, AFullDiskChangesNothing) {
  auto store = Open();
  ASSERT_OK(store->Set({{"c", {{"a", "1"}}}}));
  signal(SIGXFSZ, SIG_IGN);
  rlimit limit;
  getrlimit(RLIMIT_FSIZE, &limit);
  const rlimit small = {16384, limit.rlim_max};
  setrlimit(RLIMIT_FSIZE, &small);
  std::vector<std::pair<std::string, Labels>> many;
  for (int i = 0; i < 1000; ++i) {
    many.emplace_back(std::to_string(i), Labels{{"k", std::string(200, 'v')}});
  }
  many.emplace_back("c", Labels{{"a", "2"}});
  const absl::Status full = store->Set(many);
  setrlimit(RLIMIT_FSIZE, &limit);
  EXPECT_THAT(full, StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_THAT(full, HasReason("LABEL_STORE_FAILED"));
  EXPECT_EQ(store->Get("c"), (Labels{{"a", "1"}}));
  ASSERT_OK(store->Set({{"d", {{"a", "1"}}}}));
  store.reset();
  store = Open();
  EXPECT_EQ(store->Get("c"), (Labels{{"a", "1"}}));
  EXPECT_THAT(store->Get("7"), IsEmpty());
}

}  // namespace
}  // namespace nfmeter::accounting
