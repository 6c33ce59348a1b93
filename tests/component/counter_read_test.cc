// SPDX-License-Identifier: GPL-3.0-or-later
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "tests/component/component_server.h"
#include "tests/support/busy_lane.h"
#include "tests/support/status_matchers.h"

namespace nfmeter::testing {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::SizeIs;

class CounterReadTest : public ::testing::Test {
 protected:
  grpc::Status Get(const std::string& name, int staleness_seconds = 0) {
    v1::GetCounterRequest request;
    request.set_name(name);
    if (staleness_seconds != 0) {
      request.mutable_max_staleness()->set_seconds(staleness_seconds);
    }
    v1::GetCounterResponse response;
    const grpc::Status status =
        Call(*server_.counter_stub, &v1::CounterService::Stub::GetCounter,
             request, &response);
    counter_ = response.counter();
    return status;
  }
  grpc::Status GetBatch(const std::vector<std::string>& names,
                        int staleness_seconds = 0) {
    v1::BatchGetCountersRequest request;
    request.mutable_names()->Assign(names.begin(), names.end());
    request.mutable_max_staleness()->set_seconds(staleness_seconds);
    return Call(*server_.counter_stub,
                &v1::CounterService::Stub::BatchGetCounters, request, &batch_);
  }
  grpc::Status List(const v1::ListCountersRequest& request) {
    page_.Clear();
    return Call(*server_.counter_stub, &v1::CounterService::Stub::ListCounters,
                request, &page_);
  }
  // Names of all pages.
  std::vector<std::string> ListAll(v1::ListCountersRequest request,
                                   const std::function<void()>& between = {}) {
    std::vector<std::string> names;
    do {
      EXPECT_OK(List(request));
      for (const v1::Counter& counter : page_.counters()) {
        names.push_back(counter.name());
      }
      request.set_page_token(page_.next_page_token());
      if (between) between();
    } while (!request.page_token().empty());
    return names;
  }

  ComponentServer server_;
  v1::Counter counter_;
  v1::BatchGetCountersResponse batch_;
  v1::ListCountersResponse page_;
};

TEST_F(CounterReadTest, GetReadsTheKernelNow) {
  server_.AddObject({.name = "web"});
  EXPECT_OK(server_.acct.Count("web", 3, 300));
  ASSERT_OK(Get("web"));
  EXPECT_EQ(counter_.packets(), 3);
  EXPECT_EQ(counter_.bytes(), 300);
  EXPECT_OK(server_.acct.Count("web", 1, 100));
  ASSERT_OK(Get("web"));
  EXPECT_EQ(counter_.packets(), 4);
  EXPECT_EQ(server_.hub.Latest(), nullptr);
}

TEST_F(CounterReadTest, GetTellsUseAndQuota) {
  server_.AddObject(
      {.name = "web",
       .quota = kernel::QuotaLimit{kernel::QuotaLimit::Unit::kPackets, 2}});
  ASSERT_OK(server_.acct.AddReference("web"));
  EXPECT_OK(server_.acct.Count("web", 2, 200));
  ASSERT_OK(Get("web"));
  EXPECT_EQ(counter_.use_count(), 1);
  EXPECT_EQ(counter_.quota().packets(), 2);
  EXPECT_TRUE(counter_.quota().exceeded());
}

TEST_F(CounterReadTest, AMissingCounterIsNamed) {
  const grpc::Status status = Get("web");
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(ErrorInfoOf(status).reason(), "COUNTER_NOT_FOUND");
  EXPECT_THAT(ErrorInfoOf(status).metadata(),
              Contains(Pair("counters", "web")));
}

TEST_F(CounterReadTest, StalenessIsServedFromTheLastSnapshot) {
  server_.AddObject({.name = "web"});
  ASSERT_OK(server_.hub.Take(absl::ZeroDuration()));
  EXPECT_OK(server_.acct.Count("web", 3, 300));
  server_.Advance(absl::Seconds(4));
  ASSERT_OK(Get("web", 5));
  EXPECT_EQ(counter_.packets(), 0);
  EXPECT_EQ(counter_.read_time().seconds(), 1'767'225'600);
  server_.Advance(absl::Seconds(2));
  ASSERT_OK(Get("web", 5));
  EXPECT_EQ(counter_.packets(), 3);
}

TEST_F(CounterReadTest, StalenessThatIsAskedForAgainHasASnapshotTaken) {
  server_.AddObject({.name = "web"});
  const auto readings_are_done = [&] {
    EXPECT_OK(server_.counter_lane.Run(accounting::Lane::Priority::kNormal,
                                       [] { return absl::OkStatus(); }));
  };
  // Once in ten seconds: no dump of all counters would serve another call.
  for (int i = 0; i < 3; ++i) {
    ASSERT_OK(Get("web", 5));
    readings_are_done();
    EXPECT_EQ(server_.hub.Latest(), nullptr);
    server_.Advance(absl::Seconds(10));
  }
  ASSERT_OK(Get("web", 5));
  server_.Advance(absl::Seconds(1));
  ASSERT_OK(Get("web", 5));
  readings_are_done();
  ASSERT_NE(server_.hub.Latest(), nullptr);
  EXPECT_OK(server_.acct.Count("web", 3, 300));
  ASSERT_OK(Get("web", 5));
  EXPECT_EQ(counter_.packets(), 0);
}

TEST_F(CounterReadTest, ReadingOneCounterNeverWaitsForTheLane) {
  server_.AddObject({.name = "web"});
  const BusyLane busy(server_.counter_lane);
  for (int i = 0; i < 3; ++i) EXPECT_OK(Get("web", 5));
}

TEST_F(CounterReadTest, ACounterNewerThanTheSnapshotIsFound) {
  server_.AddObject({.name = "old"});
  ASSERT_OK(server_.hub.Take(absl::ZeroDuration()));
  server_.AddObject({.name = "new"});
  EXPECT_OK(Get("new", 5));
  EXPECT_OK(GetBatch({"new", "old"}, 5));
  EXPECT_EQ(Get("none", 5).error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(CounterReadTest, BatchesAnswerInTheOrderOfTheRequest) {
  for (const char* name : {"a", "b", "c"}) server_.AddObject({.name = name});
  ASSERT_OK(GetBatch({"c", "a"}));
  ASSERT_THAT(batch_.counters(), SizeIs(2));
  EXPECT_EQ(batch_.counters(0).name(), "c");
  EXPECT_EQ(batch_.counters(1).name(), "a");
}

TEST_F(CounterReadTest, BatchesNameAllThatIsMissingAndAllThatIsTwice) {
  server_.AddObject({.name = "a"});
  EXPECT_THAT(ErrorInfoOf(GetBatch({"x", "a", "y"})).metadata(),
              Contains(Pair("counters", "x,y")));
  EXPECT_THAT(WrongFieldsOf(GetBatch({"a", "a", ""})),
              ElementsAre("names[1]", "names[2]"));
  EXPECT_THAT(WrongFieldsOf(GetBatch({})), ElementsAre("names"));
}

TEST_F(CounterReadTest, ALargeBatchIsOneReading) {
  std::vector<std::string> names;
  for (int i = 0; i < 10'000; ++i) {
    names.push_back("c" + std::to_string(i));
    server_.AddObject({.name = names.back(), .packets = uint64_t(i)});
  }
  ASSERT_OK(GetBatch(names));
  ASSERT_THAT(batch_.counters(), SizeIs(10'000));
  EXPECT_EQ(batch_.counters(9'999).packets(), 9'999);
  EXPECT_EQ(server_.hub.Latest()->sequence, 1);
  names.push_back("missing");
  EXPECT_EQ(GetBatch(names).error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(CounterReadTest, ABatchOverTheBoundIsRefusedWithTheBound) {
  const grpc::Status status = GetBatch(std::vector<std::string>(20'001, "x"));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(status.error_message(), HasSubstr("20000"));
}

TEST_F(CounterReadTest, ForeignNamesAreShownEscapedAndReadByThat) {
  const std::string name("a b\xff\\", 5);
  server_.AddObject({.name = name, .packets = 9});
  v1::ListCountersRequest request;
  ASSERT_OK(List(request));
  ASSERT_THAT(page_.counters(), SizeIs(1));
  EXPECT_EQ(page_.counters(0).name(), "a\\x20b\\xff\\x5c");
  ASSERT_OK(Get(page_.counters(0).name()));
  EXPECT_EQ(counter_.packets(), 9);
  EXPECT_EQ(counter_.name(), "a\\x20b\\xff\\x5c");
}

TEST_F(CounterReadTest, NegativeStalenessIsRefused) {
  EXPECT_THAT(WrongFieldsOf(Get("web", -1)), ElementsAre("max_staleness"));
}

TEST_F(CounterReadTest, ListsByNameInPages) {
  for (int i = 24; i >= 0; --i) {
    server_.AddObject({.name = "c" + std::to_string(100 + i)});
  }
  v1::ListCountersRequest request;
  request.set_page_size(10);
  ASSERT_OK(List(request));
  EXPECT_THAT(page_.counters(), SizeIs(10));
  EXPECT_EQ(page_.total_size(), 25);
  const std::vector<std::string> names = ListAll(request);
  ASSERT_THAT(names, SizeIs(25));
  EXPECT_TRUE(std::is_sorted(names.begin(), names.end()));
  EXPECT_EQ(names[0], "c100");
  EXPECT_EQ(page_.counters_size(), 5);
}

TEST_F(CounterReadTest, APageThatEndsTheListHasNoToken) {
  for (const char* name : {"a", "b"}) server_.AddObject({.name = name});
  v1::ListCountersRequest request;
  request.set_page_size(2);
  ASSERT_OK(List(request));
  EXPECT_THAT(page_.next_page_token(), IsEmpty());
}

TEST_F(CounterReadTest, TellsWhatWasMadeThroughNfmeter) {
  v1::CreateCounterRequest create;
  v1::CreateCounterResponse created;
  create.mutable_counter()->set_name("ours");
  ASSERT_OK(Call(*server_.counter_stub,
                 &v1::CounterService::Stub::CreateCounter, create, &created));
  EXPECT_TRUE(created.counter().managed());
  server_.AddObject({.name = "foreign"});
  ASSERT_OK(Get("ours"));
  EXPECT_TRUE(counter_.managed());
  EXPECT_THAT(counter_.labels(), IsEmpty());
  EXPECT_EQ(counter_.etag(), created.counter().etag());
  ASSERT_OK(Get("foreign"));
  EXPECT_FALSE(counter_.managed());
  v1::ListCountersRequest request;
  request.mutable_filter()->set_managed_only(true);
  EXPECT_THAT(ListAll(request), ElementsAre("ours"));
}

TEST_F(CounterReadTest, FiltersByGlobAndLabels) {
  for (const char* name : {"web-1", "web-2", "db-1"}) {
    server_.AddObject({.name = name});
  }
  ASSERT_OK(server_.labels.Set({{"web-2", {{"team", "blue"}, {"x", "y"}}},
                                {"db-1", {{"team", "blue"}}}}));
  v1::ListCountersRequest request;
  request.mutable_filter()->set_name_glob("web-*");
  EXPECT_THAT(ListAll(request), ElementsAre("web-1", "web-2"));
  EXPECT_EQ(page_.total_size(), 2);
  (*request.mutable_filter()->mutable_labels())["team"] = "blue";
  EXPECT_THAT(ListAll(request), ElementsAre("web-2"));
  request.mutable_filter()->clear_name_glob();
  EXPECT_THAT(ListAll(request), ElementsAre("db-1", "web-2"));
  request.mutable_filter()->clear_labels();
  (*request.mutable_filter()->mutable_not_labels())["x"] = "y";
  EXPECT_THAT(ListAll(request), ElementsAre("db-1", "web-1"));
  request.mutable_filter()->set_name_glob(std::string(10'000, '*'));
  EXPECT_THAT(WrongFieldsOf(List(request)), ElementsAre("filter.name_glob"));
  for (const char* glob : {"[a", "[!]", "[]a", "web-[0-9]*["}) {
    request.mutable_filter()->set_name_glob(glob);
    EXPECT_THAT(WrongFieldsOf(List(request)), ElementsAre("filter.name_glob"))
        << glob;
  }
  for (const char* glob : {"[]]", "[!]a]", "[a-c]*[!0-9]", "]"}) {
    request.mutable_filter()->set_name_glob(glob);
    EXPECT_OK(List(request)) << glob;
  }
}

TEST_F(CounterReadTest, WhatStaysIsListedOnceWhileOthersComeAndGo) {
  for (int i = 0; i < 50; ++i) {
    server_.AddObject({.name = "stay" + std::to_string(100 + i)});
    server_.AddObject({.name = "go" + std::to_string(100 + i)});
  }
  int round = 0;
  v1::ListCountersRequest request;
  request.set_page_size(7);
  const std::vector<std::string> names = ListAll(request, [&] {
    (void)server_.acct.Delete({"go" + std::to_string(100 + round)});
    server_.AddObject({.name = "a" + std::to_string(round)});
    server_.AddObject({.name = "z" + std::to_string(round++)});
    if (round > 30) FAIL() << "the list does not end";
  });
  for (int i = 0; i < 50; ++i) {
    EXPECT_EQ(std::count(names.begin(), names.end(),
                         "stay" + std::to_string(100 + i)),
              1);
  }
}

TEST_F(CounterReadTest, RefusesTokensOfOthersAndBadPageSizes) {
  for (const char* name : {"a", "b"}) server_.AddObject({.name = name});
  v1::ListCountersRequest request;
  request.set_page_size(1);
  ASSERT_OK(List(request));
  request.set_page_token(page_.next_page_token());
  request.mutable_filter()->set_name_glob("b*");
  EXPECT_EQ(ErrorInfoOf(List(request)).reason(), "PAGE_TOKEN_INVALID");
  EXPECT_THAT(WrongFieldsOf(List(request)), ElementsAre("page_token"));
  request.set_page_token("garbage");
  EXPECT_EQ(ErrorInfoOf(List(request)).reason(), "PAGE_TOKEN_INVALID");
  request.set_page_size(-1);
  EXPECT_THAT(WrongFieldsOf(List(request)), ElementsAre("page_size"));
}

TEST_F(CounterReadTest, PagesAreCutToTheBound) {
  ComponentServer small({.limits = {.max_page_size = 3}});
  for (const char* name : {"a", "b", "c", "d"}) {
    small.AddObject({.name = name});
  }
  v1::ListCountersRequest request;
  request.set_page_size(1'000'000);
  ASSERT_OK(Call(*small.counter_stub, &v1::CounterService::Stub::ListCounters,
                 request, &page_));
  EXPECT_THAT(page_.counters(), SizeIs(3));
  EXPECT_EQ(page_.total_size(), 4);
}

TEST_F(CounterReadTest, PagesFitWhatClientsTakeByDefault) {
  accounting::Labels large;
  for (int i = 0; i < 16; ++i) {
    large["key-" + std::to_string(i)] = std::string(255, 'v');
  }
  std::vector<std::pair<std::string, accounting::Labels>> labels;
  for (int i = 0; i < 2000; ++i) {
    labels.emplace_back("c" + std::to_string(i), large);
    server_.AddObject({.name = labels.back().first});
  }
  ASSERT_OK(server_.labels.Set(labels));
  v1::ListCountersRequest request;
  request.set_page_size(2000);
  ASSERT_OK(List(request));
  EXPECT_LT(page_.ByteSizeLong(), 4 << 20);
  EXPECT_THAT(ListAll(request), SizeIs(2000));
}

TEST_F(CounterReadTest, TheEtagFollowsQuotaAndLabelsNotCounts) {
  server_.AddObject({.name = "web"});
  ASSERT_OK(Get("web"));
  const std::string before = counter_.etag();
  EXPECT_OK(server_.acct.Count("web", 1, 1));
  ASSERT_OK(Get("web"));
  EXPECT_EQ(counter_.etag(), before);
  ASSERT_OK(server_.labels.Set({{"web", {{"a", "b"}}}}));
  ASSERT_OK(Get("web"));
  EXPECT_NE(counter_.etag(), before);
}

}  // namespace
}  // namespace nfmeter::testing
