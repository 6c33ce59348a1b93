#include "service/work_threads.h"

#include <atomic>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/notification.h"
#include "gmock/gmock.h"

namespace nfmeter::service {
namespace {

// Threads that are busy until told otherwise.
class WorkThreadsTest : public ::testing::Test {
 protected:
  static constexpr size_t kThreads = 2;
  static constexpr size_t kMaxWaiting = 4;

  WorkThreadsTest() {
    absl::BlockingCounter busy(kThreads);
    for (size_t i = 0; i < kThreads; ++i) {
      threads_->Post([&] {
        busy.DecrementCount();
        go_on_.WaitForNotification();
      });
    }
    busy.Wait();
  }
  ~WorkThreadsTest() override {
    if (!go_on_.HasBeenNotified()) go_on_.Notify();
  }

  bool Try(const std::string& caller) {
    return threads_->TryPost(
        caller, [this] { ++done_; }, kMaxWaiting);
  }
  // All that is queued is carried out.
  void Finish() {
    go_on_.Notify();
    threads_.reset();
  }

  absl::Notification go_on_;
  std::atomic<int> done_ = 0;
  std::unique_ptr<WorkThreads> threads_ =
      std::make_unique<WorkThreads>("test", kThreads);
};

TEST_F(WorkThreadsTest, WhatCanNotBeDoneAtOnceWaits) {
  EXPECT_EQ(threads_->load().busy, kThreads);
  EXPECT_TRUE(Try("a"));
  EXPECT_EQ(threads_->load().waiting, 1u);
  Finish();
  EXPECT_EQ(done_, 1);
}

TEST_F(WorkThreadsTest, OneCallerMayTakeHalfOfThePlaces) {
  EXPECT_TRUE(Try("a"));
  EXPECT_TRUE(Try("a"));
  EXPECT_FALSE(Try("a"));
  EXPECT_TRUE(Try("b"));
  Finish();
  EXPECT_EQ(done_, 3);
}

TEST_F(WorkThreadsTest, AllTogetherMayTakeAllPlaces) {
  for (const char* caller : {"a", "b", "c", "d"}) {
    EXPECT_TRUE(Try(caller)) << caller;
  }
  EXPECT_FALSE(Try("e"));
  // What may not be refused is not.
  threads_->Post([this] { ++done_; });
  EXPECT_EQ(threads_->load().waiting, 5u);
  Finish();
  EXPECT_EQ(done_, 5);
}

TEST(IdleThreadsTest, OneJobAfterTheOtherNeverWaits) {
  WorkThreads threads("test", 100);
  EXPECT_EQ(threads.load().busy, 0u);
  for (int i = 0; i < 1000; ++i) {
    absl::Notification done;
    EXPECT_TRUE(threads.TryPost(
        "a", [&] { done.Notify(); }, 0));
    done.WaitForNotification();
  }
  EXPECT_EQ(threads.load().waiting, 0u);
}

}  // namespace
}  // namespace nfmeter::service
