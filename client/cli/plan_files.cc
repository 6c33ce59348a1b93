// SPDX-License-Identifier: Apache-2.0
#include "cli/plan_files.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "cli/input.h"
#include "proto/yaml/yaml_message.h"

namespace nfmeter::cli {
namespace {

bool IsPlanFile(const std::filesystem::path& path) {
  const std::string extension = path.extension();
  return extension == ".yaml" || extension == ".yml" || extension == ".json";
}

absl::StatusOr<std::vector<std::string>> PathsOf(const std::string& path) {
  std::error_code error;
  if (path == "-" || !std::filesystem::is_directory(path, error)) {
    return std::vector<std::string>{path};
  }
  std::vector<std::string> paths;
  for (std::filesystem::directory_iterator each(path, error), end;
       !error && each != end; each.increment(error)) {
    if (IsPlanFile(each->path())) paths.push_back(each->path());
  }
  if (error) {
    return absl::PermissionDeniedError(
        absl::StrCat("can't read folder ", path, ": ", error.message()));
  }
  if (paths.empty()) {
    return absl::NotFoundError(absl::StrCat(
        "folder ", path, " has no *.yaml, *.yml or *.json to apply"));
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

}  // namespace

absl::StatusOr<std::vector<PlanFile>> ReadPlanFiles(const std::string& path,
                                                    std::istream& in) {
  const auto paths = PathsOf(path);
  if (!paths.ok()) return paths.status();
  std::vector<PlanFile> files;
  std::vector<std::string> wrong;
  std::map<std::string, std::string> names;
  for (const std::string& each : *paths) {
    const auto text = ReadSource(each, in);
    if (!text.ok()) return text.status();
    const std::string shown = each == "-" ? "standard input" : each;
    PlanFile file{.path = shown};
    const std::vector<std::string> found = ReadYaml(*text, shown, &file.plan);
    wrong.insert(wrong.end(), found.begin(), found.end());
    if (file.plan.name().empty() && each != "-") {
      file.plan.set_name(std::filesystem::path(each).stem());
    }
    const auto [first, is_new] = names.emplace(file.plan.name(), shown);
    if (!is_new) {
      wrong.push_back(absl::StrCat(shown, ":1:1: plan '", file.plan.name(),
                                   "' is in ", first->second, ", too"));
    }
    files.push_back(std::move(file));
  }
  if (!wrong.empty()) {
    return absl::InvalidArgumentError(absl::StrJoin(wrong, "\n"));
  }
  return files;
}

}  // namespace nfmeter::cli
