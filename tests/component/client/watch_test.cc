// SPDX-License-Identifier: GPL-3.0-or-later
// Watches of the SDK: frames, broken connections, restarts, being cancelled.
#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/notification.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/component/client/call_fixture.h"

namespace nfmeter {
namespace {

using ::nfmeter::testing::CallFixture;
using ::nfmeter::testing::kUnavailable;
using ::nfmeter::testing::StatusIs;
using ::nfmeter::testing::WaitForCancellation;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

using FrameWriter = grpc::ServerWriter<v1::WatchSnapshotsResponse>;

// A whole frame with one counter per name, ids from 0, all `packets`.
v1::WatchSnapshotsResponse Frame(uint64_t epoch, uint64_t sequence,
                                 const std::vector<std::string>& names,
                                 uint64_t packets) {
  v1::WatchSnapshotsResponse response;
  v1::SnapshotFrame& frame = *response.mutable_frame();
  frame.set_epoch(epoch);
  frame.set_sequence(sequence);
  frame.mutable_boottime()->set_seconds(100 + sequence);
  frame.set_full(true);
  frame.set_complete(true);
  frame.set_expected_count(names.size());
  frame.set_last_chunk(true);
  for (size_t i = 0; i < names.size(); ++i) {
    frame.mutable_columns()->add_ids(i);
    frame.mutable_columns()->add_packets(packets);
    frame.mutable_columns()->add_bytes(packets);
    frame.mutable_columns()->mutable_new_names()->append(names[i] + "\n");
  }
  return response;
}

class WatchTest : public CallFixture {
 protected:
  // Handlers by connection: the first stream gets the first, and so on.
  using Handler = std::function<grpc::Status(
      grpc::ServerContext&, const v1::WatchSnapshotsRequest&, FrameWriter&)>;
  void Serve(std::vector<Handler> handlers) {
    server_.snapshots.on_WatchSnapshots =
        [this, handlers = std::move(handlers)](
            auto& context, const auto& request, auto& writer) {
          const size_t stream = streams_++;
          return stream < handlers.size()
                     ? handlers[stream](context, request, writer)
                     : grpc::Status(grpc::StatusCode::FAILED_PRECONDITION,
                                    "one stream too many");
        };
  }

  std::atomic<size_t> streams_ = 0;
};

TEST_F(WatchTest, FramesUpdateTheTable) {
  Serve({[](auto& context, const auto& request, auto& writer) {
    EXPECT_EQ(request.view(), v1::SNAPSHOT_VIEW_COLUMNS);
    EXPECT_FALSE(request.has_resume_after());
    writer.Write(Frame(7, 1, {"a", "b"}, 10));
    auto second = Frame(7, 3, {"a", "b"}, 15);
    second.mutable_frame()->mutable_columns()->clear_new_names();
    second.set_missed_frames(1);
    writer.Write(second);
    WaitForCancellation(context);
    return grpc::Status::OK;
  }});
  auto watch = client_->WatchSnapshots();
  auto frame = watch->Next();
  ASSERT_OK(frame);
  EXPECT_EQ(frame->rows.size(), 2u);
  EXPECT_EQ(frame->elapsed, absl::ZeroDuration());
  EXPECT_FALSE(frame->epoch_changed);
  frame = watch->Next();
  ASSERT_OK(frame);
  EXPECT_EQ(frame->sequence, 3u);
  EXPECT_EQ(frame->missed_frames, 1u);
  EXPECT_EQ(frame->elapsed, absl::Seconds(2));
  ASSERT_NE(frame->Find("b"), nullptr);
  EXPECT_EQ(frame->Find("b")->packets, 15u);
  EXPECT_EQ(frame->Find("b")->previous_packets, 10u);
  EXPECT_EQ(frame->Find("c"), nullptr);
}

TEST_F(WatchTest, ChunksAreHidden) {
  Serve({[](auto& context, const auto&, auto& writer) {
    auto first = Frame(7, 1, {"a"}, 1);
    first.mutable_frame()->set_last_chunk(false);
    writer.Write(first);
    v1::WatchSnapshotsResponse second;
    second.mutable_frame()->CopyFrom(first.frame());
    second.mutable_frame()->set_chunk_index(1);
    second.mutable_frame()->set_last_chunk(true);
    second.mutable_frame()->mutable_columns()->set_ids(0, 1);
    second.mutable_frame()->mutable_columns()->set_new_names("b\n");
    writer.Write(second);
    WaitForCancellation(context);
    return grpc::Status::OK;
  }});
  auto watch = client_->WatchSnapshots();
  const auto frame = watch->Next();
  ASSERT_OK(frame);
  ASSERT_EQ(frame->rows.size(), 2u);
  EXPECT_EQ(frame->rows[1].name, "b");
}

TEST_F(WatchTest, ABrokenStreamGoesOnAfterTheLastWholeFrame) {
  Serve({[](auto&, const auto&, auto& writer) {
           writer.Write(Frame(7, 4, {"a", "b"}, 1));
           // Half a frame, and the connection breaks.
           auto half = Frame(7, 5, {"a"}, 2);
           half.mutable_frame()->set_last_chunk(false);
           writer.Write(half);
           return kUnavailable;
         },
         [](auto& context, const auto& request, auto& writer) {
           EXPECT_EQ(request.resume_after().epoch(), 7u);
           EXPECT_EQ(request.resume_after().sequence(), 4u);
           auto frame = Frame(7, 9, {"b", "c"}, 5);  // names sent anew
           frame.set_missed_frames(4);
           writer.Write(frame);
           WaitForCancellation(context);
           return grpc::Status::OK;
         }});
  auto watch = client_->WatchSnapshots();
  ASSERT_OK(watch->Next());
  const auto frame = watch->Next();
  ASSERT_OK(frame);
  EXPECT_EQ(frame->sequence, 9u);
  EXPECT_EQ(frame->missed_frames, 4u);
  EXPECT_EQ(frame->reconnects, 1u);
  EXPECT_FALSE(frame->epoch_changed);
  EXPECT_EQ(frame->Find("b")->previous_packets, 1u);
  EXPECT_THAT(frame->removed, ElementsAre("a"));
  EXPECT_THAT(environment_->sleeps(), ElementsAre(absl::Milliseconds(100)));
}

TEST_F(WatchTest, AnotherEpochIsTold) {
  Serve({[](auto&, const auto&, auto& writer) {
           writer.Write(Frame(7, 400, {"a"}, 1));
           return grpc::Status::OK;  // a clean shutdown
         },
         [](auto& context, const auto&, auto& writer) {
           writer.Write(Frame(8, 1, {"b", "a"}, 2));
           WaitForCancellation(context);
           return grpc::Status::OK;
         }});
  auto watch = client_->WatchSnapshots();
  ASSERT_OK(watch->Next());
  const auto frame = watch->Next();
  ASSERT_OK(frame);
  EXPECT_TRUE(frame->epoch_changed);
  EXPECT_EQ(frame->Find("a")->previous_packets, 1u);
  EXPECT_EQ(frame->elapsed, absl::ZeroDuration());  // boottime went back
}

// The server gives its ids anew within a stream, when too many names have come
// and gone.
TEST_F(WatchTest, IdsOfAnotherEpochInTheSameStreamAreOfOtherCounters) {
  Serve({[](auto& context, const auto&, auto& writer) {
    writer.Write(Frame(7, 400, {"a", "b"}, 1));
    writer.Write(Frame(8, 1, {"b", "c"}, 5));
    writer.Write(Frame(9, 1, {"c", "b"}, 6));
    WaitForCancellation(context);
    return grpc::Status::OK;
  }});
  auto watch = client_->WatchSnapshots();
  ASSERT_OK(watch->Next());
  auto frame = watch->Next();
  ASSERT_OK(frame);
  EXPECT_TRUE(frame->epoch_changed);
  EXPECT_EQ(frame->reconnects, 0u);
  ASSERT_EQ(frame->rows.size(), 2u);
  EXPECT_EQ(frame->rows[0].name, "b");
  EXPECT_EQ(frame->rows[0].previous_packets, 1u);
  EXPECT_EQ(frame->rows[1].name, "c");
  EXPECT_EQ(frame->rows[1].previous_packets, 5u);  // new
  EXPECT_THAT(frame->removed, ElementsAre("a"));
  // The same ids in the same order.
  frame = watch->Next();
  ASSERT_OK(frame);
  EXPECT_EQ(frame->rows[0].name, "c");
  EXPECT_EQ(frame->rows[1].name, "b");
  EXPECT_THAT(frame->removed, IsEmpty());
}

TEST_F(WatchTest, ARestartOfTheServerIsWaitedFor) {
  const Handler one_frame = [](auto& context, const auto&, auto& writer) {
    writer.Write(Frame(7, 1, {"a"}, 1));
    WaitForCancellation(context);
    return grpc::Status::OK;
  };
  Serve({one_frame, one_frame});
  auto watch = client_->WatchSnapshots();
  ASSERT_OK(watch->Next());
  server_.Stop();
  // Longer than a call would be tried.
  environment_->on_sleep = [&](client_internal::Cancellation*) {
    if (environment_->sleeps().size() != 20) return;
    server_.Start();
    connection_->channel()->WaitForConnected(std::chrono::system_clock::now() +
                                             std::chrono::seconds(30));
  };
  const auto frame = watch->Next();
  ASSERT_OK(frame);
  EXPECT_EQ(frame->reconnects, 1u);
  EXPECT_GE(environment_->sleeps().size(), 20u);
}

TEST_F(WatchTest, ALostConnectionIsToldOnceAndSoIsItsReturn) {
  const Handler one_frame = [](auto& context, const auto&, auto& writer) {
    writer.Write(Frame(7, 1, {"a"}, 1));
    WaitForCancellation(context);
    return grpc::Status::OK;
  };
  Serve({one_frame, one_frame});
  std::vector<absl::Status> told;
  auto watch = client_->WatchSnapshots(
      {}, {.on_connection = [&](const absl::Status& s) { told.push_back(s); }});
  ASSERT_OK(watch->Next());
  EXPECT_TRUE(told.empty());
  server_.Stop();
  environment_->on_sleep = [&](client_internal::Cancellation*) {
    EXPECT_EQ(told.size(), 1u);
    if (environment_->sleeps().size() != 3) return;
    server_.Start();
    connection_->channel()->WaitForConnected(std::chrono::system_clock::now() +
                                             std::chrono::seconds(30));
  };
  ASSERT_OK(watch->Next());
  ASSERT_EQ(told.size(), 2u);
  EXPECT_THAT(told[0], StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_OK(told[1]);
}

TEST_F(WatchTest, AFirstConnectionThatFailsIsNotLost) {
  server_.Stop();
  int told = 0;
  EXPECT_THAT(
      client_
          ->WatchSnapshots(
              {}, {.on_connection = [&](const absl::Status&) { ++told; }})
          ->Next(),
      StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_EQ(told, 0);
}

TEST_F(WatchTest, GivesUpAfterTheTimeThatItWasGiven) {
  Serve({[](auto&, const auto&, auto& writer) {
    writer.Write(Frame(7, 1, {"a"}, 1));
    return grpc::Status::OK;
  }});
  auto watch =
      client_->WatchSnapshots({}, {.give_up_after = absl::Seconds(30)});
  ASSERT_OK(watch->Next());
  server_.Stop();
  const absl::Time start = environment_->Now();
  const auto frame = watch->Next();
  EXPECT_THAT(frame, StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_EQ(ErrorReason(frame.status()), reason::kSocketMissing);
  EXPECT_LE(environment_->Now() - start, absl::Seconds(30));
  EXPECT_GE(environment_->Now() - start, absl::Seconds(24));
  EXPECT_EQ(watch->Next().status(), frame.status());  // final
}

TEST_F(WatchTest, TheFirstConnectionIsTriedAsOftenAsACall) {
  server_.Stop();
  EXPECT_THAT(client_->WatchSnapshots()->Next(),
              StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_EQ(environment_->sleeps().size(), 3u);
}

TEST_F(WatchTest, CertificatesThatAreJustBeingReplacedDoNotEndIt) {
  Serve({[](auto&, const auto&, auto& writer) {
           writer.Write(Frame(7, 1, {"a"}, 1));
           // As the SDK says it of a connection that it can't make.
           return testing::Fail(grpc::StatusCode::INVALID_ARGUMENT,
                                reason::kBadTlsFiles, "no pair");
         },
         [](auto& context, const auto&, auto& writer) {
           writer.Write(Frame(7, 2, {"a"}, 2));
           WaitForCancellation(context);
           return grpc::Status::OK;
         }});
  auto watch = client_->WatchSnapshots();
  ASSERT_OK(watch->Next());
  const auto frame = watch->Next();
  ASSERT_OK(frame);
  EXPECT_EQ(frame->reconnects, 1u);
}

TEST_F(WatchTest, WhatTheServerRefusesIsFinal) {
  Serve({[](auto&, const auto&, auto&) {
    return grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "bad glob");
  }});
  auto watch = client_->WatchSnapshots();
  EXPECT_THAT(watch->Next(),
              StatusIs(absl::StatusCode::kInvalidArgument, "bad glob"));
  EXPECT_THAT(watch->Next(), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_EQ(streams_, 1u);
}

TEST_F(WatchTest, AFullServerIsWaitedForOnlyAfterTheFirstConnection) {
  const Handler full = [](auto&, const auto&, auto&) {
    return grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "streams");
  };
  const Handler good = [](auto&, const auto&, auto& writer) {
    writer.Write(Frame(7, 1, {"a"}, 1));
    return kUnavailable;
  };
  Serve({good, full, good, full});
  auto watch = client_->WatchSnapshots();
  ASSERT_OK(watch->Next());
  ASSERT_OK(watch->Next());
  EXPECT_EQ(streams_, 3u);
  EXPECT_THAT(client_->WatchSnapshots()->Next(),
              StatusIs(absl::StatusCode::kResourceExhausted));
}

TEST_F(WatchTest, ContradictionsAreDataLoss) {
  Serve({[](auto& context, const auto&, auto& writer) {
    auto frame = Frame(7, 1, {"a"}, 1);
    frame.mutable_frame()->set_chunk_index(3);
    writer.Write(frame);
    WaitForCancellation(context);
    return grpc::Status::OK;
  }});
  EXPECT_THAT(client_->WatchSnapshots()->Next(),
              StatusIs(absl::StatusCode::kDataLoss));
}

TEST_F(WatchTest, ASilentConnectionIsReplaced) {
  // As many as a busy machine may take to say the first word in time.
  const Handler one_frame = [this](auto& context, const auto&, auto& writer) {
    writer.Write(Frame(7, streams_, {"a"}, 1));
    WaitForCancellation(context);
    return grpc::Status::OK;
  };
  Serve(std::vector<Handler>(100, one_frame));
  auto watch =
      client_->WatchSnapshots({}, {.stall_timeout = absl::Milliseconds(500)});
  ASSERT_OK(watch->Next());
  const auto frame = watch->Next();
  ASSERT_OK(frame);
  EXPECT_EQ(frame->reconnects, 1u);
}

TEST_F(WatchTest, AStallTimeoutOfCenturiesIsNoneAtAll) {
  Serve({[](auto& context, const auto&, auto& writer) {
    // The client waits by then: what is there already is never too late.
    absl::SleepFor(absl::Milliseconds(50));
    writer.Write(Frame(7, 1, {"a"}, 1));
    WaitForCancellation(context);
    return grpc::Status::OK;
  }});
  auto watch = client_->WatchSnapshots(
      {}, {.stall_timeout = absl::Hours(99'999'999'999)});
  const auto frame = watch->Next();
  ASSERT_OK(frame);
  EXPECT_EQ(frame->reconnects, 0u);
}

TEST_F(WatchTest, CancelEndsAWaitForAFrame) {
  absl::Notification waiting;
  Serve({[&](auto& context, const auto&, auto&) {
    waiting.Notify();
    WaitForCancellation(context);
    return grpc::Status::OK;
  }});
  auto watch = client_->WatchSnapshots();
  std::thread other([&] {
    waiting.WaitForNotification();
    watch->Cancel();
    watch->Cancel();
  });
  const auto frame = watch->Next();
  other.join();
  EXPECT_THAT(frame, StatusIs(absl::StatusCode::kCancelled));
  EXPECT_EQ(ErrorReason(frame.status()), reason::kWatchCancelled);
}

TEST_F(WatchTest, CancelEndsAWaitForTheServer) {
  server_.Stop();
  auto watch = client_->WatchSnapshots();
  environment_->on_sleep = [&](client_internal::Cancellation* cancelled) {
    watch->Cancel();
    cancelled->WaitFor(absl::InfiniteDuration());
  };
  EXPECT_THAT(watch->Next(), StatusIs(absl::StatusCode::kCancelled));
}

TEST_F(WatchTest, CancelBeforeTheFirstFrameCounts) {
  auto watch = client_->WatchSnapshots();
  watch->Cancel();
  EXPECT_THAT(watch->Next(), StatusIs(absl::StatusCode::kCancelled));
}

TEST_F(WatchTest, AWatchMayEndAtAnyTimeAndOutliveItsClient) {
  Serve({[](auto& context, const auto&, auto& writer) {
    for (uint64_t sequence = 1; sequence < 10; ++sequence) {
      writer.Write(Frame(7, sequence, {"a"}, 1));
    }
    WaitForCancellation(context);
    return grpc::Status::OK;
  }});
  auto watch = client_->WatchSnapshots();
  client_ = nullptr;
  connection_ = nullptr;
  ASSERT_OK(watch->Next());
  watch = nullptr;  // in the middle of the stream
}

TEST_F(WatchTest, QuotaEventsAreToldAgainAfterAReconnection) {
  int streams = 0;
  server_.counters.on_WatchQuotaEvents = [&](auto& context, const auto&,
                                             auto& writer) {
    const auto send = [&](v1::QuotaEventKind kind, const std::string& name) {
      v1::WatchQuotaEventsResponse event;
      event.set_kind(kind);
      if (!name.empty()) event.mutable_counter()->set_name(name);
      writer.Write(event);
    };
    if (++streams == 1) {
      send(v1::QUOTA_EVENT_KIND_STANDING, "a");
      send(v1::QUOTA_EVENT_KIND_SYNCED, "");
      return kUnavailable;
    }
    send(v1::QUOTA_EVENT_KIND_STANDING, "a");
    send(v1::QUOTA_EVENT_KIND_STANDING, "b");
    send(v1::QUOTA_EVENT_KIND_SYNCED, "");
    send(v1::QUOTA_EVENT_KIND_CROSSED, "a");
    WaitForCancellation(context);
    return grpc::Status::OK;
  };
  auto watch = client_->WatchQuotaEvents();
  std::vector<std::string> events;
  for (int i = 0; i < 6; ++i) {
    const auto event = watch->Next();
    ASSERT_OK(event);
    events.push_back(absl::StrCat(
        event->event.kind(), " ", event->event.counter().name(), " ",
        event->reconnects, event->repeated ? " repeated" : ""));
  }
  EXPECT_THAT(events, ElementsAre("1 a 0", "4  0", "1 a 1 repeated", "1 b 1",
                                  "4  1", "2 a 1"));
  watch->Cancel();
  EXPECT_THAT(watch->Next(), StatusIs(absl::StatusCode::kCancelled));
}

}  // namespace
}  // namespace nfmeter
