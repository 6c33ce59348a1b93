// SPDX-License-Identifier: GPL-3.0-or-later
#include <cerrno>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "tests/component/component_server.h"
#include "tests/support/status_matchers.h"

namespace nfmeter::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::SizeIs;

class CounterResetTest : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* name : {"a", "b", "c"}) {
      server_.AddObject({.name = name, .packets = 3, .bytes = 300});
    }
  }

  grpc::Status Reset(const v1::ResetCounterRequest& request) {
    return Call(*server_.counter_stub, &v1::CounterService::Stub::ResetCounter,
                request, &response_);
  }
  grpc::Status ResetNamed(const std::string& name) {
    v1::ResetCounterRequest request;
    request.set_name(name);
    return Reset(request);
  }
  grpc::Status ResetBatch(const std::vector<std::string>& names,
                          bool validate_only = false) {
    v1::BatchResetCountersRequest request;
    request.mutable_names()->Assign(names.begin(), names.end());
    request.set_validate_only(validate_only);
    return Call(*server_.counter_stub,
                &v1::CounterService::Stub::BatchResetCounters, request,
                &batch_);
  }
  uint64_t PacketsOf(const std::string& name) {
    return server_.acct.Get(name)->packets;
  }

  ComponentServer server_;
  v1::ResetCounterResponse response_;
  v1::BatchResetCountersResponse batch_;
};

TEST_F(CounterResetTest, ReturnsTheValuesAndZeroesThem) {
  ASSERT_OK(ResetNamed("a"));
  EXPECT_EQ(response_.counter().packets(), 3);
  EXPECT_EQ(response_.counter().bytes(), 300);
  EXPECT_EQ(PacketsOf("a"), 0);
  EXPECT_EQ(PacketsOf("b"), 3);
}

TEST_F(CounterResetTest, OfAMissingCounterChangesNothing) {
  EXPECT_EQ(ErrorInfoOf(ResetNamed("x")).reason(), "COUNTER_NOT_FOUND");
  EXPECT_EQ(ResetBatch({"a", "x", "b"}).error_code(),
            grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(PacketsOf("a"), 3);
  EXPECT_EQ(PacketsOf("b"), 3);
}

TEST_F(CounterResetTest, WithAnotherEtagIsAborted) {
  v1::ResetCounterRequest request;
  request.set_name("a");
  request.set_validate_only(true);
  ASSERT_OK(Reset(request));
  request.set_etag(response_.counter().etag());
  request.set_validate_only(false);
  ASSERT_OK(server_.labels.Set({{"a", {{"k", "v"}}}}));
  const grpc::Status status = Reset(request);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::ABORTED);
  EXPECT_EQ(ErrorInfoOf(status).reason(), "ETAG_MISMATCH");
  EXPECT_EQ(PacketsOf("a"), 3);
  ASSERT_OK(server_.labels.Set({{"a", {}}}));
  EXPECT_OK(Reset(request));
  EXPECT_EQ(PacketsOf("a"), 0);
}

TEST_F(CounterResetTest, ValidateOnlyReturnsTheValuesNow) {
  ASSERT_OK(ResetBatch({"a", "b"}, true));
  ASSERT_THAT(batch_.counters(), SizeIs(2));
  EXPECT_EQ(batch_.counters(0).packets(), 3);
  EXPECT_EQ(PacketsOf("a"), 3);
  EXPECT_EQ(ResetBatch({"a", "x"}, true).error_code(),
            grpc::StatusCode::NOT_FOUND);
}

TEST_F(CounterResetTest, AFailureInTheMiddleLosesNoValues) {
  server_.acct.InjectErrno(kernel::Operation::kAcctReset, ENOMEM, 1);
  ASSERT_OK(ResetBatch({"a", "b", "c"}));
  ASSERT_THAT(batch_.counters(), SizeIs(2));
  EXPECT_EQ(batch_.counters(0).name(), "b");
  EXPECT_EQ(batch_.counters(1).name(), "c");
  ASSERT_THAT(batch_.failures(), SizeIs(1));
  EXPECT_EQ(batch_.failures(0).index(), 0);
  EXPECT_EQ(batch_.failures(0).name(), "a");
  EXPECT_EQ(batch_.failures(0).status().code(),
            grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(ErrorInfoOf(batch_.failures(0).status()).domain(), "nfmeter");
  EXPECT_EQ(PacketsOf("a"), 3);
}

TEST_F(CounterResetTest, ASingleFailureIsTheCalls) {
  server_.acct.InjectErrno(kernel::Operation::kAcctReset, EPERM, 1);
  EXPECT_EQ(ResetNamed("a").error_code(), grpc::StatusCode::PERMISSION_DENIED);
}

TEST_F(CounterResetTest, ABatchOf10000IsExact) {
  std::vector<std::string> names;
  for (int i = 0; i < 10'000; ++i) {
    names.push_back("n" + std::to_string(i));
    server_.AddObject({.name = names.back(), .packets = uint64_t(i)});
  }
  ASSERT_OK(ResetBatch(names));
  ASSERT_THAT(batch_.counters(), SizeIs(10'000));
  for (int i = 0; i < 10'000; ++i) {
    ASSERT_EQ(batch_.counters(i).packets(), i);
    ASSERT_EQ(PacketsOf(names[i]), 0);
  }
  EXPECT_EQ(PacketsOf("a"), 3);
}

TEST_F(CounterResetTest, RefusesRepeatsAndEmptyBatches) {
  EXPECT_THAT(WrongFieldsOf(ResetBatch({"a", "a"})), ElementsAre("names[1]"));
  EXPECT_THAT(WrongFieldsOf(ResetBatch({})), ElementsAre("names"));
  EXPECT_EQ(ResetBatch(std::vector<std::string>(20'001, "a")).error_code(),
            grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(PacketsOf("a"), 3);
}

TEST_F(CounterResetTest, ForeignNamesWork) {
  server_.AddObject({.name = "a b", .packets = 1});
  ASSERT_OK(ResetNamed("a\\x20b"));
  EXPECT_EQ(response_.counter().packets(), 1);
}

}  // namespace
}  // namespace nfmeter::testing
