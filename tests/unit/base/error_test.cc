// SPDX-License-Identifier: GPL-3.0-or-later
#include "base/error.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/status_matchers.h"

namespace nfmeter {
namespace {

using ::nfmeter::testing::HasReason;
using ::nfmeter::testing::IsOk;
using ::nfmeter::testing::StatusIs;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(ErrorTest, DetailsComeBackAsTheyWereGiven) {
  const absl::Status status =
      MakeError(absl::StatusCode::kNotFound, "no counter \"a\"",
                ErrorDetails{.reason = "COUNTER_NOT_FOUND",
                             .metadata = {{"counter", "a"}, {"empty", ""}}});
  const ErrorDetails details = GetErrorDetails(status);
  EXPECT_EQ(details.reason, "COUNTER_NOT_FOUND");
  EXPECT_EQ(details.metadata.at("counter"), "a");
  EXPECT_EQ(details.metadata.at("empty"), "");
}

TEST(ErrorTest, ViolationsKeepTheirOrderBeyondTen) {
  std::vector<FieldViolation> violations;
  for (int i = 0; i < 12; ++i) {
    violations.push_back({"rules[" + std::to_string(i) + "].match", "bad"});
  }
  const absl::Status status = InvalidFields(violations);
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument,
                               HasSubstr("and 9 more")));
  const ErrorDetails details = GetErrorDetails(status);
  ASSERT_EQ(details.violations.size(), 12u);
  EXPECT_EQ(details.violations[10].field, "rules[10].match");
}

TEST(ErrorTest, NoViolationsAreNoError) {
  EXPECT_THAT(InvalidFields({}), IsOk());
}

TEST(ErrorTest, AnnotationKeepsReasonAndCode) {
  const absl::Status status = Annotate(
      MakeError(absl::StatusCode::kAborted, "ETAG_MISMATCH", "changed"),
      "counters[2]");
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kAborted,
                               HasSubstr("counters[2]: changed")));
  EXPECT_THAT(status, HasReason("ETAG_MISMATCH"));
}

TEST(ErrorTest, StatusesOfOthersHaveNoReason) {
  EXPECT_THAT(absl::InternalError("x"), HasReason(""));
  EXPECT_THAT(absl::InternalError("x"), Not(IsOk()));
}

}  // namespace
}  // namespace nfmeter
