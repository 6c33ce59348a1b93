// SPDX-License-Identifier: GPL-3.0-or-later
#include "service/gate/call_rates.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "base/error.h"
#include "gmock/gmock.h"
#include "service/gate/status.h"
#include "tests/support/fake_clock.h"
#include "tests/support/status_matchers.h"

namespace nfmeter::service {
namespace {

using ::nfmeter::testing::StatusIs;
using ::testing::HasSubstr;

class CallRatesTest : public ::testing::Test {
 protected:
  // Calls that are let in until one is not; at most `most`.
  int CallsOf(const std::string& principal, int most = 1000) {
    int calls = 0;
    while (calls < most && rates_.Take(principal).ok()) ++calls;
    return calls;
  }

  testing::FakeClock clock_;
  CallRates rates_{10, clock_};
};

TEST_F(CallRatesTest, TwoSecondsWorthMayComeAtOnce) {
  EXPECT_EQ(CallsOf("a"), 20);
  const absl::Status refused = rates_.Take("a");
  EXPECT_THAT(refused, StatusIs(absl::StatusCode::kResourceExhausted,
                                HasSubstr("a has made more than 10 calls a "
                                          "second")));
  EXPECT_EQ(GetErrorDetails(refused).reason, "RATE_LIMITED");
  EXPECT_EQ(GetErrorDetails(refused).metadata.at("bound"), "10");
}

TEST_F(CallRatesTest, ARefusalSaysWhenToComeBack) {
  CallsOf("a");
  const google::rpc::Status status = ToRpcStatus(rates_.Take("a"));
  EXPECT_THAT(status.DebugString(), HasSubstr("google.rpc.RetryInfo"));
}

TEST_F(CallRatesTest, TimeGivesCallsBackUpToTheBurst) {
  CallsOf("a");
  clock_.Advance(absl::Milliseconds(500));
  EXPECT_EQ(CallsOf("a"), 5);
  clock_.Advance(absl::Hours(1));
  EXPECT_EQ(CallsOf("a"), 20);
}

TEST_F(CallRatesTest, CallersDoNotPayForEachOther) {
  CallsOf("a");
  EXPECT_EQ(CallsOf("b"), 20);
}

TEST_F(CallRatesTest, ZeroIsNoLimit) {
  CallRates unlimited(0, clock_);
  for (int i = 0; i < 10'000; ++i) ASSERT_OK(unlimited.Take("a"));
}

TEST_F(CallRatesTest, MoreCallersThanAreToldApartShareABucket) {
  for (size_t i = 0; i < CallRates::kMaxPrincipals; ++i) {
    ASSERT_OK(rates_.Take(absl::StrCat("p", i)));
  }
  EXPECT_EQ(CallsOf("late"), 20);
  EXPECT_EQ(CallsOf("later"), 0);
  // Callers that made no calls for a while are forgotten.
  clock_.Advance(absl::Seconds(3));
  EXPECT_EQ(CallsOf("later"), 20);
  EXPECT_EQ(CallsOf("latest"), 20);
}

}  // namespace
}  // namespace nfmeter::service
