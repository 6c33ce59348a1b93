// SPDX-License-Identifier: Apache-2.0
#include "cli/contexts.h"

#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "cli/errors.h"
#include "client/src/status_macros.h"
#include "yaml-cpp/yaml.h"

namespace nfmeter::cli {
namespace {

// What a context may say, and the flag's value that it stands for.
struct Setting {
  const char* name;
  std::string GlobalFlags::*flag;
};
constexpr Setting kSettings[] = {
    {"server", &GlobalFlags::server},
    {"ca", &GlobalFlags::ca_file},
    {"cert", &GlobalFlags::certificate_file},
    {"key", &GlobalFlags::key_file},
    {"tls-server-name", &GlobalFlags::server_name},
    {"timeout", &GlobalFlags::timeout},
    {"output", &GlobalFlags::format},
};
constexpr char kInsecure[] = "insecure";

std::string Variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

bool IsSetting(const std::string& name) {
  return name == kInsecure ||
         absl::c_any_of(kSettings, [&name](const Setting& setting) {
           return setting.name == name;
         });
}

absl::Status ReadContext(const std::string& name, const YAML::Node& node,
                         Contexts::Values& values) {
  for (const auto& member : node) {
    const auto key = member.first.as<std::string>();
    if (!IsSetting(key)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "context '", name, "' has '", key, "'; it may have ",
          absl::StrJoin(
              kSettings, ", ",
              [](std::string* out, const Setting& s) { out->append(s.name); }),
          " and insecure"));
    }
    values[key] = member.second.as<std::string>();
  }
  if (!values.contains("server")) {
    return absl::InvalidArgumentError(
        absl::StrCat("context '", name, "' has no server"));
  }
  return absl::OkStatus();
}

absl::Status Read(const YAML::Node& file, Contexts& contexts) {
  for (const auto& part : file) {
    const auto key = part.first.as<std::string>();
    if (key == "current") {
      contexts.current = part.second.as<std::string>();
    } else if (key == "contexts") {
      for (const auto& context : part.second) {
        const auto name = context.first.as<std::string>();
        NFM_RETURN_IF_ERROR(
            ReadContext(name, context.second, contexts.contexts[name]));
      }
    } else if (key == "groups") {
      contexts.groups =
          part.second.as<std::map<std::string, std::vector<std::string>>>();
    } else {
      return absl::InvalidArgumentError(absl::StrCat(
          "it has '", key, "'; it may have current, contexts and groups"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

std::string ContextsPath() {
  if (std::string path = Variable("NFMETER_CONFIG"); !path.empty()) return path;
  std::string folder = Variable("XDG_CONFIG_HOME");
  if (folder.empty()) folder = absl::StrCat(Variable("HOME"), "/.config");
  return absl::StrCat(folder, "/nfmeter/config.yaml");
}

absl::StatusOr<Contexts> LoadContexts(const std::string& path) {
  Contexts contexts;
  std::error_code none;
  if (!std::filesystem::exists(path, none)) return contexts;
  absl::Status status;
  try {
    status = Read(YAML::LoadFile(path), contexts);
  } catch (const YAML::Exception& error) {
    status = absl::InvalidArgumentError(error.what());
  }
  if (!status.ok()) {
    return UsageError(absl::StrCat(path, ": ", status.message()));
  }
  return contexts;
}

absl::Status SaveContexts(const Contexts& contexts, const std::string& path) {
  YAML::Emitter out;
  out << YAML::BeginMap;
  if (!contexts.current.empty()) {
    out << YAML::Key << "current" << YAML::Value << contexts.current;
  }
  out << YAML::Key << "contexts" << YAML::Value << contexts.contexts;
  if (!contexts.groups.empty()) {
    out << YAML::Key << "groups" << YAML::Value << contexts.groups;
  }
  out << YAML::EndMap;
  std::error_code error;
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(),
                                      error);
  // Another file takes its place at once: half a file is never read.
  const std::string fresh = absl::StrCat(path, ".new");
  std::ofstream file(fresh, std::ios::trunc);
  chmod(fresh.c_str(), S_IRUSR | S_IWUSR);
  file << out.c_str() << "\n";
  file.close();
  if (file) std::filesystem::rename(fresh, path, error);
  if (!file || error) {
    return absl::UnknownError(absl::StrCat("can't write ", path));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> ExpandContexts(
    const Contexts& contexts, absl::string_view names) {
  std::vector<std::string> expanded;
  const auto add = [&](const std::string& name) {
    if (!absl::c_linear_search(expanded, name)) expanded.push_back(name);
    return contexts.contexts.contains(name);
  };
  const std::vector<std::string> given =
      absl::StrSplit(names, ',', absl::SkipEmpty());
  for (const std::string& name : given) {
    const auto group = contexts.groups.find(name);
    const std::vector<std::string> members =
        group == contexts.groups.end() ? std::vector<std::string>{name}
                                       : group->second;
    if (members.empty()) {
      return UsageError(absl::StrCat("the group '", name, "' has no contexts"),
                        absl::StrCat("'nfmeter context add ", name,
                                     " --group NAME,NAME' gives it some"));
    }
    for (const std::string& member : members) {
      if (add(member)) continue;
      return WithHint(absl::NotFoundError(absl::StrCat(
                          "there is no context ",
                          group == contexts.groups.end() ? "or group " : "",
                          "'", member, "'")),
                      "'nfmeter context list' shows those that exist");
    }
  }
  if (expanded.empty() && !names.empty()) {
    return UsageError(absl::StrCat("'", names, "' names no context"));
  }
  return expanded;
}

GlobalFlags WithContext(GlobalFlags flags, const Contexts::Values& values) {
  for (const Setting& setting : kSettings) {
    const auto value = values.find(setting.name);
    std::string& flag = flags.*setting.flag;
    if (flag.empty() && value != values.end()) flag = value->second;
  }
  const auto insecure = values.find(kInsecure);
  if (insecure != values.end() && insecure->second == "true") {
    flags.insecure = true;
  }
  return flags;
}

Contexts::Values ContextValues(const GlobalFlags& flags) {
  Contexts::Values values;
  for (const Setting& setting : kSettings) {
    const std::string& flag = flags.*setting.flag;
    if (!flag.empty()) values[setting.name] = flag;
  }
  if (flags.insecure) values[kInsecure] = "true";
  return values;
}

}  // namespace nfmeter::cli
