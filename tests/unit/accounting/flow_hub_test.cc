// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/flows/flow_hub.h"

#include <errno.h>

#include <memory>
#include <thread>

#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernel/fake/fake_flow_table.h"
#include "tests/support/fake_clock.h"
#include "tests/support/status_matchers.h"
#include "tests/unit/accounting/flow_records.h"

namespace nfmeter::accounting {
namespace {

using ::nfmeter::testing::FakeClock;
using ::nfmeter::testing::HasReason;
using ::nfmeter::testing::StatusIs;
using ::nfmeter::testing::TcpFlow;
using ::testing::SizeIs;
using Code = absl::StatusCode;

constexpr absl::Duration kFloor = absl::Milliseconds(500);
constexpr absl::Duration kDrain = absl::Milliseconds(100);

// Counts calls of on_ready.
class Bell {
 public:
  std::function<void()> Ringer() {
    return [this] {
      absl::MutexLock lock(&mutex_);
      ++rings_;
    };
  }
  // Waits until `has` gives something.
  template <typename Has>
  auto Await(Has has) {
    while (true) {
      int before;
      {
        absl::MutexLock lock(&mutex_);
        before = rings_;
      }
      auto found = has();
      if (found) return found;
      absl::MutexLock lock(&mutex_);
      const auto rung = [this, before] { return rings_ != before; };
      mutex_.Await(absl::Condition(&rung));
    }
  }

 private:
  absl::Mutex mutex_;
  int rings_ = 0;
};

class FlowHubTest : public ::testing::Test {
 protected:
  void Make(const FlowHub::Options& options = {}) {
    hub_ = FlowHub::Create(table_, clock_, options);
  }
  void Count(const kernel::FlowRecord& flow, uint64_t packets) {
    table_.Count(flow, {packets, packets * 100}, {});
  }
  // Lets the clock go on, each time the hub has nothing more to do, until
  // `done`.
  template <typename Done>
  void RunUntil(Done done) {
    while (!done()) {
      if (!clock_.AdvanceSleepers(kDrain)) std::this_thread::yield();
    }
  }
  // Asks on another thread, which waits for the pause between two dumps.
  FlowHub::Summary Summarize(const FlowQuery& query,
                             absl::Duration staleness = absl::ZeroDuration()) {
    absl::StatusOr<FlowHub::Summary> answer;
    absl::Notification done;
    std::thread asks([&] {
      answer = hub_->Summarize(query, staleness);
      done.Notify();
    });
    RunUntil([&] { return done.HasBeenNotified(); });
    asks.join();
    EXPECT_OK(answer);
    return answer.ok() ? *answer : std::make_shared<FlowSummary>();
  }
  FlowFrame NextFrame(FlowWatch& watch) {
    std::optional<FlowFrame> frame;
    RunUntil([&] { return (frame = watch.Take()).has_value(); });
    return *frame;
  }
  // Waits until the first watch has its baseline.
  void AwaitBaseline() {
    RunUntil([&] { return table_.dumps() > 0; });
    clock_.AwaitSleepers();  // the reading has ended
  }

  const kernel::FlowRecord one_ = TcpFlow("10.0.0.1", 1, "10.0.1.1", 80);
  const kernel::FlowRecord two_ = TcpFlow("10.0.0.2", 2, "10.0.1.1", 443);
  kernel::FakeFlowTable table_;
  FakeClock clock_;
  Bell bell_;  // the hub rings it until it has ended
  std::unique_ptr<FlowHub> hub_;
};

TEST_F(FlowHubTest, DumpsNothingWithoutACaller) {
  Make();
  clock_.AwaitWaiter(absl::InfiniteDuration());
  EXPECT_EQ(table_.dumps(), 0u);
}

TEST_F(FlowHubTest, SumsWhatMatches) {
  Count(one_, 3);
  Count(two_, 5);
  Make();
  FlowQuery query = {.grouping = {.destination_port = true}, .limit = 10};
  query.filter.destination.ports = {{443, 443}};
  const auto summary = Summarize(query);
  EXPECT_TRUE(summary->reading.complete);
  EXPECT_TRUE(summary->reading.tracking.accounting);
  ASSERT_THAT(summary->ranking.groups, SizeIs(1));
  EXPECT_EQ(summary->ranking.groups[0].sums.bytes(), 500u);
}

TEST_F(FlowHubTest, PausesBetweenDumps) {
  Make();
  Summarize({.limit = 1});
  const absl::Duration start = clock_.BootTime();
  absl::Notification done;
  std::thread asks([&] {
    EXPECT_OK(hub_->Summarize({.limit = 1}, absl::ZeroDuration()));
    done.Notify();
  });
  RunUntil([&] { return done.HasBeenNotified(); });
  asks.join();
  EXPECT_GE(clock_.BootTime() - start, kFloor - 2 * kDrain);
  EXPECT_EQ(table_.dumps(), 2u);
}

TEST_F(FlowHubTest, GivesAnOldAnswerToThoseWhoTakeIt) {
  Count(one_, 3);
  Make();
  ASSERT_OK(hub_->Summarize({.limit = 1}, absl::Seconds(10)));
  Count(one_, 1);
  const auto old = hub_->Summarize({.limit = 1}, absl::Seconds(10));
  ASSERT_OK(old);
  EXPECT_EQ((*old)->ranking.total.bytes(), 300u);
  EXPECT_EQ(table_.dumps(), 1u);
  EXPECT_EQ(Summarize({.limit = 1})->ranking.total.bytes(), 400u);
}

TEST_F(FlowHubTest, ReadsAgainWhenTheTableWasResized) {
  Count(one_, 3);
  Count(two_, 3);
  int resizes = 0;
  table_.SetDuringDump([&] {
    if (resizes++ > 0) return;
    kernel::FlowTracking tracking = *table_.Tracking();
    tracking.buckets *= 2;
    table_.SetTracking(tracking);
  });
  Make();
  const auto summary = Summarize({.limit = 1});
  EXPECT_TRUE(summary->reading.complete);
  EXPECT_EQ(summary->ranking.total.flows, 2u);
  EXPECT_EQ(table_.dumps(), 2u);
}

TEST_F(FlowHubTest, SaysThatAReadingIsNotWhole) {
  Count(one_, 3);
  table_.SetDuringDump([&] {
    kernel::FlowTracking tracking = *table_.Tracking();
    tracking.buckets += 1;
    table_.SetTracking(tracking);
  });
  Make();
  EXPECT_FALSE(Summarize({.limit = 1})->reading.complete);
}

TEST_F(FlowHubTest, ListsInChunks) {
  for (int i = 0; i < 1'200; ++i) {
    Count(TcpFlow("10.0.0.1", 1'000 + i, "10.0.1.1", 80), 1);
  }
  Make();
  const auto listing = hub_->List({}, absl::ZeroDuration(), bell_.Ringer());
  size_t flows = 0;
  size_t chunks = 0;
  const auto end = bell_.Await([&] {
    while (const FlowChunk chunk = listing->Take()) {
      flows += chunk->size();
      ++chunks;
    }
    return listing->End();
  });
  ASSERT_OK(*end);
  EXPECT_TRUE((*end)->complete);
  EXPECT_EQ(flows, 1'200u);
  EXPECT_EQ(chunks, 3u);
}

TEST_F(FlowHubTest, EndsAListThatIsReadTooSlowly) {
  for (int i = 0; i < 3'000; ++i) {
    Count(TcpFlow("10.0.0.1", 1'000 + i, "10.0.1.1", 80), 1);
  }
  Make({.max_unsent_flows = 1'000, .max_pause = absl::Milliseconds(1)});
  const auto listing = hub_->List({}, absl::ZeroDuration(), bell_.Ringer());
  const auto end = bell_.Await([&] { return listing->End(); });
  EXPECT_THAT(*end, StatusIs(Code::kResourceExhausted));
  EXPECT_THAT(*end, HasReason("FLOWS_READ_TOO_SLOWLY"));
  EXPECT_EQ(hub_->stats().slow_lists, 1u);
}

TEST_F(FlowHubTest, WatchesWhatIsNewAndWhatEnds) {
  Count(one_, 10);
  Make();
  const auto watch =
      hub_->Watch({.limit = 10}, absl::Seconds(1), bell_.Ringer());
  AwaitBaseline();
  Count(one_, 2);
  Count(two_, 3);
  table_.End(one_);
  const FlowFrame frame = NextFrame(*watch);
  EXPECT_EQ(frame.ranking.total.original, (kernel::FlowCounts{5, 500}));
  EXPECT_EQ(frame.ranking.total.flows, 1u);
  EXPECT_EQ(frame.ranking.total.ended_flows, 1u);
  EXPECT_FALSE(frame.losses.any());
}

TEST_F(FlowHubTest, LosesNothingForASlowWatcher) {
  Make();
  const auto watch =
      hub_->Watch({.limit = 10}, absl::Seconds(1), bell_.Ringer());
  AwaitBaseline();
  for (int i = 0; i < 3; ++i) {
    Count(one_, 1);
    const size_t before = table_.dumps();
    RunUntil([&] { return table_.dumps() > before + 1; });
  }
  const FlowFrame frame = NextFrame(*watch);
  EXPECT_EQ(frame.ranking.total.original.packets, 3u);
  EXPECT_GE(frame.merged_frames, 1u);
}

TEST_F(FlowHubTest, DeclaresLostEnds) {
  Count(one_, 10);
  Make();
  const auto watch =
      hub_->Watch({.limit = 10}, absl::Seconds(1), bell_.Ringer());
  AwaitBaseline();
  Count(one_, 2);
  table_.EndUnseen(one_);
  const FlowFrame frame = NextFrame(*watch);
  EXPECT_EQ(frame.losses.lost_ends, 1u);
  EXPECT_TRUE(frame.losses.any());
  EXPECT_EQ(frame.ranking.total.bytes(), 0u);
}

TEST_F(FlowHubTest, DeclaresThatEndsAreNotTold) {
  kernel::FlowTracking tracking = *table_.Tracking();
  tracking.events = 0;
  table_.SetTracking(tracking);
  Make();
  const auto watch =
      hub_->Watch({.limit = 10}, absl::Seconds(1), bell_.Ringer());
  EXPECT_TRUE(NextFrame(*watch).losses.no_ends);
}

TEST_F(FlowHubTest, RefusesToWatchWithoutAccounting) {
  kernel::FlowTracking tracking = *table_.Tracking();
  tracking.accounting = false;
  table_.SetTracking(tracking);
  Make();
  const auto watch = hub_->Watch({}, absl::Seconds(1), bell_.Ringer());
  const auto end = bell_.Await([&] { return watch->End(); });
  EXPECT_THAT(*end, HasReason("FLOW_ACCOUNTING_OFF"));
}

TEST_F(FlowHubTest, ListensOnlyWhileSomebodyWatches) {
  Make();
  const auto watch =
      hub_->Watch({.limit = 1}, absl::Seconds(1), bell_.Ringer());
  NextFrame(*watch);
  EXPECT_EQ(table_.subscriptions(), 1u);
  watch->Cancel();
  RunUntil([&] { return table_.subscriptions() == 0; });
  clock_.AwaitWaiter(absl::InfiniteDuration());
  EXPECT_EQ(hub_->watch_count(), 0u);
}

TEST_F(FlowHubTest, EndsAWatchAfterAFewFailures) {
  Make();
  const auto watch =
      hub_->Watch({.limit = 1}, absl::Seconds(1), bell_.Ringer());
  NextFrame(*watch);
  table_.FailDumps(EPERM);
  std::optional<absl::Status> end;
  RunUntil([&] { return (end = watch->End()).has_value(); });
  EXPECT_THAT(*end, StatusIs(Code::kPermissionDenied));
}

TEST_F(FlowHubTest, SaysWhyThereAreNoFlows) {
  table_.FailDumps(EINVAL);
  Make();
  EXPECT_THAT(hub_->Summarize({}, absl::ZeroDuration()),
              HasReason("CONNTRACK_UNAVAILABLE"));
  EXPECT_EQ(hub_->stats().failed, 1u);
}

TEST_F(FlowHubTest, AsksTheKernelOnlyForWhatEverybodyWants) {
  Make();
  FlowQuery query = {.limit = 1};
  query.filter.family = kernel::Family::kIpv4;
  query.filter.protocol = 6;
  Summarize(query);
  EXPECT_EQ(table_.last_filter().protocol, 6);
  const auto watch =
      hub_->Watch({.limit = 1}, absl::Seconds(1), bell_.Ringer());
  NextFrame(*watch);
  Summarize(query);
  EXPECT_FALSE(table_.last_filter().has_any());
}

}  // namespace
}  // namespace nfmeter::accounting
