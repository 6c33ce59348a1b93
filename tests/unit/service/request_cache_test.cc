// SPDX-License-Identifier: GPL-3.0-or-later
#include "service/gate/request_cache.h"

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "accounting/ledger/answer_store.h"
#include "accounting/ledger/ledger.h"
#include "gmock/gmock.h"
#include "nfmeter/v1/counter.pb.h"
#include "tests/support/fake_clock.h"
#include "tests/support/status_matchers.h"
#include "tests/support/subprocess.h"

namespace nfmeter::service {
namespace {

using ::nfmeter::testing::HasReason;
using ::nfmeter::testing::StatusIs;

v1::ResetCounterRequest RequestFor(const std::string& name) {
  v1::ResetCounterRequest request;
  request.set_name(name);
  return request;
}

class RequestCacheTest : public ::testing::Test {
 protected:
  // A reset that answers with the number of resets so far.
  absl::Status Reset(const std::string& id, const std::string& name = "a",
                     const std::string& method = "ResetCounter",
                     size_t label_bytes = 0) {
    v1::ResetCounterResponse response;
    const absl::Status status = cache_.Run(
        method, id, RequestFor(name), &response, absl::InfiniteFuture(), [&] {
          response.mutable_counter()->set_packets(++mutations_);
          (*response.mutable_counter()->mutable_labels())["x"] =
              std::string(label_bytes, 'x');
          return absl::OkStatus();
        });
    packets_ = response.counter().packets();
    return status;
  }

  testing::FakeClock clock_;
  RequestCache cache_{
      clock_,
      {.lifetime = absl::Minutes(10), .max_entries = 3, .max_bytes = 1000}};
  uint64_t mutations_ = 0;
  uint64_t packets_ = 0;
};

TEST_F(RequestCacheTest, ARepeatedRequestIdReturnsTheFirstAnswer) {
  ASSERT_OK(Reset("id-1"));
  ASSERT_OK(Reset("id-1"));
  EXPECT_EQ(packets_, 1);
  EXPECT_EQ(mutations_, 1);
}

TEST_F(RequestCacheTest, WithoutARequestIdEveryCallCounts) {
  ASSERT_OK(Reset(""));
  ASSERT_OK(Reset(""));
  EXPECT_EQ(mutations_, 2);
}

TEST_F(RequestCacheTest, MethodsHaveIdsOfTheirOwn) {
  ASSERT_OK(Reset("id-1", "a", "ResetCounter"));
  ASSERT_OK(Reset("id-1", "a", "DeleteCounter"));
  EXPECT_EQ(mutations_, 2);
}

TEST_F(RequestCacheTest, AnIdWithAnotherRequestIsRefused) {
  ASSERT_OK(Reset("id-1", "a"));
  const absl::Status status = Reset("id-1", "b");
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(status, HasReason("REQUEST_ID_REUSED"));
  EXPECT_EQ(mutations_, 1);
}

TEST_F(RequestCacheTest, LabelsInAnotherOrderAreTheSameRequest) {
  v1::CreateCounterRequest first;
  v1::CreateCounterRequest second;
  for (int i = 0; i < 20; ++i) {
    (*first.mutable_counter()->mutable_labels())[std::to_string(i)] = "v";
    (*second.mutable_counter()->mutable_labels())[std::to_string(19 - i)] = "v";
  }
  v1::CreateCounterResponse response;
  for (const auto& request : {first, second}) {
    ASSERT_OK(cache_.Run("CreateCounter", "id", request, &response,
                         absl::InfiniteFuture(),
                         [] { return absl::OkStatus(); }));
  }
}

TEST_F(RequestCacheTest, AFailureIsTriedAgain) {
  v1::ResetCounterResponse response;
  EXPECT_THAT(cache_.Run("ResetCounter", "id-1", RequestFor("a"), &response,
                         absl::InfiniteFuture(),
                         [] { return absl::UnavailableError("busy"); }),
              StatusIs(absl::StatusCode::kUnavailable));
  ASSERT_OK(Reset("id-1"));
  EXPECT_EQ(mutations_, 1);
}

TEST_F(RequestCacheTest, AnswersAreKeptForTheirLifetimeOfBootTime) {
  ASSERT_OK(Reset("id-1"));
  clock_.Advance(absl::Minutes(10) - absl::Nanoseconds(1));
  clock_.JumpWallTime(absl::Hours(1000));
  ASSERT_OK(Reset("id-1"));
  EXPECT_EQ(mutations_, 1);
  clock_.Advance(absl::Nanoseconds(1));
  ASSERT_OK(Reset("id-1"));
  EXPECT_EQ(mutations_, 2);
}

TEST_F(RequestCacheTest, TheOldestAnswerGoesWhenThereAreTooMany) {
  for (const char* id : {"1", "2", "3", "4"}) ASSERT_OK(Reset(id));
  ASSERT_OK(Reset("2"));
  EXPECT_EQ(mutations_, 4);
  ASSERT_OK(Reset("1"));
  EXPECT_EQ(mutations_, 5);
}

TEST_F(RequestCacheTest, TheOldestAnswerGoesWhenTheyAreTooLarge) {
  ASSERT_OK(Reset("1", "a", "ResetCounter", 600));
  ASSERT_OK(Reset("2", "a", "ResetCounter", 600));
  ASSERT_OK(Reset("2", "a", "ResetCounter", 600));
  EXPECT_EQ(mutations_, 2);
  ASSERT_OK(Reset("1", "a", "ResetCounter", 600));
  EXPECT_EQ(mutations_, 3);
}

TEST_F(RequestCacheTest, TheNewestAnswerIsKeptHoweverLargeItIs) {
  ASSERT_OK(Reset("1", "a", "ResetCounter", 5000));
  ASSERT_OK(Reset("1", "a", "ResetCounter", 5000));
  EXPECT_EQ(mutations_, 1);
}

TEST_F(RequestCacheTest, ADuplicateWaitsForTheFirstAndGetsItsAnswer) {
  absl::Notification started;
  absl::Notification go_on;
  std::thread first([&] {
    v1::ResetCounterResponse response;
    ASSERT_OK(cache_.Run("ResetCounter", "id-1", RequestFor("a"), &response,
                         absl::InfiniteFuture(), [&] {
                           started.Notify();
                           go_on.WaitForNotification();
                           response.mutable_counter()->set_packets(77);
                           return absl::OkStatus();
                         }));
  });
  started.WaitForNotification();
  // With a deadline of now it finds the first under way.
  v1::ResetCounterResponse response;
  EXPECT_THAT(cache_.Run("ResetCounter", "id-1", RequestFor("a"), &response,
                         absl::Now(), [] { return absl::OkStatus(); }),
              HasReason("REQUEST_UNDER_WAY"));
  std::thread second([&] { ASSERT_OK(Reset("id-1")); });
  go_on.Notify();
  first.join();
  second.join();
  EXPECT_EQ(packets_, 77);
  EXPECT_EQ(mutations_, 0);
}

// Caches of one server after the other, on one file.
class StoredRequestCacheTest : public ::testing::Test {
 protected:
  StoredRequestCacheTest() {
    EXPECT_OK(accounting::Ledger::Create({.path = path_}, clock_).status());
    Restart();
  }
  void Restart() {
    cache_.reset();
    store_ = *accounting::AnswerStore::Open(path_);
    cache_ = std::make_unique<RequestCache>(
        clock_,
        RequestCache::Options{.lifetime = absl::Minutes(10), .max_entries = 3});
    EXPECT_OK(cache_->KeepIn(*store_));
  }
  // How many changes there were, as the answer says.
  uint64_t Reset(const std::string& id) {
    v1::ResetCounterResponse response;
    EXPECT_OK(cache_->Run("ResetCounter", id, RequestFor("a"), &response,
                          absl::InfiniteFuture(), [&] {
                            response.mutable_counter()->set_packets(++changes_);
                            return absl::OkStatus();
                          }));
    return response.counter().packets();
  }

  testing::TemporaryDirectory dir_;
  const std::string path_ = dir_ / "ledger.db";
  testing::FakeClock clock_;
  std::unique_ptr<accounting::AnswerStore> store_;
  std::unique_ptr<RequestCache> cache_;
  uint64_t changes_ = 0;
};

TEST_F(StoredRequestCacheTest, ANewServerGivesTheOldAnswer) {
  EXPECT_EQ(Reset("1"), 1);
  EXPECT_TRUE(cache_->durable());
  Restart();
  EXPECT_EQ(Reset("1"), 1);
  EXPECT_EQ(Reset("2"), 2);
  v1::ResetCounterResponse response;
  EXPECT_THAT(
      cache_->Run("ResetCounter", "1", RequestFor("other"), &response,
                  absl::InfiniteFuture(), [] { return absl::OkStatus(); }),
      HasReason("REQUEST_ID_REUSED"));
}

TEST_F(StoredRequestCacheTest, AnswersAgeWhileNoServerRuns) {
  EXPECT_EQ(Reset("1"), 1);
  clock_.Advance(absl::Minutes(6));
  Restart();
  EXPECT_EQ(Reset("1"), 1);
  clock_.Advance(absl::Minutes(5));
  EXPECT_EQ(Reset("1"), 2);
  clock_.Advance(absl::Minutes(11));
  Restart();
  EXPECT_EQ(cache_->stats().entries, 0);
}

TEST_F(StoredRequestCacheTest, WhatIsForgottenInMemoryGoesFromTheDisk) {
  for (const char* id : {"1", "2", "3", "4", "5"}) Reset(id);
  Reset("6");
  EXPECT_LE(store_->Load(absl::InfinitePast())->size(), 4);
  Restart();
  EXPECT_EQ(cache_->stats().entries, 3);
}

TEST_F(StoredRequestCacheTest, ManyAtOnceAreAllKept) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([this, i] {
      EXPECT_OK(store_->Put({.method = "M",
                             .request_id = absl::StrCat(i),
                             .answer = absl::StrCat("answer ", i),
                             .time = clock_.WallTime()},
                            {}));
    });
  }
  for (std::thread& thread : threads) thread.join();
  const auto kept = store_->Load(clock_.WallTime() - absl::Hours(1));
  ASSERT_OK(kept);
  EXPECT_EQ(kept->size(), 8);
}

}  // namespace
}  // namespace nfmeter::service
