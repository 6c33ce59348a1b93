// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/counters/label_store.h"

#include <fcntl.h>
#include <malloc.h>
#include <sqlite3.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/error.h"
#include "gmock/gmock.h"
#include "tests/support/status_matchers.h"
#include "tests/support/subprocess.h"

namespace nfmeter::accounting {
namespace {

using ::nfmeter::testing::HasReason;
using ::nfmeter::testing::StatusIs;
using ::nfmeter::testing::TemporaryDirectory;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

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

TEST_F(LabelStoreTest, IntoANewFileGoesWhatIsKnown) {
  const auto store = Open();
  ASSERT_OK(store->Set({{"c", {{"team", "blue"}}}}));
  for (const char* suffix : {"", "-wal", "-shm"}) {
    unlink((path_ + suffix).c_str());
  }
  ASSERT_OK(store->BeginAnew());
  ASSERT_OK(store->Set({{"d", {{"team", "red"}}}}));
  const auto next = Open();
  EXPECT_EQ(next->Get("c"), (Labels{{"team", "blue"}}));
  EXPECT_EQ(next->Get("d"), (Labels{{"team", "red"}}));
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
  EXPECT_THAT(store, StatusIs(absl::StatusCode::kDataLoss));
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

// --- Bounds -----------------------------------------------------------------

class LabelBoundsTest : public LabelStoreTest {
 protected:
  static constexpr int kCounters = 20;

  // One label of 1000 bytes.
  static Labels Big() { return {{"k", std::string(999, 'v')}}; }
  static size_t BigWeight() { return LabelStore::WeightOf("c00", Big()); }
  static std::string Name(int i) { return absl::StrFormat("c%02d", i); }

  std::unique_ptr<LabelStore> OpenWith(const LabelStore::Bounds& bounds) {
    absl::StatusOr<std::unique_ptr<LabelStore>> store =
        LabelStore::Open(path_, bounds);
    EXPECT_OK(store);
    return store.ok() ? *std::move(store) : nullptr;
  }
  // A store that was filled under a larger bound.
  std::unique_ptr<LabelStore> OpenOverfull(size_t counters_in_memory) {
    const auto before = Open();
    for (int i = 0; i < kCounters; ++i) {
      EXPECT_OK(before->Set({{Name(i), Big()}}));
    }
    return OpenWith({.max_bytes = counters_in_memory * BigWeight()});
  }
};

TEST_F(LabelBoundsTest, MoreThanTheBoundIsRefusedWhole) {
  const auto store = OpenWith({.max_bytes = 3 * BigWeight()});
  ASSERT_OK(store->Set({{"c00", Big()}, {"c01", Big()}}));
  const absl::Status refused = store->Set({{"c02", Big()}, {"c03", Big()}});
  EXPECT_THAT(refused, StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_THAT(refused, HasReason("TOO_MANY_LABELS"));
  EXPECT_EQ(GetErrorDetails(refused).metadata.at("bound"),
            absl::StrCat(3 * BigWeight()));
  EXPECT_THAT(store->Get("c02"), IsEmpty());
  EXPECT_OK(store->Set({{"c02", Big()}}));
  // What replaces as much, or removes, has room.
  EXPECT_OK(store->Set({{"c02", Big()}, {"c01", {}}}));
  EXPECT_OK(store->Set({{"c04", Big()}}));
  EXPECT_EQ(store->use().memory_bytes, 3 * BigWeight());
}

TEST_F(LabelBoundsTest, ACallerWithPrefixesLeavesRoomForOthers) {
  const auto store = OpenWith(
      {.max_bytes = 4 * BigWeight(), .max_bytes_per_scope = 2 * BigWeight()});
  const CounterScope a = {{"a-", "c0"}};
  const CounterScope b = {{"b-1"}};
  ASSERT_OK(store->Set({{"a-1", Big()}}, a));
  ASSERT_OK(store->Set({{"c00", {{"k", "v"}}}}));  // by somebody without
  EXPECT_THAT(store->Set({{"a-2", Big()}}, a), HasReason("TOO_MANY_LABELS"));
  EXPECT_THAT(store->CheckRoom({{"a-2", Big()}}, a),
              HasReason("TOO_MANY_LABELS"));
  EXPECT_OK(store->Set({{"b-1", Big()}, {"b-11", Labels{{"k", "v"}}}}, b));
  ASSERT_OK(store->Set({{"c00", {}}}));
  EXPECT_OK(store->Set({{"a-2", Big()}}, a));
  EXPECT_THAT(store->Set({{"a-3", {{"k", "v"}}}}, a),
              HasReason("TOO_MANY_LABELS"));
}

TEST_F(LabelBoundsTest, AStoreLargerThanTheBoundIsReadFromTheDisk) {
  const auto store = OpenOverfull(5);
  ASSERT_NE(store, nullptr);
  EXPECT_EQ(store->use().memory_bytes, 5 * BigWeight());
  EXPECT_EQ(store->use().disk_bytes, (kCounters - 5) * BigWeight());
  EXPECT_EQ(store->All().size(), 5);
  for (int i = 0; i < kCounters; ++i) {
    EXPECT_EQ(store->Get(Name(i)), Big()) << i;
  }
  EXPECT_THAT(store->Get("c99"), IsEmpty());
  std::map<size_t, Labels> visited;
  store->Visit({"c19", "c99", "c00"},
               [&](size_t i, const Labels& labels) { visited[i] = labels; });
  EXPECT_THAT(visited,
              ElementsAre(Pair(0, Big()), Pair(1, IsEmpty()), Pair(2, Big())));
}

TEST_F(LabelBoundsTest, AStoreLargerThanTheBoundTakesOnlyWhatIsNoMore) {
  const auto store = OpenOverfull(5);
  ASSERT_NE(store, nullptr);
  EXPECT_THAT(store->Set({{"new", {{"k", "v"}}}}),
              HasReason("TOO_MANY_LABELS"));
  EXPECT_THAT(store->Set({{Name(19), {{"k", std::string(1000, 'v')}}}}),
              HasReason("TOO_MANY_LABELS"));
  const Labels small = {{"k", "v"}};
  EXPECT_OK(store->Set({{Name(19), small}, {Name(0), small}}));
  EXPECT_EQ(store->Get(Name(19)), small);
  EXPECT_EQ(store->Get(Name(0)), small);
  EXPECT_LE(store->use().memory_bytes, 5 * BigWeight());
}

TEST_F(LabelBoundsTest, WhatGoesMakesRoomForWhatIsOnTheDisk) {
  auto store = OpenOverfull(5);
  ASSERT_NE(store, nullptr);
  for (int i = 0; i < kCounters - 5; ++i) {
    const auto all = store->All();
    ASSERT_FALSE(all.empty());
    // As the pruner does.
    EXPECT_THAT(store->RemoveUnchanged({all.front()}),
                testing::IsOkAndHolds(1));
  }
  EXPECT_EQ(store->use().disk_bytes, 0);
  EXPECT_EQ(store->All().size(), 5);
  ASSERT_OK(store->Set({{store->All().front().counter, {}}}));
  EXPECT_OK(store->Set({{"new", {{"k", "v"}}}}));
}

TEST_F(LabelBoundsTest, TheWeightIsNoLessThanTheMemory) {
#ifdef __SANITIZE_THREAD__
  GTEST_SKIP() << "mallinfo2() does not know what ThreadSanitizer allocates";
#endif
  const auto store = OpenWith({.max_bytes = 1 << 30});
  std::vector<std::pair<std::string, Labels>> many;
  for (int i = 0; i < 20000; ++i) {
    many.emplace_back(absl::StrCat("counter-of-a-team-", i),
                      Labels{{"t", "x"}, {"a-longer-key-of-a-label", "value"}});
  }
  const size_t before = mallinfo2().uordblks;
  ASSERT_OK(store->Set(many));
  const size_t taken = mallinfo2().uordblks - before;
  EXPECT_LE(taken, store->use().memory_bytes);
  EXPECT_GE(2 * taken, store->use().memory_bytes);
}

}  // namespace
}  // namespace nfmeter::accounting
