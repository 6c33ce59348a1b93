// SPDX-License-Identifier: GPL-3.0-or-later
// Backoff, and which attempts are made at all.
#include <vector>

#include "client/src/backoff.h"
#include "client/src/connection.h"
#include "client/src/payload.h"
#include "gmock/gmock.h"
#include "google/rpc/status.pb.h"
#include "gtest/gtest.h"
#include "tests/support/fake_client_environment.h"
#include "tests/support/status_matchers.h"

namespace nfmeter::client_internal {
namespace {

using ::nfmeter::testing::FakeClientEnvironment;
using ::nfmeter::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::MatchesRegex;
using ::testing::SizeIs;

const absl::Status kFailure = absl::UnavailableError("x");

TEST(BackoffTest, GrowsUpToItsBound) {
  FakeClientEnvironment environment;
  Backoff backoff({.initial_backoff = absl::Milliseconds(100),
                   .max_backoff = absl::Milliseconds(350),
                   .multiplier = 2},
                  environment);
  std::vector<int64_t> waits;
  for (int i = 0; i < 4; ++i) {
    waits.push_back(absl::ToInt64Milliseconds(backoff.Next(kFailure)));
  }
  EXPECT_THAT(waits, ElementsAre(100, 200, 350, 350));
  backoff.Reset();
  EXPECT_EQ(backoff.Next(kFailure), absl::Milliseconds(100));
}

TEST(BackoffTest, JitterOnlyShortens) {
  FakeClientEnvironment environment;
  environment.chance = 0.5;
  Backoff backoff({.initial_backoff = absl::Milliseconds(100), .jitter = 0.4},
                  environment);
  EXPECT_EQ(backoff.Next(kFailure), absl::Milliseconds(80));
}

TEST(BackoffTest, WaitsAtLeastAsLongAsTheServerSays) {
  FakeClientEnvironment environment;
  Backoff backoff({}, environment);
  absl::Status failure = kFailure;
  google::rpc::RetryInfo info;
  info.mutable_retry_delay()->set_seconds(3);
  SetPayload(info, &failure);
  EXPECT_EQ(backoff.Next(failure), absl::Seconds(3));
  EXPECT_EQ(backoff.Next(kFailure), absl::Milliseconds(200));
}

TEST(EnvironmentTest, RequestIdsAreDifferentUuids) {
  const auto environment = SystemEnvironment();
  const std::string id = environment->NewRequestId();
  EXPECT_THAT(id, MatchesRegex("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-"
                               "[89ab][0-9a-f]{3}-[0-9a-f]{12}"));
  EXPECT_NE(id, environment->NewRequestId());
}

class RetryTest : public ::testing::Test {
 protected:
  // Makes a call whose attempts fail with `code`; counts them.
  absl::Status Call(grpc::StatusCode code, const CallOptions& options = {}) {
    attempts_ = 0;
    return connection_->Call(options, [&](grpc::ClientContext*) {
      ++attempts_;
      return grpc::Status(code, "x", details_);
    });
  }

  std::shared_ptr<FakeClientEnvironment> environment_ =
      std::make_shared<FakeClientEnvironment>();
  std::shared_ptr<Connection> connection_ =
      *Connection::Open({.address = "unix:/nowhere"}, environment_);
  int attempts_ = 0;
  std::string details_;
};

TEST_F(RetryTest, OnlyUnavailableIsTriedAgain) {
  for (int code = 0; code <= 16; ++code) {
    const bool again = code == grpc::StatusCode::UNAVAILABLE;
    const absl::Status status = Call(static_cast<grpc::StatusCode>(code));
    EXPECT_EQ(static_cast<int>(status.code()), code);
    EXPECT_EQ(attempts_, again ? 4 : 1) << code;
  }
  EXPECT_THAT(environment_->sleeps(),
              ElementsAre(absl::Milliseconds(100), absl::Milliseconds(200),
                          absl::Milliseconds(400)));
}

TEST_F(RetryTest, NoAttemptIsBegunAfterTheDeadline) {
  EXPECT_THAT(
      Call(grpc::StatusCode::UNAVAILABLE, {.timeout = absl::Milliseconds(250)}),
      StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_EQ(attempts_, 2);  // at 0 and 100 ms; the next would be at 300 ms
  Call(grpc::StatusCode::UNAVAILABLE,
       {.deadline = environment_->Now() + absl::Milliseconds(50)})
      .IgnoreError();
  EXPECT_EQ(attempts_, 1);
}

TEST_F(RetryTest, RetryInfoBeyondTheDeadlineEndsTheCallAtOnce) {
  google::rpc::RetryInfo info;
  info.mutable_retry_delay()->set_seconds(60);
  google::rpc::Status status;
  status.add_details()->PackFrom(info);
  details_ = status.SerializeAsString();
  Call(grpc::StatusCode::UNAVAILABLE).IgnoreError();
  EXPECT_EQ(attempts_, 1);
  EXPECT_THAT(environment_->sleeps(), SizeIs(0));
}

}  // namespace
}  // namespace nfmeter::client_internal
