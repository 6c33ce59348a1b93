// SPDX-License-Identifier: Apache-2.0
#include "cli/plan_files.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "cli/input.h"
#include "client/src/status_macros.h"
#include "nfmeter/errors.h"
#include "proto/yaml/yaml_places.h"

namespace nfmeter::cli {

absl::StatusOr<std::vector<PlanFile>> ReadPlanFiles(const std::string& path,
                                                    std::istream& in) {
  const bool is_stream = path == "-";
  NFM_ASSIGN_OR_RETURN(const auto paths, is_stream
                                             ? std::vector<std::string>{path}
                                             : FindPlanFiles(path));
  std::vector<PlanFile> files;
  for (const std::string& each : paths) {
    NFM_ASSIGN_OR_RETURN(auto text, ReadSource(each, in));
    files.push_back(ReadPlanFile(is_stream ? "standard input" : each,
                                 std::move(text),
                                 is_stream ? "" : PlanNameOf(each)));
  }
  FindPlansThereTwice(files);
  std::vector<std::string> wrong;
  for (const PlanFile& file : files) {
    wrong.insert(wrong.end(), file.wrong.begin(), file.wrong.end());
  }
  if (wrong.empty()) return files;
  return absl::InvalidArgumentError(absl::StrJoin(wrong, "\n"));
}

absl::Status AtItsPlaces(const absl::Status& status, const PlanFile& file) {
  std::vector<InvalidField> fields = FieldViolations(status);
  if (!absl::IsInvalidArgument(status) || fields.empty()) return status;
  const YamlPlaces places(file.text, file.path);
  std::vector<std::string> lines;
  for (const InvalidField& wrong : fields) {
    absl::string_view field = wrong.field;
    if (!absl::ConsumePrefix(&field, "plan.") && !field.empty()) return status;
    lines.push_back(absl::StrCat(places.Of(field), ": ", field,
                                 field.empty() ? "" : ": ", wrong.description));
  }
  return absl::InvalidArgumentError(absl::StrJoin(lines, "\n"));
}

}  // namespace nfmeter::cli
