// SPDX-License-Identifier: Apache-2.0
#include "proto/yaml/plan_files.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "proto/yaml/yaml_message.h"
#include "proto/yaml/yaml_places.h"

namespace nfmeter {
namespace {

bool IsPlanFile(const std::filesystem::path& path) {
  const std::string extension = path.extension();
  return extension == ".yaml" || extension == ".yml" || extension == ".json";
}

}  // namespace

absl::StatusOr<std::vector<std::string>> FindPlanFiles(
    const std::string& path) {
  std::error_code error;
  if (!std::filesystem::is_directory(path, error)) {
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

PlanFile ReadPlanFile(const std::string& path, std::string text,
                      const std::string& default_name) {
  PlanFile file{.path = path, .text = std::move(text)};
  file.wrong = ReadYaml(file.text, path, &file.plan);
  if (file.plan.name().empty()) file.plan.set_name(default_name);
  return file;
}

std::string PlanNameOf(const std::string& path) {
  return std::filesystem::path(path).stem();
}

void FindPlansThereTwice(std::vector<PlanFile>& files) {
  std::map<std::string, const PlanFile*> names;
  for (PlanFile& file : files) {
    const auto [first, is_new] = names.emplace(file.plan.name(), &file);
    if (is_new) continue;
    file.wrong.push_back(absl::StrCat(
        YamlPlaces(file.text, file.path).Of("name"), ": plan '",
        file.plan.name(), "' is in ", first->second->path, ", too"));
  }
}

}  // namespace nfmeter
