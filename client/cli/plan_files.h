// SPDX-License-Identifier: Apache-2.0
// Plans from files.
#ifndef NFMETER_CLI_PLAN_FILES_H_
#define NFMETER_CLI_PLAN_FILES_H_

#include <istream>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "nfmeter/v1/plan.pb.h"

namespace nfmeter::cli {

struct PlanFile {
  std::string path;
  v1::Plan plan;
};

// Reads a file, "-" for `in`, or all *.yaml, *.yml and *.json of a folder by
// name. A plan without a name gets that of its file. INVALID_ARGUMENT says all
// that is wrong, a line each: "FILE:LINE:COLUMN: what"; also a name twice.
absl::StatusOr<std::vector<PlanFile>> ReadPlanFiles(const std::string& path,
                                                    std::istream& in);

}  // namespace nfmeter::cli

#endif  // NFMETER_CLI_PLAN_FILES_H_
