// SPDX-License-Identifier: GPL-3.0-or-later
// Matchers for absl::Status and absl::StatusOr, which Debian 12's Abseil lacks.
#ifndef NFMETER_TESTS_SUPPORT_STATUS_MATCHERS_H_
#define NFMETER_TESTS_SUPPORT_STATUS_MATCHERS_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/error.h"
#include "gmock/gmock.h"

namespace nfmeter::testing {

inline const absl::Status& StatusOf(const absl::Status& status) {
  return status;
}
template <typename T>
const absl::Status& StatusOf(const absl::StatusOr<T>& status_or) {
  return status_or.status();
}

// It is OK: a status of Abseil, gRPC or protobuf, or what else has ok().
MATCHER(IsOk, "") {
  if constexpr (requires { arg.status(); }) {
    *result_listener << arg.status().ToString();
  } else if constexpr (requires { arg.ToString(); }) {
    *result_listener << arg.ToString();
  } else if constexpr (requires { arg.error_message(); }) {
    *result_listener << "code " << arg.error_code() << ": "
                     << arg.error_message();
  }
  return arg.ok();
}

// It is a StatusOr with a value that matches.
MATCHER_P(IsOkAndHolds, value_matcher, "") {
  if (!arg.ok()) {
    *result_listener << arg.status().ToString();
    return false;
  }
  return ::testing::ExplainMatchResult(value_matcher, *arg, result_listener);
}

// The status has this code.
MATCHER_P(StatusIs, code, "") {
  *result_listener << StatusOf(arg).ToString();
  return StatusOf(arg).code() == code;
}

// The status has this code and a message that matches.
MATCHER_P2(StatusIs, code, message_matcher, "") {
  *result_listener << StatusOf(arg).ToString();
  return StatusOf(arg).code() == code &&
         ::testing::ExplainMatchResult(message_matcher,
                                       std::string(StatusOf(arg).message()),
                                       result_listener);
}

// The status has this reason (see base/error.h).
MATCHER_P(HasReason, reason, "") {
  *result_listener << StatusOf(arg).ToString();
  return GetErrorDetails(StatusOf(arg)).reason == reason;
}

}  // namespace nfmeter::testing

#define ASSERT_OK(expr) ASSERT_THAT(expr, ::nfmeter::testing::IsOk())
#define EXPECT_OK(expr) EXPECT_THAT(expr, ::nfmeter::testing::IsOk())

#endif  // NFMETER_TESTS_SUPPORT_STATUS_MATCHERS_H_
