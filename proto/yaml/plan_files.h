// SPDX-License-Identifier: Apache-2.0
// Plans from files.
#ifndef NFMETER_PROTO_YAML_PLAN_FILES_H_
#define NFMETER_PROTO_YAML_PLAN_FILES_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "nfmeter/v1/plan.pb.h"

namespace nfmeter {

// The path itself; where it is a folder, all *.yaml, *.yml and *.json in it, by
// name. NOT_FOUND: the folder has none. PERMISSION_DENIED: it can't be read.
absl::StatusOr<std::vector<std::string>> FindPlanFiles(const std::string& path);

// One plan, and what is wrong with its text.
struct PlanFile {
  std::string path;
  std::string text;
  v1::Plan plan;
  // Lines: "PATH:LINE:COLUMN: what". Empty: nothing shows yet.
  std::vector<std::string> wrong;
};

// Reads the text of one file, named `path`. A plan without a name gets
// `default_name`.
PlanFile ReadPlanFile(const std::string& path, std::string text,
                      const std::string& default_name);

// The name that a plan of this file has without saying so: "customers" of
// "/etc/plans/customers.yaml".
std::string PlanNameOf(const std::string& path);

// Adds to the later of two files with the same plan that it is one.
void FindPlansThereTwice(std::vector<PlanFile>& files);

}  // namespace nfmeter

#endif  // NFMETER_PROTO_YAML_PLAN_FILES_H_
