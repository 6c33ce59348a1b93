// SPDX-License-Identifier: Apache-2.0
// How the command says what went wrong.
#ifndef NFMETER_CLI_ERRORS_H_
#define NFMETER_CLI_ERRORS_H_

#include <ostream>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace nfmeter::cli {

// Exit codes; scripts rely on them. The table is in `nfmeter --help`.
enum ExitCode : int {
  kExitOk = 0,
  kExitError = 1,        // anything that is not below
  kExitUsage = 2,        // wrong flags, INVALID_ARGUMENT, OUT_OF_RANGE
  kExitNotFound = 3,     // NOT_FOUND
  kExitConflict = 4,     // ALREADY_EXISTS, FAILED_PRECONDITION, ABORTED
  kExitDenied = 5,       // PERMISSION_DENIED, UNAUTHENTICATED
  kExitUnreachable = 6,  // UNAVAILABLE, DEADLINE_EXCEEDED
  kExitExhausted = 7,    // RESOURCE_EXHAUSTED
  kExitUnsupported = 8,  // UNIMPLEMENTED: the server can't do that
};

ExitCode ExitCodeOf(const absl::Status& status);

// "nfmeter: <sentence>", then a line for each wrong field, then what to do
// about it. Ends with a line feed.
std::string ErrorText(const absl::Status& status, bool color);

// A usage error with a hint: "run 'nfmeter rule add --help'".
absl::Status UsageError(absl::string_view message, absl::string_view hint = "");

// Where rules of others hold a counter.
inline constexpr char kForeignRulesHint[] =
    "'nfmeter rule list' shows the rules of others (their IDs begin with ~); "
    "iptables-legacy or nft deletes them";

// Flushes; UNKNOWN: what was printed did not get out.
absl::Status CheckPrinted(std::ostream& out);

// `status` with this hint instead of the one that its reason has.
absl::Status WithHint(absl::Status status, absl::string_view hint);

}  // namespace nfmeter::cli

#endif  // NFMETER_CLI_ERRORS_H_
