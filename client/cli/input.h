// SPDX-License-Identifier: Apache-2.0
// Names and objects from files and standard input.
#ifndef NFMETER_CLI_INPUT_H_
#define NFMETER_CLI_INPUT_H_

#include <istream>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "nfmeter/v1/counter.pb.h"
#include "nfmeter/v1/rule.pb.h"

namespace nfmeter::cli {

// The names with "-" replaced by the lines of `in` that are not blank, and with
// bytes outside ASCII as \xHH.
// INVALID_ARGUMENT: "-" twice.
absl::StatusOr<std::vector<std::string>> ExpandNames(
    const std::vector<std::string>& names, std::istream& in);

// All of a file, or with "-" of `in`. INVALID_ARGUMENT: the file can't be read;
// else what the system says of `in`.
absl::StatusOr<std::string> ReadSource(const std::string& path,
                                       std::istream& in);

// Names, one a line, where lines that begin with '#' are notes (no counter can
// be made with such a name, though others may have made some); or what this
// command prints of counters, as CSV, YAML or JSON: an array of Counters, or an
// object with "counters" as list and the batch requests have it, or one
// Counter. INVALID_ARGUMENT says where it is wrong. `source` names it in
// errors.
absl::StatusOr<v1::BatchCreateCountersRequest> ParseCounters(
    absl::string_view text, absl::string_view source);

// The same of rules, but no names.
absl::StatusOr<v1::BatchCreateRulesRequest> ParseRules(
    absl::string_view text, absl::string_view source);

}  // namespace nfmeter::cli

#endif  // NFMETER_CLI_INPUT_H_
