// SPDX-License-Identifier: GPL-3.0-or-later
// Batches of the SDK.
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "tests/component/client/call_fixture.h"

namespace nfmeter {
namespace {

using ::nfmeter::testing::CallFixture;
using ::nfmeter::testing::Fail;
using ::nfmeter::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::Gt;
using ::testing::HasSubstr;
using ::testing::Lt;
using ::testing::Pair;

using BatchTest = CallFixture;

v1::BatchCreateCountersRequest CreateBatch(int items) {
  v1::BatchCreateCountersRequest request;
  for (int i = 0; i < items; ++i) {
    request.add_counters()->set_name("c" + std::to_string(i));
  }
  return request;
}

TEST_F(BatchTest, LargeBatchesAreSplitAndPutTogether) {
  LimitBatches(400);
  std::vector<std::pair<int, std::string>> parts;
  server_.counters.on_BatchCreateCounters = [&](const auto& request,
                                                auto* response) {
    parts.push_back({request.counters_size(), request.request_id()});
    *response->mutable_counters() = request.counters();
    return grpc::Status::OK;
  };
  std::vector<std::pair<size_t, size_t>> progress;
  const auto created = client_->BatchCreateCounters(
      CreateBatch(1000), {}, [&](size_t done, size_t total) {
        progress.push_back({done, total});
      });
  ASSERT_OK(created);
  ASSERT_EQ(created->counters_size(), 1000);
  for (int i = 0; i < 1000; ++i) {
    ASSERT_EQ(created->counters(i).name(), "c" + std::to_string(i));
  }
  EXPECT_THAT(parts, ElementsAre(Pair(400, "id-1/0"), Pair(400, "id-1/1"),
                                 Pair(200, "id-1/2")));
  EXPECT_THAT(progress,
              ElementsAre(Pair(400, 1000), Pair(800, 1000), Pair(1000, 1000)));
  ASSERT_OK(client_->BatchCreateCounters(CreateBatch(401)));
  EXPECT_EQ(node_calls_, 1);  // the bound is asked for once
}

TEST_F(BatchTest, SmallBatchesGoAsTheyAre) {
  LimitBatches(10'000);
  std::string id;
  server_.counters.on_BatchCreateCounters = [&](const auto& request, auto*) {
    id = request.request_id();
    return grpc::Status::OK;
  };
  ASSERT_OK(client_->BatchCreateCounters(CreateBatch(100)));
  ASSERT_OK(client_->BatchCreateCounters(CreateBatch(101)));
  EXPECT_EQ(node_calls_, 1);
  EXPECT_EQ(id, "id-2");
}

TEST_F(BatchTest, AnEmptyBatchIsForTheServerToRefuse) {
  server_.counters.on_BatchCreateCounters = [&](const auto&, auto*) {
    return Fail(grpc::StatusCode::INVALID_ARGUMENT, "INVALID_ARGUMENT",
                "counters: at least one");
  };
  EXPECT_THAT(client_->BatchCreateCounters({}),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_F(BatchTest, AnErrorInALaterPartTellsWhatWasDone) {
  LimitBatches(200);
  int calls = 0;
  server_.counters.on_BatchCreateCounters = [&](const auto&, auto*) {
    if (++calls < 3) return grpc::Status::OK;
    return Fail(grpc::StatusCode::INVALID_ARGUMENT, "INVALID_ARGUMENT",
                "counters[7].name: bad", "counters[7].name");
  };
  const auto created = client_->BatchCreateCounters(CreateBatch(1000));
  EXPECT_THAT(created, StatusIs(absl::StatusCode::kInvalidArgument,
                                AllOf(HasSubstr("counters[407].name"),
                                      HasSubstr("400 of 1000 items"))));
  ASSERT_EQ(FieldViolations(created.status()).size(), 1u);
  EXPECT_EQ(FieldViolations(created.status())[0].field, "counters[407].name");
  EXPECT_EQ(calls, 3);
}

TEST_F(BatchTest, AnswersOfResetsAreNotLostToALaterError) {
  LimitBatches(150);
  int calls = 0;
  server_.counters.on_BatchResetCounters = [&](const auto& request,
                                               auto* response) {
    if (++calls == 3) return Fail(grpc::StatusCode::NOT_FOUND, "R", "gone");
    for (const std::string& name : request.names()) {
      response->add_counters()->set_name(name);
    }
    if (calls == 2) {
      response->mutable_counters()->RemoveLast();
      response->add_failures()->set_index(149);
    }
    return grpc::Status::OK;
  };
  v1::BatchResetCountersRequest request;
  for (int i = 0; i < 400; ++i) request.add_names("c" + std::to_string(i));
  const auto reset = client_->BatchResetCounters(request);
  ASSERT_OK(reset);
  EXPECT_EQ(reset->counters_size(), 299);
  ASSERT_EQ(reset->failures_size(), 101);
  EXPECT_EQ(reset->failures(0).index(), 299u);
  EXPECT_EQ(reset->failures(1).index(), 300u);
  EXPECT_EQ(reset->failures(1).name(), "c300");
  EXPECT_EQ(reset->failures(100).index(), 399u);
  EXPECT_EQ(reset->failures(1).status().code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(reset->failures(1).status().details_size(), 1);
}

TEST_F(BatchTest, WhatWasRefusedForTheSakeOfOthersIsNotBlamed) {
  LimitBatches(150);
  int calls = 0;
  server_.counters.on_BatchResetCounters = [&](const auto& request,
                                               auto* response) {
    if (++calls == 2) {
      return Fail(grpc::StatusCode::NOT_FOUND, "COUNTER_NOT_FOUND", "no c170",
                  "", "c170,c171");
    }
    for (const std::string& name : request.names()) {
      response->add_counters()->set_name(name);
    }
    return grpc::Status::OK;
  };
  v1::BatchResetCountersRequest request;
  for (int i = 0; i < 400; ++i) request.add_names("c" + std::to_string(i));
  const auto reset = client_->BatchResetCounters(request);
  ASSERT_OK(reset);
  EXPECT_EQ(calls, 2);
  EXPECT_EQ(reset->counters_size(), 150);
  ASSERT_EQ(reset->failures_size(), 250);
  std::vector<std::string> refused;
  for (const v1::BatchFailure& failure : reset->failures()) {
    if (failure.status().code() == grpc::StatusCode::NOT_FOUND) {
      refused.push_back(failure.name());
    } else {
      EXPECT_EQ(failure.status().code(), grpc::StatusCode::ABORTED);
      EXPECT_THAT(failure.status().message(),
                  AllOf(HasSubstr("not tried"), HasSubstr("no c170")));
    }
  }
  EXPECT_THAT(refused, ElementsAre("c170", "c171"));
}

TEST_F(BatchTest, DeletesGoInPartsThatHaveTheirOwnTimeout) {
  LimitBatches(65'536);
  std::vector<int> parts;
  server_.counters.on_BatchDeleteCounters = [&](const auto& request,
                                                auto* response) {
    parts.push_back(request.names_size());
    environment_->Sleep(absl::Seconds(6), nullptr);
    for (const std::string& name : request.names()) {
      response->add_counters()->set_name(name);
    }
    return grpc::Status::OK;
  };
  v1::BatchDeleteCountersRequest request;
  for (int i = 0; i < 4500; ++i) request.add_names("c" + std::to_string(i));
  std::vector<size_t> progress;
  const auto deleted = client_->BatchDeleteCounters(
      request, {.timeout = absl::Seconds(10)},
      [&](size_t done, size_t) { progress.push_back(done); });
  ASSERT_OK(deleted);
  EXPECT_EQ(deleted->counters_size(), 4500);
  EXPECT_EQ(deleted->failures_size(), 0);
  EXPECT_THAT(parts, ElementsAre(2000, 2000, 500));
  EXPECT_THAT(progress, ElementsAre(2000, 4000, 4500));
}

TEST_F(BatchTest, LargeBatchesHaveLongerUnlessTheCallerSaysHowLong) {
  LimitBatches(65'536);
  server_.counters.on_BatchCreateCounters = [](const auto&, auto*) {
    return grpc::Status::OK;
  };
  const auto timeout_of = [&](int items, const CallOptions& options) {
    EXPECT_OK(client_->BatchCreateCounters(CreateBatch(items), options));
    return absl::ToDoubleSeconds(server_.counters.timeout());
  };
  // Less what it took until the server had the call.
  const auto about = [](double seconds) {
    return AllOf(Gt(seconds - 5), Lt(seconds + 1));
  };
  EXPECT_THAT(timeout_of(1, {}), about(10));
  EXPECT_THAT(timeout_of(10'000, {}), about(60));
  EXPECT_THAT(timeout_of(10'000, {.timeout = absl::Seconds(20)}), about(20));
  // For all of it.
  EXPECT_THAT(timeout_of(10'000, {.deadline = absl::Now() + absl::Seconds(30)}),
              about(30));
}

TEST_F(BatchTest, ABatchThatIsAllOrNoneIsNotSplitWithoutNeed) {
  LimitBatches(65'536);
  std::vector<int> parts;
  server_.counters.on_BatchCreateCounters = [&](const auto& request, auto*) {
    parts.push_back(request.counters_size());
    return grpc::Status::OK;
  };
  ASSERT_OK(client_->BatchCreateCounters(CreateBatch(4500)));
  EXPECT_THAT(parts, ElementsAre(4500));
}

}  // namespace
}  // namespace nfmeter
