// SPDX-License-Identifier: GPL-3.0-or-later
#include "service/gate/work_threads.h"

#include <pthread.h>

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

// While it lives, no thread can be started: its stack has no room.
class NoNewThreads {
 public:
  NoNewThreads() {
    pthread_getattr_default_np(&before_);
    pthread_attr_t huge;
    pthread_attr_init(&huge);
    pthread_attr_setstacksize(&huge, size_t{1} << 50);
    EXPECT_EQ(pthread_setattr_default_np(&huge), 0);
    pthread_attr_destroy(&huge);
  }
  ~NoNewThreads() {
    pthread_setattr_default_np(&before_);
    pthread_attr_destroy(&before_);
  }

 private:
  pthread_attr_t before_;
};

TEST(WorkThreadsLimitTest, WithoutAThreadJobsAreRefused) {
  std::atomic<int> done = 0;
  const auto job = [&] { ++done; };
  {
    auto none = std::make_unique<NoNewThreads>();
    WorkThreads threads("test", 2);
    EXPECT_FALSE(threads.TryPost("a", job, 4));
    none.reset();
    EXPECT_TRUE(threads.TryPost("a", job, 4));
  }
  EXPECT_EQ(done, 1);
}

TEST(WorkThreadsLimitTest, OneThreadIsThereFromTheBeginning) {
  std::atomic<int> done = 0;
  {
    WorkThreads threads("test", 2);
    const NoNewThreads none;
    EXPECT_TRUE(threads.TryPost(
        "a", [&] { ++done; }, 0));
  }
  EXPECT_EQ(done, 1);
}

TEST(WorkThreadsLimitTest, WhatNoThreadCanBeStartedForWaitsForTheOthers) {
  std::atomic<int> done = 0;
  const auto job = [&] { ++done; };
  absl::Notification begun;
  absl::Notification go_on;
  {
    WorkThreads threads("test", 2);
    threads.Post([&] {
      begun.Notify();
      go_on.WaitForNotification();
    });
    begun.WaitForNotification();
    {
      const NoNewThreads none;
      EXPECT_TRUE(threads.TryPost("a", job, 4));
      threads.Post(job);
    }
    EXPECT_EQ(threads.load().waiting, 2u);
    go_on.Notify();
  }
  EXPECT_EQ(done, 2);
}

}  // namespace
}  // namespace nfmeter::service
