// SPDX-License-Identifier: Apache-2.0
// Counters and rules from the CSV that this command prints.
#ifndef NFMETER_CLI_CSV_OBJECTS_H_
#define NFMETER_CLI_CSV_OBJECTS_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "nfmeter/v1/counter.pb.h"
#include "nfmeter/v1/rule.pb.h"

namespace nfmeter::cli {

// Whether the first line has a column of this name.
bool IsCsv(absl::string_view text, absl::string_view column);

// From 'counter list -o csv': names, values to start from, quotas, labels.
// Columns may be missing or in another order; what the server alone decides is
// not read. INVALID_ARGUMENT names the line.
absl::StatusOr<v1::BatchCreateCountersRequest> CountersFromCsv(
    absl::string_view text);

// From 'rule list -o csv'. INVALID_ARGUMENT also for a rule that others made.
absl::StatusOr<v1::BatchCreateRulesRequest> RulesFromCsv(
    absl::string_view text);

}  // namespace nfmeter::cli

#endif  // NFMETER_CLI_CSV_OBJECTS_H_
