// SPDX-License-Identifier: GPL-3.0-or-later
// Calls of the SDK that are made again, or must not be.
#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/notification.h"
#include "gtest/gtest.h"
#include "tests/component/client/call_fixture.h"

namespace nfmeter {
namespace {

using ::nfmeter::testing::CallFixture;
using ::nfmeter::testing::Fail;
using ::nfmeter::testing::kUnavailable;
using ::nfmeter::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

using RetryTest = CallFixture;

TEST_F(RetryTest, AChangeIsRetriedUnderOneRequestId) {
  TellEpoch();
  std::vector<std::string> ids;
  server_.counters.on_ResetCounter = [&](const auto& request, auto* response) {
    ids.push_back(request.request_id());
    if (ids.size() < 3) return kUnavailable;
    response->mutable_counter()->set_packets(5);
    return grpc::Status::OK;
  };
  const auto counter = client_->ResetCounter("http");
  ASSERT_OK(counter);
  EXPECT_EQ(counter->packets(), 5u);
  EXPECT_THAT(ids, ElementsAre("id-1", "id-1", "id-1"));
}

TEST_F(RetryTest, TheEpochIsAskedForOnce) {
  TellEpoch();
  server_.counters.on_ResetCounter = [](const auto&, auto*) {
    return grpc::Status::OK;
  };
  for (int i = 0; i < 3; ++i) EXPECT_OK(client_->ResetCounter("http"));
  EXPECT_EQ(node_calls_, 1);
}

TEST_F(RetryTest, AClientThatMayNotAskForTheEpochDoesNotAskAgain) {
  server_.node.on_GetNode = [&](const auto&, auto*) {
    ++node_calls_;
    return Fail(grpc::StatusCode::PERMISSION_DENIED, "NOT_PERMITTED", "no");
  };
  server_.counters.on_ResetCounter = [](const auto&, auto*) {
    return grpc::Status::OK;
  };
  for (int i = 0; i < 3; ++i) EXPECT_OK(client_->ResetCounter("http"));
  EXPECT_EQ(node_calls_, 1);
}

TEST_F(RetryTest, AChangeThatARestartedServerMayHaveMadeIsNotRetried) {
  TellEpoch();
  int calls = 0;
  server_.counters.on_ResetCounter = [&](const auto&, auto*) {
    // Carried out, and then the process ended before it could answer.
    ++calls;
    epoch_ = 8;
    return kUnavailable;
  };
  const auto counter = client_->ResetCounter("http");
  EXPECT_THAT(counter,
              StatusIs(absl::StatusCode::kAborted,
                       AllOf(HasSubstr("restarted"), HasSubstr("not known"))));
  EXPECT_EQ(ErrorReason(counter.status()), reason::kServerRestarted);
  EXPECT_THAT(ErrorHint(counter.status()), HasSubstr("Read the counters"));
  EXPECT_EQ(calls, 1);
}

TEST_F(RetryTest, ARestartDuringTheRetriesIsNoticedToo) {
  TellEpoch();
  int calls = 0;
  server_.counters.on_BatchDeleteCounters = [&](const auto&, auto*) {
    if (++calls == 2) epoch_ = 8;
    return kUnavailable;
  };
  v1::BatchDeleteCountersRequest request;
  request.add_names("http");
  EXPECT_EQ(ErrorReason(client_->BatchDeleteCounters(request).status()),
            reason::kServerRestarted);
  EXPECT_EQ(calls, 2);
}

TEST_F(RetryTest, AConnectionThatBreaksInAChangeMeansTheSame) {
  TellEpoch();
  std::atomic<int> calls = 0;
  absl::Notification reached;
  absl::Notification lost;
  server_.counters.on_ResetCounter = [&](const auto&, auto*) {
    if (++calls > 1) return grpc::Status::OK;
    reached.Notify();
    lost.WaitForNotification();
    return grpc::Status::OK;
  };
  std::thread stop([&] {
    reached.WaitForNotification();
    server_.Stop();  // breaks the connection, then waits for the handler
  });
  environment_->on_sleep = [&](client_internal::Cancellation*) {
    if (!stop.joinable()) return;
    lost.Notify();
    stop.join();
    epoch_ = 8;
    server_.Start();
    connection_->channel()->WaitForConnected(std::chrono::system_clock::now() +
                                             std::chrono::seconds(30));
  };
  const auto counter = client_->ResetCounter("http");
  EXPECT_EQ(ErrorReason(counter.status()), reason::kServerRestarted)
      << counter.status();
  EXPECT_EQ(calls, 1);
  if (stop.joinable()) {
    lost.Notify();
    stop.join();
  }
}

TEST_F(RetryTest, AChangeThatReachedNobodyIsRetriedWithARestartedServer) {
  TellEpoch();
  server_.counters.on_ResetCounter = [](const auto&, auto* response) {
    response->mutable_counter()->set_packets(5);
    return grpc::Status::OK;
  };
  ASSERT_OK(client_->ResetCounter("http"));
  server_.Stop();
  EXPECT_EQ(ErrorReason(client_->GetNode().status()), reason::kSocketMissing);
  const size_t slept = environment_->sleeps().size();
  environment_->on_sleep = [&](client_internal::Cancellation*) {
    epoch_ = 8;
    server_.Start();
    connection_->channel()->WaitForConnected(std::chrono::system_clock::now() +
                                             std::chrono::seconds(30));
  };
  const auto counter = client_->ResetCounter("http");
  ASSERT_OK(counter);
  EXPECT_EQ(counter->packets(), 5u);
  EXPECT_EQ(environment_->sleeps().size(), slept + 1);
}

TEST_F(RetryTest, AChangeThatTheServerRefusedIsRetriedWhateverItsEpoch) {
  TellEpoch();
  int calls = 0;
  server_.counters.on_ResetCounter = [&](const auto&, auto*) {
    if (++calls > 1) return grpc::Status::OK;
    epoch_ = 8;
    return Fail(grpc::StatusCode::UNAVAILABLE, "KERNEL_BUSY", "try again");
  };
  EXPECT_OK(client_->ResetCounter("http"));
  EXPECT_EQ(calls, 2);
}

TEST_F(RetryTest, WithoutAnEpochAChangeInDoubtIsNotRetried) {
  int calls = 0;  // no GetNode: an older server
  server_.counters.on_ResetCounter = [&](const auto&, auto*) {
    ++calls;
    return kUnavailable;
  };
  EXPECT_EQ(ErrorReason(client_->ResetCounter("http").status()),
            reason::kServerRestarted);
  EXPECT_EQ(calls, 1);
}

TEST_F(RetryTest, AnOutageAfterAChangeInDoubtTellsThatItIsNotKnown) {
  TellEpoch();
  server_.counters.on_ResetCounter = [&](const auto&, auto*) {
    return kUnavailable;
  };
  environment_->on_sleep = [&](client_internal::Cancellation*) {
    server_.Stop();
  };
  const auto counter = client_->ResetCounter("http");
  EXPECT_THAT(counter, StatusIs(absl::StatusCode::kUnavailable,
                                HasSubstr("carried out is not known")));
  EXPECT_THAT(ErrorHint(counter.status()), HasSubstr("Read the counters"));
}

TEST_F(RetryTest, ACallSurvivesARestartOfTheServer) {
  server_.counters.on_GetCounter = [](const auto&, auto* response) {
    response->mutable_counter()->set_packets(1);
    return grpc::Status::OK;
  };
  ASSERT_OK(client_->GetCounter("a"));
  server_.Stop();
  environment_->on_sleep = [&](client_internal::Cancellation*) {
    server_.Start();
    connection_->channel()->WaitForConnected(std::chrono::system_clock::now() +
                                             std::chrono::seconds(30));
  };
  EXPECT_OK(client_->GetCounter("a"));
  EXPECT_EQ(environment_->sleeps().size(), 1u);
}

}  // namespace
}  // namespace nfmeter
