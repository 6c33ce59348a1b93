// SPDX-License-Identifier: Apache-2.0
// Plans from the files that a command names.
#ifndef NFMETER_CLI_PLAN_FILES_H_
#define NFMETER_CLI_PLAN_FILES_H_

#include <istream>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "proto/yaml/plan_files.h"

namespace nfmeter::cli {

// What help says of -f.
inline constexpr char kPlanFileHelp[] =
    "a plan in YAML or JSON, '-' for standard input, or a folder of them";

// Reads a file, "-" for `in`, or all plans of a folder. INVALID_ARGUMENT says
// all that is wrong, a line each: "FILE:LINE:COLUMN: what"; also a name twice.
absl::StatusOr<std::vector<PlanFile>> ReadPlanFiles(const std::string& path,
                                                    std::istream& in);

// What the server finds wrong with fields of the plan, as lines of its file.
absl::Status AtItsPlaces(const absl::Status& status, const PlanFile& file);

}  // namespace nfmeter::cli

#endif  // NFMETER_CLI_PLAN_FILES_H_
