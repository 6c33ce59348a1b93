// SPDX-License-Identifier: GPL-3.0-or-later
// Counters that another process deletes while they are being read. The kernel
// then cuts its dump short and says that it succeeded.
#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "kernel/linux/nfacct/netlink_acct_table.h"
#include "tests/fault/fault_server.h"
#include "tests/support/status_matchers.h"

namespace nfmeter {
namespace {

using ::nfmeter::testing::FaultServer;

constexpr size_t kSurvivors = 3000;
constexpr size_t kVictims = 500;

std::string Survivor(size_t i) { return absl::StrCat("survivor-", i); }

class ConcurrentDeletionTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto table = kernel::NetlinkAcctTable::Open();
    ASSERT_OK(table.status());
    others_ = *std::move(table);
    std::vector<kernel::AcctObject> objects;
    for (size_t i = 0; i < kSurvivors; ++i) {
      if (i % (kSurvivors / kVictims) == 0) {
        victims_.push_back(absl::StrCat("victim-", victims_.size()));
        objects.push_back({.name = victims_.back()});
      }
      objects.push_back({.name = Survivor(i), .packets = 10 + i});
    }
    for (const absl::Status& created : others_->Create(objects)) {
      ASSERT_OK(created);
    }
    ASSERT_OK(server_.Start());
    deleter_ = std::thread([this] { DeleteAndMakeAgain(); });
  }

  void TearDown() override {
    stop_ = true;
    if (deleter_.joinable()) deleter_.join();
  }

  // Some other program: one at a time, so that dumps meet it everywhere.
  void DeleteAndMakeAgain() {
    while (!stop_) {
      for (size_t i = 0; i < victims_.size() && !stop_; ++i) {
        (void)others_->Delete({victims_[i]});
        (void)others_->Create({kernel::AcctObject{.name = victims_[i]}});
        ++deletions_;
      }
    }
  }

  // `value` is called with a name and returns its packets or nullopt.
  template <typename Names, typename Packets>
  static void ExpectAllSurvivors(const Names& names, const Packets& packets) {
    absl::flat_hash_map<absl::string_view, uint64_t> found;
    for (size_t i = 0; i < names.size(); ++i) {
      EXPECT_TRUE(found.emplace(names[i], packets[i]).second)
          << names[i] << " is there twice";
    }
    size_t missing = 0;
    for (size_t i = 0; i < kSurvivors; ++i) {
      const auto it = found.find(Survivor(i));
      missing += it == found.end() || it->second != 10 + i;
    }
    EXPECT_EQ(missing, 0u) << "of a snapshot that is called complete";
  }

  std::unique_ptr<kernel::NetlinkAcctTable> others_;
  std::vector<std::string> victims_;
  std::atomic<bool> stop_ = false;
  std::atomic<size_t> deletions_ = 0;
  FaultServer server_;
  std::thread deleter_;
};

TEST_F(ConcurrentDeletionTest, EveryCompleteSnapshotHasAllSurvivors) {
  const auto client = server_.Connect();
  size_t complete = 0;
  for (int i = 0; i < 100; ++i) {
    const size_t before = deletions_;
    const auto snapshot = client->GetSnapshot();
    ASSERT_OK(snapshot.status());
    if (snapshot->complete) {
      ++complete;
      ExpectAllSurvivors(snapshot->names, snapshot->packets);
    }
    while (deletions_ == before) std::this_thread::yield();
  }
  EXPECT_GT(complete, 0u);
}

TEST_F(ConcurrentDeletionTest, EveryCompleteFrameHasAllSurvivors) {
  const auto client = server_.Connect();
  v1::WatchSnapshotsRequest request;
  request.mutable_interval()->set_nanos(100'000'000);
  const auto watch = client->WatchSnapshots(request);
  size_t complete = 0;
  for (int i = 0; i < 30; ++i) {
    const auto frame = watch->Next();
    ASSERT_OK(frame.status());
    if (!frame->complete) continue;
    ++complete;
    std::vector<absl::string_view> names;
    std::vector<uint64_t> packets;
    for (const CounterRow& row : frame->rows) {
      names.push_back(row.name);
      packets.push_back(row.packets);
    }
    ExpectAllSurvivors(names, packets);
  }
  EXPECT_GT(complete, 0u);
}

}  // namespace
}  // namespace nfmeter
