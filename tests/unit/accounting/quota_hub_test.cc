// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/quotas/quota_hub.h"

#include <errno.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernel/fake/fake_acct_table.h"
#include "tests/support/busy_lane.h"
#include "tests/support/fake_clock.h"
#include "tests/support/status_matchers.h"

namespace nfmeter::accounting {
namespace {

using ::nfmeter::testing::BusyLane;
using ::nfmeter::testing::FakeClock;
using ::nfmeter::testing::StatusIs;
using ::testing::ElementsAre;

// A subscription whose events a test waits for.
class Listener {
 public:
  explicit Listener(
      QuotaHub& hub, std::function<bool(const std::string&)> wanted =
                         [](const std::string&) { return true; }) {
    subscription_ = hub.Subscribe(std::move(wanted), [this] {
      absl::MutexLock lock(&mutex_);
      ready_ = true;
    });
  }

  absl::StatusOr<QuotaEvent> Next() {
    while (true) {
      auto event = subscription_->Take();
      if (!event.ok()) return event.status();
      if (event->has_value()) return **event;
      absl::MutexLock lock(&mutex_);
      if (!mutex_.AwaitWithTimeout(absl::Condition(&ready_),
                                   absl::Seconds(20))) {
        return absl::DeadlineExceededError("no event");
      }
      ready_ = false;
    }
  }

  // "kind name" of the next events.
  std::vector<std::string> Events(int count) {
    std::vector<std::string> events;
    for (int i = 0; i < count; ++i) {
      const auto event = Next();
      if (!event.ok()) return {event.status().ToString()};
      const char* kKinds[] = {"standing", "crossed", "recovered", "synced"};
      events.push_back(absl::StrCat(kKinds[static_cast<int>(event->kind)], " ",
                                    event->object.name));
    }
    return events;
  }

 private:
  absl::Mutex mutex_;
  bool ready_ ABSL_GUARDED_BY(mutex_) = false;
  std::unique_ptr<QuotaHub::Subscription> subscription_;
};

// Its quota events may be held back, as those that wait in a socket's buffer.
class TableOfLateEvents final : public kernel::FakeAcctTable {
 public:
  using FakeAcctTable::FakeAcctTable;

  void HoldEvents(bool hold) {
    absl::MutexLock lock(&mutex_);
    flowing_ = !hold;
  }
  absl::StatusOr<std::unique_ptr<kernel::QuotaEvents>> WatchQuotas() override {
    auto events = FakeAcctTable::WatchQuotas();
    if (!events.ok()) return events.status();
    return std::make_unique<LateEvents>(*this, *std::move(events));
  }

 private:
  class LateEvents final : public kernel::QuotaEvents {
   public:
    LateEvents(TableOfLateEvents& table,
               std::unique_ptr<kernel::QuotaEvents> events)
        : table_(table), events_(std::move(events)) {}
    absl::StatusOr<kernel::AcctObject> Next() override {
      auto event = events_->Next();
      absl::MutexLock lock(&table_.mutex_, absl::Condition(&table_.flowing_));
      return event;
    }
    void Cancel() override { events_->Cancel(); }

   private:
    TableOfLateEvents& table_;
    const std::unique_ptr<kernel::QuotaEvents> events_;
  };

  absl::Mutex mutex_;
  bool flowing_ ABSL_GUARDED_BY(mutex_) = true;
};

class QuotaHubTest : public ::testing::Test {
 protected:
  void Start(const QuotaHub::Options& options = {}) {
    hub_ = QuotaHub::Create(table_, lane_, clock_, options);
  }
  void Create(const std::string& name, uint64_t packets) {
    ASSERT_OK(
        table_.Create({{.name = name,
                        .quota = kernel::QuotaLimit{
                            kernel::QuotaLimit::Unit::kPackets, packets}}})[0]);
  }
  void Count(const std::string& name, uint64_t packets) {
    ASSERT_OK(table_.Count(name, packets, packets * 100));
  }
  void Reset(const std::string& name) {
    ASSERT_OK(table_.GetAndReset({name})[0]);
  }
  // Waits until so many jobs wait in the lane.
  void AwaitJobs(size_t count) {
    while (lane_.waiting() < count) std::this_thread::yield();
  }

  TableOfLateEvents table_{{.dump_group_size = 1}};
  FakeClock clock_;
  Lane lane_{"lane", 1000};
  std::unique_ptr<QuotaHub> hub_;
};

TEST_F(QuotaHubTest, StandingOnesComeFirstThenSyncedThenCrossings) {
  Create("over", 5);
  Create("under", 5);
  Count("over", 6);
  Start();
  Listener listener(*hub_);
  EXPECT_THAT(listener.Events(2), ElementsAre("standing over", "synced "));
  Count("under", 5);
  const auto event = listener.Next();
  ASSERT_OK(event);
  EXPECT_EQ(event->kind, QuotaEvent::Kind::kCrossed);
  EXPECT_EQ(event->object.name, "under");
  EXPECT_EQ(event->object.packets, 5u);
  EXPECT_TRUE(event->object.quota_exceeded);
  EXPECT_EQ(event->time, clock_.WallTime());
}

TEST_F(QuotaHubTest, EverySubscriberGetsEveryCrossingOnce) {
  for (int i = 0; i < 50; ++i) Create(absl::StrCat("q", i), 1);
  Start();
  Listener first(*hub_);
  Listener second(*hub_);
  first.Events(1);
  second.Events(1);
  std::vector<std::string> expected;
  for (int i = 0; i < 50; ++i) {
    Count(absl::StrCat("q", i), 3);
    expected.push_back(absl::StrCat("crossed q", i));
  }
  EXPECT_EQ(first.Events(50), expected);
  EXPECT_EQ(second.Events(50), expected);
}

TEST_F(QuotaHubTest, ACounterThatWasResetCrossesAgain) {
  Create("q", 5);
  Start();
  Listener listener(*hub_);
  listener.Events(1);
  for (int i = 0; i < 3; ++i) {
    Count("q", 5);
    EXPECT_THAT(listener.Events(1), ElementsAre("crossed q"));
    Reset("q");
  }
}

TEST_F(QuotaHubTest, AStandingOneThatIsResetByOthersCrossesAgain) {
  Create("q", 5);
  Count("q", 1000);
  Start();
  Listener listener(*hub_);
  listener.Events(2);
  Reset("q");
  Count("q", 5);
  EXPECT_THAT(listener.Events(1), ElementsAre("crossed q"));
}

TEST_F(QuotaHubTest, AStandingOneThatWeResetCrossesAgainWithTheSameValues) {
  Create("q", 5);
  Count("q", 5);
  Start();
  Listener listener(*hub_);
  listener.Events(2);
  Reset("q");
  hub_->OnReset({{.name = "q"}});
  Count("q", 5);
  EXPECT_THAT(listener.Events(1), ElementsAre("crossed q"));
}

TEST_F(QuotaHubTest, AnEventThatComesAfterAReadingFoundItsCrossingIsNotTold) {
  Create("q", 5);
  Create("last", 5);
  Start();
  Listener first(*hub_);
  first.Events(1);
  table_.HoldEvents(true);
  Count("q", 5);
  // The reading for another subscriber comes first.
  Listener second(*hub_);
  EXPECT_THAT(second.Events(2), ElementsAre("standing q", "synced "));
  EXPECT_THAT(first.Events(1), ElementsAre("recovered q"));
  table_.HoldEvents(false);
  Count("last", 5);
  EXPECT_THAT(first.Events(1), ElementsAre("crossed last"));
  EXPECT_THAT(second.Events(1), ElementsAre("crossed last"));
}

TEST_F(QuotaHubTest, WhatTheKernelDroppedIsFoundByReading) {
  for (int i = 0; i < 20; ++i) Create(absl::StrCat("q", i), 1);
  Start();
  Listener listener(*hub_);
  listener.Events(1);
  Count("q0", 1);
  EXPECT_THAT(listener.Events(1), ElementsAre("crossed q0"));
  BusyLane busy(lane_);
  table_.DropQuotaEvents(19);
  AwaitJobs(1);  // the reading
  for (int i = 1; i < 20; ++i) Count(absl::StrCat("q", i), 1);
  busy.Release();
  std::vector<std::string> expected;  // not q0 once more
  for (int i = 1; i < 20; ++i)
    expected.push_back(absl::StrCat("recovered q", i));
  EXPECT_EQ(listener.Events(19), expected);
  // Nothing comes twice: the next event is the next crossing.
  Create("last", 1);
  Count("last", 1);
  EXPECT_THAT(listener.Events(1), ElementsAre("crossed last"));
}

TEST_F(QuotaHubTest, CrossingsOfCountersThatOthersDeleteAreNotKeptForGood) {
  Start();
  Listener listener(*hub_);
  listener.Events(1);
  const auto readings = [&] { return table_.dumps(); };
  const int before = readings();
  for (uint64_t i = 1; i <= 10'000 && readings() == before; ++i) {
    const std::string name = absl::StrCat("session", i);
    Create(name, 1);
    Count(name, 1);
    ASSERT_OK(table_.Delete({name})[0]);
    while (hub_->stats().crossed < i) std::this_thread::yield();
  }
  EXPECT_GT(readings(), before);
}

TEST_F(QuotaHubTest, CrossingsAreToldWhileAReadingWaitsForItsNextTry) {
  Create("q", 1);
  Start();
  Listener before(*hub_);
  before.Events(1);
  BusyLane busy(lane_);
  table_.DropQuotaEvents();
  AwaitJobs(1);
  Listener during(*hub_);  // has a reading of its own, after the hub's
  AwaitJobs(2);
  table_.InjectErrno(kernel::Operation::kAcctDump, ENOMEM);
  busy.Release();
  EXPECT_THAT(during.Events(1), ElementsAre("synced "));
  clock_.AwaitWaiter(clock_.BootTime() + absl::Seconds(1));
  Count("q", 1);
  EXPECT_THAT(before.Events(1), ElementsAre("crossed q"));
  EXPECT_THAT(during.Events(1), ElementsAre("crossed q"));
}

TEST_F(QuotaHubTest, WhatCrossesDuringAReadingIsToldOnceToAll) {
  for (const char* name : {"passed", "over1", "over2", "ahead"}) {
    Create(name, 1);
  }
  Count("over1", 1);
  Count("over2", 1);
  Start();
  Listener before(*hub_);
  before.Events(3);
  // The next reading has passed one and has not come to the other yet.
  std::atomic<bool> done = false;
  table_.SetDumpHook([&](size_t records) {
    if (records != 1 || done.exchange(true)) return;
    Count("passed", 1);
    Count("ahead", 1);
    EXPECT_THAT(before.Events(2),
                ElementsAre("crossed passed", "crossed ahead"));
  });
  Listener during(*hub_);
  EXPECT_THAT(during.Events(5),
              ElementsAre("standing over1", "standing over2", "synced ",
                          "crossed passed", "crossed ahead"));
  // Nor does the next reading find them anew.
  Listener after(*hub_);
  EXPECT_THAT(after.Events(5),
              ElementsAre("standing passed", "standing over1", "standing over2",
                          "standing ahead", "synced "));
  Create("last", 1);
  Count("last", 1);
  EXPECT_THAT(before.Events(1), ElementsAre("crossed last"));
  EXPECT_THAT(during.Events(1), ElementsAre("crossed last"));
}

TEST_F(QuotaHubTest, ASubscriberAfterAFailedReadingIsAdmittedByTheNext) {
  Create("q", 1);
  Create("r", 1);
  Count("q", 1);
  table_.InjectErrno(kernel::Operation::kAcctDump, ENOMEM);
  Start();
  const absl::Duration retry = clock_.BootTime() + absl::Seconds(1);
  clock_.AwaitWaiter(retry);
  Listener listener(*hub_);
  clock_.Advance(absl::Seconds(1));
  EXPECT_THAT(listener.Events(2), ElementsAre("standing q", "synced "));
  Count("r", 1);
  EXPECT_THAT(listener.Events(1), ElementsAre("crossed r"));
}

TEST_F(QuotaHubTest, AReadingThatCanNeverSucceedEndsTheSubscriptions) {
  // Each of them: a subscriber during the first reading has one of its own.
  table_.InjectErrno(kernel::Operation::kAcctDump, EPERM, 1000);
  Start();
  Listener listener(*hub_);
  EXPECT_THAT(listener.Next(), StatusIs(absl::StatusCode::kPermissionDenied));
}

TEST_F(QuotaHubTest, SubscribersGetOnlyWhatTheyWant) {
  Create("a1", 1);
  Create("b1", 1);
  Create("a2", 1);
  Create("b2", 1);
  Count("a1", 1);
  Count("b1", 1);
  Start();
  Listener listener(*hub_,
                    [](const std::string& name) { return name[0] == 'b'; });
  EXPECT_THAT(listener.Events(2), ElementsAre("standing b1", "synced "));
  Count("a2", 1);
  Count("b2", 1);
  EXPECT_THAT(listener.Events(1), ElementsAre("crossed b2"));
}

TEST_F(QuotaHubTest, ASlowSubscriberLosesTheOldestAndIsToldHowMany) {
  for (int i = 0; i < 10; ++i) Create(absl::StrCat("q", i), 1);
  Start({.max_queue = 4});
  Listener slow(*hub_);
  Listener prompt(*hub_);
  EXPECT_THAT(slow.Events(1), ElementsAre("synced "));
  prompt.Events(1);
  for (int i = 0; i < 10; ++i) {
    Count(absl::StrCat("q", i), 1);
    prompt.Events(1);
  }
  const auto event = slow.Next();
  ASSERT_OK(event);
  EXPECT_EQ(event->object.name, "q6");
  EXPECT_EQ(event->missed, 6u);
  EXPECT_THAT(slow.Events(3),
              ElementsAre("crossed q7", "crossed q8", "crossed q9"));
}

TEST_F(QuotaHubTest, WithoutKernelSupportSubscribersAreToldSo) {
  table_.InjectErrno(kernel::Operation::kQuotaEvents, EPERM, 1000);
  Start();
  Listener listener(*hub_);
  absl::Status status;
  while (status.ok()) status = listener.Next().status();
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kPermissionDenied));
  // Those that come later too.
  Listener late(*hub_);
  status = absl::OkStatus();
  while (status.ok()) status = late.Next().status();
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kPermissionDenied));
}

TEST_F(QuotaHubTest, AFailedReadingEndsTheSubscription) {
  Start();
  Listener(*hub_).Events(1);
  table_.InjectErrno(kernel::Operation::kAcctDump, ENOMEM);
  Listener listener(*hub_);
  EXPECT_THAT(listener.Next(), StatusIs(absl::StatusCode::kResourceExhausted));
}

}  // namespace
}  // namespace nfmeter::accounting
