// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/linux/cgroup/linux_cgroup_tree.h"

#include <filesystem>
#include <system_error>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace nfmeter::kernel {
namespace {

// How deep slices in slices are searched; systemd's own are four deep at most.
constexpr int kDeepest = 16;

// The path of `unit` below `folder`, from the root of the hierarchy.
std::optional<std::string> FindUnit(const std::string& root,
                                    const std::string& folder,
                                    absl::string_view unit, int depth) {
  std::error_code error;
  std::vector<std::string> slices;
  for (std::filesystem::directory_iterator
           each(absl::StrCat(root, "/", folder), error),
       end;
       !error && each != end; each.increment(error)) {
    if (!each->is_directory(error)) continue;
    const std::string name = each->path().filename();
    const std::string path =
        folder.empty() ? name : absl::StrCat(folder, "/", name);
    if (name == unit) return path;
    if (absl::EndsWith(name, ".slice")) slices.push_back(path);
  }
  if (depth == kDeepest) return std::nullopt;
  for (const std::string& slice : slices) {
    if (auto found = FindUnit(root, slice, unit, depth + 1)) return found;
  }
  return std::nullopt;
}

}  // namespace

std::optional<uint64_t> LinuxCgroupTree::Find(absl::string_view path) {
  const std::optional<CgroupPaths::Place> place = paths_.Look(path);
  return place.has_value() ? std::optional(place->id) : std::nullopt;
}

std::optional<std::string> LinuxCgroupTree::PathOfUnit(absl::string_view unit) {
  if (!visible()) return std::nullopt;
  return FindUnit(paths_.root(), "", unit, 0);
}

}  // namespace nfmeter::kernel
