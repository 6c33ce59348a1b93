// SPDX-License-Identifier: GPL-3.0-or-later
#include "service/gate/status.h"

#include <string>

#include "base/error.h"
#include "gmock/gmock.h"
#include "google/protobuf/io/coded_stream.h"
#include "google/rpc/error_details.pb.h"
#include "tests/support/rpc_details.h"
#include "tests/support/status_matchers.h"

namespace nfmeter::service {
namespace {

using ::testing::Contains;
using testing::DetailOf;
using ::testing::EndsWith;
using ::testing::Pair;

google::rpc::Status Decoded(const grpc::Status& status) {
  google::rpc::Status decoded;
  EXPECT_TRUE(decoded.ParseFromString(status.error_details()));
  return decoded;
}

TEST(StatusTest, OkHasNoDetails) {
  EXPECT_OK(ToGrpcStatus(absl::OkStatus()));
  EXPECT_TRUE(ToGrpcStatus(absl::OkStatus()).error_details().empty());
}

TEST(StatusTest, ReasonAndMetadataBecomeErrorInfoOfOurDomain) {
  const grpc::Status status = ToGrpcStatus(MakeError(
      absl::StatusCode::kNotFound, "there is no counter 'a'",
      {.reason = "COUNTER_NOT_FOUND", .metadata = {{"counters", "a"}}}));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(status.error_message(), "there is no counter 'a'");
  const google::rpc::Status decoded = Decoded(status);
  EXPECT_EQ(decoded.code(), 5);
  EXPECT_EQ(decoded.message(), "there is no counter 'a'");
  const auto info = DetailOf<google::rpc::ErrorInfo>(decoded);
  EXPECT_EQ(info.domain(), "nfmeter");
  EXPECT_EQ(info.reason(), "COUNTER_NOT_FOUND");
  EXPECT_THAT(info.metadata(), Contains(Pair("counters", "a")));
}

TEST(StatusTest, AllViolationsBecomeBadRequest) {
  const auto bad_request = DetailOf<google::rpc::BadRequest>(
      ToRpcStatus(InvalidFields({{"rules[3].match.source", "not an address"},
                                 {"rules[4].chain", "is empty"}})));
  ASSERT_EQ(bad_request.field_violations_size(), 2);
  EXPECT_EQ(bad_request.field_violations(0).field(), "rules[3].match.source");
  EXPECT_EQ(bad_request.field_violations(1).description(), "is empty");
}

TEST(StatusTest, AStatusWithoutReasonGetsOneByItsCode) {
  const auto info = DetailOf<google::rpc::ErrorInfo>(
      ToRpcStatus(absl::PermissionDeniedError("no")));
  EXPECT_EQ(info.reason(), "PERMISSION_DENIED");
  EXPECT_EQ(info.domain(), "nfmeter");
}

TEST(StatusTest, UnknownIsNeverSent) {
  EXPECT_EQ(ToGrpcStatus(absl::UnknownError("?")).error_code(),
            grpc::StatusCode::INTERNAL);
}

TEST(StatusTest, UnavailableSaysWhenToTryAgain) {
  const auto retry = DetailOf<google::rpc::RetryInfo>(
      ToRpcStatus(absl::UnavailableError("the lock is held")));
  EXPECT_GT(retry.retry_delay().seconds(), 0);
}

TEST(StatusTest, OtherBytesThanUtf8AreEscaped) {
  const std::string bytes = "a\xff\xc3[\xed\xa0\x80 \xc3\xa9";
  const google::rpc::Status status =
      ToRpcStatus(MakeError(absl::StatusCode::kNotFound, bytes,
                            {.reason = "X",
                             .metadata = {{bytes, bytes}},
                             .violations = {{bytes, bytes}}}));
  EXPECT_EQ(status.message(), "a\\xff\\xc3[\\xed\\xa0\\x80 \xc3\xa9");
  // Its strings parse at the other end.
  google::rpc::ErrorInfo info = DetailOf<google::rpc::ErrorInfo>(status);
  EXPECT_THAT(info.metadata(),
              Contains(Pair("a\\xff\\xc3[\\xed\\xa0\\x80 \xc3\xa9",
                            "a\\xff\\xc3[\\xed\\xa0\\x80 \xc3\xa9")));
}

// gRPC clients refuse trailing metadata of more than 8 KiB.
TEST(StatusTest, TheLargestErrorFitsTrailingMetadata) {
  ErrorDetails details{.reason = std::string(1000, 'R')};
  for (int i = 0; i < 100; ++i) {
    details.metadata[std::string(100, 'k') + std::to_string(i)] =
        std::string(10'000, 'v');
    details.violations.push_back(
        {std::string(1000, 'f'), std::string(10'000, 'd')});
  }
  std::string message;
  for (int i = 0; i < 10'000; ++i) message += "\xc3\xa9";
  const grpc::Status status = ToGrpcStatus(
      MakeError(absl::StatusCode::kInvalidArgument, message, details));
  const size_t message_bytes = 3 * status.error_message().size();
  const size_t details_bytes = (status.error_details().size() + 2) / 3 * 4;
  EXPECT_LT(message_bytes + details_bytes, 8000);
  EXPECT_THAT(status.error_message(), EndsWith("..."));
  const auto bad_request = DetailOf<google::rpc::BadRequest>(Decoded(status));
  ASSERT_GT(bad_request.field_violations_size(), 1);
  const auto& last = *bad_request.field_violations().rbegin();
  EXPECT_EQ(last.description(),
            "and " +
                std::to_string(100 - bad_request.field_violations_size() + 1) +
                " more wrong fields");
}

}  // namespace
}  // namespace nfmeter::service
