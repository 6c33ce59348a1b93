// SPDX-License-Identifier: GPL-3.0-or-later
// Errors with a reason for programs and a sentence for people.
//
// A status made here carries its google.rpc.ErrorInfo and BadRequest parts as
// payloads in a form of our own, so that nothing below service/ needs protobuf;
// service/status.h turns them into the standard messages.
#ifndef NFMETER_BASE_ERROR_H_
#define NFMETER_BASE_ERROR_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace nfmeter {

// One wrong field of a request. `field` is its path as in the JSON mapping's
// proto names: "rules[3].match.source".
struct FieldViolation {
  std::string field;
  std::string description;
};

// The parts of an error that are for programs.
struct ErrorDetails {
  std::string reason;                           // UPPER_SNAKE, never empty
  std::map<std::string, std::string> metadata;  // names, bounds, values
  std::vector<FieldViolation> violations;
};

// A status with `details`. `message` is one sentence or two: what was wrong,
// where, and what to do. `code` must not be OK.
absl::Status MakeError(absl::StatusCode code, absl::string_view message,
                       ErrorDetails details);

// A status with a reason only.
absl::Status MakeError(absl::StatusCode code, absl::string_view reason,
                       absl::string_view message);

// INVALID_ARGUMENT with reason INVALID_ARGUMENT and a sentence made from the
// violations; OK when there are none.
absl::Status InvalidFields(std::vector<FieldViolation> violations);

// The details of `status`; a status that was not made here has an empty reason.
ErrorDetails GetErrorDetails(const absl::Status& status);

// The same status with `prefix` put before its message, its details kept.
absl::Status Annotate(const absl::Status& status, absl::string_view prefix);

// Details of an error about something that goes beyond a bound of the server:
// the metadata is the bound, as "bound", and `more`, such as the "size" that
// there is.
ErrorDetails BoundDetails(absl::string_view reason, uint64_t bound,
                          std::map<std::string, std::string> more = {});

}  // namespace nfmeter

#endif  // NFMETER_BASE_ERROR_H_
