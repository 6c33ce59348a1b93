// SPDX-License-Identifier: GPL-3.0-or-later
#include <errno.h>

#include <thread>

#include "tests/component/snapshot_fixture.h"
#include "tests/support/status_matchers.h"

namespace nfmeter::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

class SnapshotWatchTest : public SnapshotFixture {
 protected:
  v1::WatchSnapshotsRequest Request(v1::SnapshotView view, bool changed_only) {
    v1::WatchSnapshotsRequest request;
    request.set_view(view);
    request.set_changed_only(changed_only);
    return request;
  }
  // Waits until the server has no stream to serve any more.
  void AwaitStreamsGone() {
    while (hub_->subscriber_count() != 0) std::this_thread::yield();
  }
};

TEST_F(SnapshotWatchTest, TheFirstFrameIsFullAndOneComesEachInterval) {
  Create("a");
  Create("b");
  Watch watch(*stub_, {});
  auto frame = watch.Next()->frame();
  EXPECT_TRUE(frame.full());
  EXPECT_TRUE(frame.complete());
  EXPECT_EQ(frame.expected_count(), 2u);
  EXPECT_THAT(RowsOf(frame), ElementsAre(Pair("a", 0), Pair("b", 0)));
  for (int i = 1; i <= 3; ++i) {
    Count("b");
    Tick();
    const auto response = *watch.Next();
    EXPECT_EQ(response.frame().boottime().seconds(), 1000 + i);
    EXPECT_TRUE(response.frame().full());
    EXPECT_EQ(response.missed_frames(), 0u);
    EXPECT_THAT(RowsOf(response.frame()),
                ElementsAre(Pair("a", 0), Pair("b", i)));
  }
}

TEST_F(SnapshotWatchTest, TheSecondFrameComesAnIntervalAfterTheFirstOrLater) {
  Create("a");
  clock_.Advance(absl::Milliseconds(300));
  Watch watch(*stub_, {});
  EXPECT_EQ(watch.Next()->frame().sequence(), 1u);
  const int dumps = table_.dumps();
  Tick();
  // Nobody wanted one at 1001, so that none was taken.
  EXPECT_EQ(table_.dumps(), dumps);
  Tick();
  auto response = *watch.Next();
  EXPECT_EQ(response.frame().boottime().seconds(), 1002);
  EXPECT_EQ(response.frame().sequence(), 2u);
  EXPECT_EQ(response.missed_frames(), 0u);
  Tick();
  response = *watch.Next();
  EXPECT_EQ(response.frame().boottime().seconds(), 1003);
  EXPECT_EQ(response.frame().sequence(), 3u);
}

TEST_F(SnapshotWatchTest, AFirstFrameJustAfterATickDoesNotSkipTheNext) {
  Create("a");
  clock_.Advance(absl::Milliseconds(50));
  Watch watch(*stub_, {});
  watch.Next();
  Tick();
  EXPECT_EQ(watch.Next()->frame().boottime().seconds(), 1001);
}

TEST_F(SnapshotWatchTest, AStreamThatJoinsOthersWaitsAnIntervalForItself) {
  Create("a");
  Watch early(*stub_, {});
  early.Next();
  clock_.Advance(absl::Milliseconds(500));
  Watch late(*stub_, {});
  EXPECT_EQ(late.Next()->frame().sequence(), 2u);
  Tick();
  EXPECT_EQ(early.Next()->frame().sequence(), 3u);
  Tick();
  const auto response = *late.Next();
  EXPECT_EQ(response.frame().sequence(), 4u);
  // It was not due at 1001, so that it has missed nothing.
  EXPECT_EQ(response.missed_frames(), 0u);
}

TEST_F(SnapshotWatchTest, ColumnsSendChosenLabelsWithNamesAndWhenTheyChange) {
  Create("a");
  Create("b");
  ASSERT_OK(labels_->Set({{"a", {{"tenant", "acme"}, {"secret", "x"}}}}));
  v1::WatchSnapshotsRequest request =
      Request(v1::SNAPSHOT_VIEW_COLUMNS, /*changed_only=*/true);
  request.add_label_keys("tenant");
  request.add_label_keys("rack");
  Watch watch(*stub_, request);
  auto columns = watch.Next()->frame().columns();
  ASSERT_THAT(columns.labels(), SizeIs(2));
  EXPECT_EQ(columns.labels(0).key(), "tenant");
  EXPECT_THAT(columns.labels(0).values(), ElementsAre("acme", ""));
  EXPECT_THAT(columns.labels(1).values(), ElementsAre("", ""));
  Count("b");
  Tick();
  EXPECT_THAT(watch.Next()->frame().columns().labels(), IsEmpty());
  ASSERT_OK(labels_->Set({{"b", {{"rack", "r12"}}}}));
  Tick();
  const auto frame = watch.Next()->frame();
  EXPECT_TRUE(frame.full());
  EXPECT_EQ(frame.columns().new_names(), "a\nb\n");
  EXPECT_THAT(frame.columns().labels(1).values(), ElementsAre("", "r12"));
}

TEST_F(SnapshotWatchTest, LabelKeysAreChecked) {
  v1::WatchSnapshotsRequest request =
      Request(v1::SNAPSHOT_VIEW_COLUMNS, /*changed_only=*/false);
  request.add_label_keys("");
  for (int i = 0; i < 16; ++i) request.add_label_keys(absl::StrCat("k", i));
  grpc::ClientContext context;
  v1::WatchSnapshotsResponse response;
  auto reader = stub_->WatchSnapshots(&context, request);
  EXPECT_FALSE(reader->Read(&response));
  EXPECT_THAT(WrongFieldsOf(reader->Finish()),
              UnorderedElementsAre("label_keys", "label_keys[0]"));
}

TEST_F(SnapshotWatchTest, ColumnsSendEachNameOnce) {
  Create("a");
  Watch watch(*stub_, Request(v1::SNAPSHOT_VIEW_COLUMNS, false));
  ColumnReader reader;
  EXPECT_THAT(reader.Rows(watch.Next()->frame()), ElementsAre(Pair("a", 0)));
  Count("a", 7);
  Create("b");
  Tick();
  auto frame = watch.Next()->frame();
  EXPECT_EQ(frame.columns().new_names(), "b\n");
  EXPECT_THAT(reader.Rows(frame), ElementsAre(Pair("a", 7), Pair("b", 0)));
  Tick();
  frame = watch.Next()->frame();
  EXPECT_EQ(frame.columns().new_names(), "");
  EXPECT_THAT(reader.Rows(frame), ElementsAre(Pair("a", 7), Pair("b", 0)));
}

TEST_F(SnapshotWatchTest, ColumnsTellWhichAreOverTheirQuota) {
  Create("free");
  Create("capped",
         {.quota = kernel::QuotaLimit{kernel::QuotaLimit::Unit::kPackets, 5}});
  Watch watch(*stub_, Request(v1::SNAPSHOT_VIEW_COLUMNS, true));
  ColumnReader reader;
  auto frame = watch.Next()->frame();
  reader.Rows(frame);
  EXPECT_THAT(frame.columns().exceeded_ids(), IsEmpty());
  Count("capped", 5);
  Tick();
  frame = watch.Next()->frame();
  ASSERT_THAT(frame.columns().exceeded_ids(), SizeIs(1));
  EXPECT_EQ(reader.NameOf(frame.columns().exceeded_ids(0)), "capped");
}

TEST_F(SnapshotWatchTest, ChangedOnlySendsWhatChangedCameAndWent) {
  for (const auto view : {v1::SNAPSHOT_VIEW_ROWS, v1::SNAPSHOT_VIEW_COLUMNS}) {
    for (const char* name : {"idle", "busy", "leaves"}) Create(name);
    Watch watch(*stub_, Request(view, true));
    ColumnReader columns;
    const auto rows = [&](const v1::SnapshotFrame& frame) {
      return view == v1::SNAPSHOT_VIEW_ROWS ? RowsOf(frame)
                                            : columns.Rows(frame);
    };
    auto frame = watch.Next()->frame();
    EXPECT_TRUE(frame.full());
    EXPECT_THAT(rows(frame), SizeIs(3));

    Count("busy", 5);
    Create("comes");
    table_.Delete({"leaves"});
    Tick();
    frame = watch.Next()->frame();
    EXPECT_FALSE(frame.full());
    EXPECT_EQ(frame.expected_count(), 3u);
    EXPECT_THAT(rows(frame), ElementsAre(Pair("busy", 5), Pair("comes", 0)));
    if (view == v1::SNAPSHOT_VIEW_ROWS) {
      EXPECT_THAT(frame.removed_names(), ElementsAre("leaves"));
    } else {
      ASSERT_THAT(frame.columns().removed_ids(), SizeIs(1));
      EXPECT_EQ(columns.NameOf(frame.columns().removed_ids(0)), "leaves");
    }
    table_.Delete({"idle", "busy", "comes"});
    watch.Cancel();
    watch.Finish();
    AwaitStreamsGone();
  }
}

TEST_F(SnapshotWatchTest, QuietStreamsSendNothingButHeartbeats) {
  Create("a");
  auto request = Request(v1::SNAPSHOT_VIEW_ROWS, true);
  request.mutable_heartbeat()->set_seconds(3);
  Watch watch(*stub_, request);
  EXPECT_EQ(watch.Next()->frame().boottime().seconds(), 1000);
  for (int i = 0; i < 3; ++i) Tick();
  auto response = *watch.Next();
  EXPECT_EQ(response.frame().boottime().seconds(), 1003);
  EXPECT_FALSE(response.frame().full());
  EXPECT_EQ(response.frame().expected_count(), 1u);
  EXPECT_EQ(response.frame().counters_size(), 0);
  // A change is sent at once and starts the time anew.
  Count("a");
  Tick();
  EXPECT_EQ(watch.Next()->frame().boottime().seconds(), 1004);
  for (int i = 0; i < 3; ++i) Tick();
  EXPECT_EQ(watch.Next()->frame().boottime().seconds(), 1007);
}

TEST_F(SnapshotWatchTest, ASlowReaderGetsTheNewestFrameAndTheNumberMissed) {
  Create("counter-with-a-long-name-", 20'000 / 10);
  Create("c", 30'000);
  Watch slow(*stub_, Request(v1::SNAPSHOT_VIEW_ROWS, false));
  auto fast_channel = NewChannel();
  auto fast_stub = v1::SnapshotService::NewStub(fast_channel);
  Watch fast(*fast_stub, Request(v1::SNAPSHOT_VIEW_COLUMNS, false));
  ASSERT_TRUE(slow.Next().has_value());
  const uint64_t first = fast.Next()->frame().sequence();
  // The flow control window is filled by one frame of megabytes, and others
  // are not held up.
  uint64_t newest = first;
  constexpr uint64_t kTicks = 60;
  for (uint64_t i = 0; i < kTicks; ++i) {
    Count("c0");
    Tick();
    const auto response = fast.Next();
    EXPECT_EQ(response->missed_frames(), 0u);
    newest = response->frame().sequence();
  }
  // What the buffers on the way hold, however many ticks there are, then the
  // newest.
  uint64_t seen = 0;
  uint64_t missed = 0;
  uint64_t last = 0;
  while (last != newest) {
    const auto response = slow.Next();
    ASSERT_TRUE(response.has_value());
    ++seen;
    missed += response->missed_frames();
    last = response->frame().sequence();
  }
  EXPECT_LE(seen, kTicks / 4);
  EXPECT_EQ(seen + missed, kTicks);
}

TEST_F(SnapshotWatchTest, DeltasOfASlowReaderBuildOnWhatItWasSent) {
  Create("c", 30'000);
  Watch slow(*stub_, Request(v1::SNAPSHOT_VIEW_COLUMNS, true));
  auto fast_channel = NewChannel();
  auto fast_stub = v1::SnapshotService::NewStub(fast_channel);
  Watch fast(*fast_stub, Request(v1::SNAPSHOT_VIEW_COLUMNS, false));
  fast.Next();
  ColumnReader reader;
  std::map<std::string, uint64_t> state = reader.Rows(slow.Next()->frame());
  uint64_t newest = 0;
  for (int i = 0; i < 30; ++i) {
    // All of them, so that frames are large.
    for (int c = i % 2; c < 30'000; c += 2) Count(absl::StrCat("c", c));
    Tick();
    newest = fast.Next()->frame().sequence();
  }
  uint64_t last = 0;
  while (last != newest) {
    const auto response = slow.Next();
    ASSERT_TRUE(response.has_value());
    for (const auto& [name, packets] : reader.Rows(response->frame())) {
      state[name] = packets;
    }
    last = response->frame().sequence();
  }
  EXPECT_EQ(state.size(), 30'000u);
  for (const auto& [name, packets] : state) ASSERT_EQ(packets, 15u) << name;
}

TEST_F(SnapshotWatchTest, ResumingTellsHowManySnapshotsWereTakenSince) {
  Create("a");
  uint64_t sequence;
  {
    Watch watch(*stub_, {});
    sequence = watch.Next()->frame().sequence();
  }
  for (int i = 0; i < 3; ++i) ASSERT_OK(hub_->Take(absl::ZeroDuration()));
  v1::WatchSnapshotsRequest request;
  request.mutable_resume_after()->set_epoch(hub_->epoch());
  request.mutable_resume_after()->set_sequence(sequence);
  Watch watch(*stub_, request);
  const auto response = *watch.Next();
  EXPECT_TRUE(response.frame().full());
  EXPECT_EQ(response.frame().sequence(), sequence + 4);
  EXPECT_EQ(response.missed_frames(), 3u);
  Tick();
  EXPECT_EQ(watch.Next()->missed_frames(), 0u);
}

TEST_F(SnapshotWatchTest, APositionOfAnotherEpochStartsNow) {
  Create("a");
  v1::WatchSnapshotsRequest request;
  request.mutable_resume_after()->set_epoch(hub_->epoch() + 1);
  request.mutable_resume_after()->set_sequence(1'000'000);
  Watch watch(*stub_, request);
  const auto response = *watch.Next();
  EXPECT_TRUE(response.frame().full());
  EXPECT_EQ(response.missed_frames(), 0u);
}

TEST_F(SnapshotWatchTest, APositionThatWasNeverReachedIsRefused) {
  v1::WatchSnapshotsRequest request;
  request.mutable_resume_after()->set_epoch(hub_->epoch());
  request.mutable_resume_after()->set_sequence(1'000'000);
  Watch watch(*stub_, request);
  EXPECT_FALSE(watch.Next().has_value());
  const grpc::Status status = watch.Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(WrongFieldsOf(status), ElementsAre("resume_after.sequence"));
}

TEST_F(SnapshotWatchTest, ALabelThatChangesShowsInFilteredStreams) {
  Create("a");
  Create("b");
  ASSERT_OK(labels_->Set({{"a", {{"team", "x"}}}}));
  auto request = Request(v1::SNAPSHOT_VIEW_COLUMNS, true);
  (*request.mutable_filter()->mutable_labels())["team"] = "x";
  Watch watch(*stub_, request);
  EXPECT_THAT(ColumnReader().Rows(watch.Next()->frame()),
              ElementsAre(Pair("a", 0)));
  ASSERT_OK(labels_->Set({{"b", {{"team", "x"}}}, {"a", {}}}));
  Tick();
  const auto frame = watch.Next()->frame();
  EXPECT_TRUE(frame.full());
  EXPECT_THAT(ColumnReader().Rows(frame), ElementsAre(Pair("b", 0)));
}

TEST_F(SnapshotWatchTest, AnIncompleteFrameRemovesNothing) {
  Create("c", 600);
  Watch watch(*stub_, Request(v1::SNAPSHOT_VIEW_ROWS, true));
  watch.Next();
  table_.CutDumps(256, 5);
  Count("c1");
  Tick();
  auto frame = watch.Next()->frame();
  EXPECT_FALSE(frame.complete());
  EXPECT_EQ(frame.removed_names_size(), 0);
  EXPECT_THAT(RowsOf(frame), ElementsAre(Pair("c1", 1)));
  Count("c500");
  Tick();
  frame = watch.Next()->frame();
  EXPECT_TRUE(frame.complete());
  EXPECT_EQ(RowsOf(frame)["c500"], 1u);
  EXPECT_EQ(frame.removed_names_size(), 0);
}

TEST_F(SnapshotWatchTest, OneFailedReadingIsOutlivedAndManyEndTheStream) {
  Create("a");
  Watch watch(*stub_, {});
  watch.Next();
  table_.InjectErrno(kernel::Operation::kAcctDump, ENOMEM);
  Tick();
  Tick();
  EXPECT_EQ(watch.Next()->frame().boottime().seconds(), 1002);
  table_.InjectErrno(kernel::Operation::kAcctDump, EPERM, 3);
  for (int i = 0; i < 3; ++i) Tick();
  EXPECT_FALSE(watch.Next().has_value());
  EXPECT_EQ(watch.Finish().error_code(), grpc::StatusCode::PERMISSION_DENIED);
}

TEST_F(SnapshotWatchTest, WrongFieldsAreAllNamed) {
  v1::WatchSnapshotsRequest request;
  request.mutable_interval()->set_seconds(-1);
  request.mutable_heartbeat()->set_nanos(2'000'000'000);
  request.set_view(static_cast<v1::SnapshotView>(9));
  Watch watch(*stub_, request);
  EXPECT_FALSE(watch.Next().has_value());
  const grpc::Status status = watch.Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(WrongFieldsOf(status),
              UnorderedElementsAre("interval", "heartbeat", "view"));
}

TEST_F(SnapshotWatchTest, TooShortAnIntervalIsTheShortestThereIs) {
  limits_.min_snapshot_interval = absl::Seconds(5);
  Start();
  v1::WatchSnapshotsRequest request;
  request.mutable_interval()->set_nanos(1);
  Watch watch(*stub_, request);
  watch.Next();
  clock_.AwaitWaiter(absl::Seconds(1005));
}

TEST_F(SnapshotWatchTest, MoreStreamsThanTheBoundAreRefusedWithTheBound) {
  limits_.max_streams = 3;
  Start();
  std::vector<std::unique_ptr<Watch>> watches;
  for (int i = 0; i < 3; ++i) {
    watches.push_back(
        std::make_unique<Watch>(*stub_, v1::WatchSnapshotsRequest()));
    ASSERT_TRUE(watches.back()->Next().has_value());
  }
  Watch one_more(*stub_, {});
  EXPECT_FALSE(one_more.Next().has_value());
  const grpc::Status status = one_more.Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(ErrorInfoOf(status).reason(), "TOO_MANY_STREAMS");
  EXPECT_EQ(ErrorInfoOf(status).metadata().at("bound"), "3");
  // Room again when one has left.
  watches.front()->Cancel();
  watches.front()->Finish();
  for (bool accepted = false; !accepted;) {
    Watch again(*stub_, {});
    accepted = again.Next().has_value();
  }
}

TEST_F(SnapshotWatchTest, ShutdownEndsAllStreamsAndSaysWhatToDo) {
  Create("a");
  std::vector<std::unique_ptr<Watch>> watches;
  for (int i = 0; i < 20; ++i) {
    watches.push_back(
        std::make_unique<Watch>(*stub_, v1::WatchSnapshotsRequest()));
    ASSERT_TRUE(watches.back()->Next().has_value());
  }
  streams_->Shutdown();
  for (const auto& watch : watches) {
    EXPECT_FALSE(watch->Next().has_value());
    const grpc::Status status = watch->Finish();
    EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
    EXPECT_EQ(ErrorInfoOf(status).reason(), "SERVER_SHUTDOWN");
  }
  Watch late(*stub_, {});
  EXPECT_FALSE(late.Next().has_value());
  EXPECT_EQ(ErrorInfoOf(late.Finish()).reason(), "SERVER_SHUTDOWN");
}

TEST_F(SnapshotWatchTest, ShutdownDoesNotHangOnClientsThatDoNotRead) {
  Create("c", 50'000);
  std::vector<std::unique_ptr<Watch>> watches;
  for (int i = 0; i < 20; ++i) {
    watches.push_back(
        std::make_unique<Watch>(*stub_, v1::WatchSnapshotsRequest()));
  }
  ASSERT_TRUE(watches[0]->Next().has_value());
  Stop();
  for (const auto& watch : watches) {
    while (watch->Next().has_value()) continue;
    EXPECT_FALSE(watch->Finish().ok());
  }
}

TEST_F(SnapshotWatchTest, StreamsThatComeAndGoLeaveNothingBehind) {
  Create("c", 2000);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 60; ++i) {
        Watch watch(*stub_, Request(v1::SNAPSHOT_VIEW_COLUMNS, t % 2 == 0));
        if (i % 3 != 0) watch.Next();
        watch.Cancel();
        watch.Finish();
        clock_.Advance(absl::Milliseconds(250));
      }
    });
  }
  for (auto& thread : threads) thread.join();
  AwaitStreamsGone();
}

}  // namespace
}  // namespace nfmeter::testing
