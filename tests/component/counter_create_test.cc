// SPDX-License-Identifier: GPL-3.0-or-later
#include <errno.h>

#include <string>

#include "gmock/gmock.h"
#include "tests/component/component_server.h"
#include "tests/support/status_matchers.h"

namespace nfmeter::testing {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::SizeIs;

class CounterCreateTest : public ::testing::Test {
 protected:
  grpc::Status Create(const v1::CreateCounterRequest& request) {
    return Call(*server_.counter_stub, &v1::CounterService::Stub::CreateCounter,
                request, &created_);
  }
  grpc::Status CreateNamed(const std::string& name) {
    v1::CreateCounterRequest request;
    request.mutable_counter()->set_name(name);
    return Create(request);
  }
  grpc::Status CreateBatch(const v1::BatchCreateCountersRequest& request) {
    return Call(*server_.counter_stub,
                &v1::CounterService::Stub::BatchCreateCounters, request,
                &batch_);
  }
  static v1::BatchCreateCountersRequest BatchOf(
      const std::vector<std::string>& names) {
    v1::BatchCreateCountersRequest request;
    for (const std::string& name : names) {
      request.add_counters()->set_name(name);
    }
    return request;
  }
  bool Exists(const std::string& name) { return server_.acct.Get(name).ok(); }

  ComponentServer server_;
  v1::CreateCounterResponse created_;
  v1::BatchCreateCountersResponse batch_;
};

TEST_F(CounterCreateTest, MakesAnObjectWithQuotaLabelsAndStartingValues) {
  v1::CreateCounterRequest request;
  v1::Counter& counter = *request.mutable_counter();
  counter.set_name("web");
  counter.set_packets(5);
  counter.set_bytes(500);
  counter.mutable_quota()->set_bytes(1000);
  (*counter.mutable_labels())["team"] = "blue";
  ASSERT_OK(Create(request));
  EXPECT_EQ(created_.counter().name(), "web");
  EXPECT_EQ(created_.counter().packets(), 5);
  EXPECT_EQ(created_.counter().bytes(), 500);
  EXPECT_EQ(created_.counter().quota().bytes(), 1000);
  EXPECT_FALSE(created_.counter().quota().exceeded());
  EXPECT_EQ(created_.counter().labels().at("team"), "blue");
  EXPECT_EQ(created_.counter().read_time().seconds(), 1'767'225'600);
  EXPECT_FALSE(created_.counter().etag().empty());
  EXPECT_THAT(server_.acct.Get("web"),
              IsOkAndHolds(kernel::AcctObject{
                  .name = "web",
                  .packets = 5,
                  .bytes = 500,
                  .quota = kernel::QuotaLimit{kernel::QuotaLimit::Unit::kBytes,
                                              1000}}));
}

TEST_F(CounterCreateTest, TheAnswerIsWhatAReadingSays) {
  v1::CreateCounterRequest request;
  // Longer than nfacct takes.
  request.mutable_counter()->set_name(std::string(40, 'n'));
  request.mutable_counter()->set_bytes(500);
  ASSERT_OK(Create(request));
  EXPECT_EQ(created_.counter().create_time().seconds(), 1'767'225'600);
  EXPECT_EQ(created_.counter().start_time().seconds(), 1'767'225'600);
  EXPECT_EQ(created_.counter().total_bytes(), 0);
  EXPECT_THAT(created_.counter().kernel_name(), HasSubstr("~"));
  v1::GetCounterRequest get;
  get.set_name(created_.counter().name());
  v1::GetCounterResponse got;
  ASSERT_OK(Call(*server_.counter_stub, &v1::CounterService::Stub::GetCounter,
                 get, &got));
  EXPECT_EQ(created_.counter().DebugString(), got.counter().DebugString());
}

TEST_F(CounterCreateTest, WhatIsOnlyCheckedBeginsNowAndHasCountedNothing) {
  v1::BatchCreateCountersRequest request = BatchOf({"a"});
  request.mutable_counters(0)->set_bytes(500);
  request.set_validate_only(true);
  ASSERT_OK(CreateBatch(request));
  EXPECT_EQ(batch_.counters(0).create_time().seconds(), 1'767'225'600);
  EXPECT_EQ(batch_.counters(0).total_bytes(), 0);
}

// Its account goes on, see Counter.total_bytes.
TEST_F(CounterCreateTest, ACounterThatOthersDeletedHasItsTotalInTheAnswer) {
  ASSERT_OK(CreateNamed("web"));
  ASSERT_OK(server_.acct.Count("web", 2, 300));
  ASSERT_OK(server_.hub.Take(absl::ZeroDuration()));
  ASSERT_OK(server_.acct.Delete({"web"})[0]);
  ASSERT_OK(server_.hub.Take(absl::ZeroDuration()));
  server_.Advance(absl::Seconds(1));
  ASSERT_OK(CreateNamed("web"));
  EXPECT_EQ(created_.counter().bytes(), 0);
  EXPECT_EQ(created_.counter().total_bytes(), 300);
  EXPECT_EQ(created_.counter().create_time().seconds(), 1'767'225'600);
}

TEST_F(CounterCreateTest, AnExistingCounterIsNamedAndLeftAsItIs) {
  server_.AddObject({.name = "web", .packets = 7});
  const grpc::Status status = CreateNamed("web");
  EXPECT_EQ(status.error_code(), grpc::StatusCode::ALREADY_EXISTS);
  EXPECT_EQ(ErrorInfoOf(status).reason(), "COUNTER_EXISTS");
  EXPECT_THAT(ErrorInfoOf(status).metadata(),
              Contains(Pair("counters", "web")));
  EXPECT_EQ(server_.acct.Get("web")->packets, 7);
}

TEST_F(CounterCreateTest, NamesOfAllLengthsGetAClearErrorAndChangeNothing) {
  for (const std::string& name :
       {std::string(), std::string(254, 'x'), std::string(10'000, 'x'),
        std::string("a\nb"), std::string("a\0b", 3), std::string("a b"),
        std::string("caf\xc3\xa9")}) {
    const grpc::Status status = CreateNamed(name);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
    EXPECT_EQ(ErrorInfoOf(status).reason(), "INVALID_ARGUMENT");
    EXPECT_EQ(ErrorInfoOf(status).domain(), "nfmeter");
    EXPECT_THAT(WrongFieldsOf(status), ElementsAre("counter.name"));
  }
  EXPECT_EQ((*server_.hub.Take(absl::ZeroDuration()))->size(), 0);
}

TEST_F(CounterCreateTest, WhatANameMayNotHaveIsShownAsItWasMeant) {
  for (const std::string name : {"caf\xc3\xa9", "caf\\xc3\\xa9"}) {
    EXPECT_THAT(CreateNamed(name).error_message(),
                HasSubstr("'caf\xc3\xa9' has '\xc3\xa9' at byte 3"));
  }
  EXPECT_THAT(CreateNamed("a\\x62").error_message(),
              HasSubstr("has '\\x5c' at byte 1"));
}

TEST_F(CounterCreateTest, ValidateOnlyChecksExistenceAndMakesNothing) {
  v1::CreateCounterRequest request;
  request.mutable_counter()->set_name("web");
  request.set_validate_only(true);
  ASSERT_OK(Create(request));
  EXPECT_EQ(created_.counter().name(), "web");
  EXPECT_FALSE(Exists("web"));
  server_.AddObject({.name = "web"});
  EXPECT_EQ(Create(request).error_code(), grpc::StatusCode::ALREADY_EXISTS);
}

TEST_F(CounterCreateTest, ABatchAnswersInTheOrderOfTheRequest) {
  ASSERT_OK(CreateBatch(BatchOf({"b", "a", "c"})));
  ASSERT_THAT(batch_.counters(), SizeIs(3));
  EXPECT_EQ(batch_.counters(0).name(), "b");
  EXPECT_EQ(batch_.counters(2).name(), "c");
}

TEST_F(CounterCreateTest, ABatchWithExistingOnesNamesThemAndMakesNone) {
  server_.AddObject({.name = "b"});
  server_.AddObject({.name = "d"});
  const grpc::Status status = CreateBatch(BatchOf({"a", "b", "c", "d"}));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::ALREADY_EXISTS);
  EXPECT_THAT(ErrorInfoOf(status).metadata(),
              Contains(Pair("counters", "b,d")));
  EXPECT_FALSE(Exists("a"));
  EXPECT_FALSE(Exists("c"));
}

TEST_F(CounterCreateTest, ABatchWithDuplicatesNamesThemAndMakesNone) {
  const grpc::Status status = CreateBatch(BatchOf({"a", "b", "a"}));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(WrongFieldsOf(status), ElementsAre("counters[2].name"));
  EXPECT_FALSE(Exists("b"));
}

TEST_F(CounterCreateTest, AnEmptyBatchIsRefused) {
  EXPECT_THAT(WrongFieldsOf(CreateBatch({})), ElementsAre("counters"));
}

TEST_F(CounterCreateTest, AFailureRemovesWhatWasMade) {
  std::vector<std::string> names;
  for (int i = 0; i < 1000; ++i) names.push_back("c" + std::to_string(i));
  v1::BatchCreateCountersRequest request = BatchOf(names);
  (*request.mutable_counters(0)->mutable_labels())["k"] = "v";
  // The others of the first slice are there when it fails.
  server_.acct.InjectErrno(kernel::Operation::kAcctCreate, ENOMEM, 1);
  const grpc::Status status = CreateBatch(request);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ((*server_.hub.Take(absl::ZeroDuration()))->size(), 0);
  EXPECT_THAT(server_.labels.Get("c0"), IsEmpty());
  // And nothing is in the way of trying again.
  EXPECT_OK(CreateBatch(request));
}

TEST_F(CounterCreateTest, ABatchOf10000Works) {
  std::vector<std::string> names;
  for (int i = 0; i < 10'000; ++i) names.push_back("c" + std::to_string(i));
  ASSERT_OK(CreateBatch(BatchOf(names)));
  EXPECT_THAT(batch_.counters(), SizeIs(10'000));
  EXPECT_EQ((*server_.hub.Take(absl::ZeroDuration()))->size(), 10'000);
}

TEST_F(CounterCreateTest, ABatchOverTheBoundIsRefusedWithTheBound) {
  v1::BatchCreateCountersRequest request;
  for (int i = 0; i < 20'001; ++i) request.add_counters();
  const grpc::Status status = CreateBatch(request);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(ErrorInfoOf(status).reason(), "BATCH_TOO_LARGE");
  EXPECT_THAT(status.error_message(), HasSubstr("at most 20000"));
  EXPECT_THAT(ErrorInfoOf(status).metadata(), Contains(Pair("bound", "20000")));
}

TEST_F(CounterCreateTest, TenThousandWrongNamesMakeAnErrorThatArrives) {
  v1::BatchCreateCountersRequest request;
  for (int i = 0; i < 10'000; ++i) {
    request.add_counters()->set_name("wrong \xc3\xa9 name");
  }
  const grpc::Status status = CreateBatch(request);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(BadRequestOf(status).field_violations(), Not(IsEmpty()));
}

TEST_F(CounterCreateTest, LabelsOfACounterThatOthersDeletedAreNotInherited) {
  v1::CreateCounterRequest request;
  request.mutable_counter()->set_name("web");
  (*request.mutable_counter()->mutable_labels())["team"] = "blue";
  ASSERT_OK(Create(request));
  ASSERT_THAT(server_.acct.Delete({"web"}), ElementsAre(IsOk()));
  ASSERT_OK(CreateNamed("web"));
  EXPECT_THAT(created_.counter().labels(), IsEmpty());
  EXPECT_THAT(server_.labels.Get("web"),
              ElementsAre(Pair(accounting::kManagedLabel, "")));
}

// --- Answers of the kernel that are lost ------------------------------------

TEST_F(CounterCreateTest, ABatchWithALostAnswerLeavesNothing) {
  server_.acct.InjectErrno(kernel::Operation::kAcctCreate, ENOBUFS);
  const grpc::Status status = CreateBatch(BatchOf({"a", "b", "c"}));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(ErrorInfoOf(status).reason(), "KERNEL_OUT_OF_BUFFERS");
  for (const char* name : {"a", "b", "c"}) EXPECT_FALSE(Exists(name)) << name;
  EXPECT_OK(CreateBatch(BatchOf({"a", "b", "c"})));
}

TEST_F(CounterCreateTest, ABatchUndoesAlsoWhatWasMadeWithoutAnAnswer) {
  server_.acct.LoseNextAnswer(kernel::Operation::kAcctCreate);
  const grpc::Status status = CreateBatch(BatchOf({"a", "b", "c"}));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  for (const char* name : {"a", "b", "c"}) EXPECT_FALSE(Exists(name)) << name;
}

TEST_F(CounterCreateTest,
       ASingleOneThatIsNotThereAfterALostAnswerCanBeRetried) {
  server_.acct.InjectErrno(kernel::Operation::kAcctCreate, ENOBUFS);
  const grpc::Status status = CreateNamed("a");
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_OK(CreateNamed("a"));
}

TEST_F(CounterCreateTest, ASingleOneThatIsThereAfterALostAnswerIsSaidToBe) {
  server_.acct.LoseNextAnswer(kernel::Operation::kAcctCreate);
  const grpc::Status status = CreateNamed("a");
  EXPECT_EQ(status.error_code(), grpc::StatusCode::DATA_LOSS);
  EXPECT_EQ(ErrorInfoOf(status).reason(), "CREATION_ANSWER_LOST");
  EXPECT_TRUE(Exists("a"));
}

TEST_F(CounterCreateTest, AnotherObjectOfTheNameExistsWhateverTheAnswerWas) {
  server_.AddObject({.name = "a", .packets = 7});
  server_.acct.InjectErrno(kernel::Operation::kAcctCreate, ENOBUFS);
  EXPECT_EQ(CreateNamed("a").error_code(), grpc::StatusCode::ALREADY_EXISTS);
  EXPECT_EQ(server_.acct.Get("a")->packets, 7u);
}

}  // namespace
}  // namespace nfmeter::testing
