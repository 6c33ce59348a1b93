// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/linux/cgroup/cgroup_paths.h"

#include <errno.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <system_error>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

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

CgroupPaths CgroupPaths::Find(const std::string& mounts) {
  // "36 35 98:0 /root /mount/point options optional... - type source options"
  constexpr size_t kRoot = 3;
  constexpr size_t kPoint = 4;
  std::ifstream lines(mounts);
  for (std::string line; std::getline(lines, line);) {
    const std::vector<std::string> words = absl::StrSplit(line, ' ');
    size_t type = kPoint + 1;
    while (type < words.size() && words[type] != "-") ++type;
    // A mount whose root is not "/" shows a part of the hierarchy, and paths
    // begin at the root of all. Mount points with spaces (\040) are passed
    // over.
    if (type + 1 < words.size() && words[type + 1] == "cgroup2" &&
        words[kRoot] == "/" && words[kPoint].find('\\') == std::string::npos) {
      return CgroupPaths(words[kPoint]);
    }
  }
  return CgroupPaths("");
}

bool CgroupPaths::IsMissing(absl::string_view path) const {
  if (root_.empty()) return false;
  // The kernel compares names, and no cgroup has one of these.
  for (const absl::string_view name : absl::StrSplit(path, '/')) {
    if (name == "." || name == "..") return true;
  }
  struct stat found = {};
  if (lstat(absl::StrCat(root_, "/", path).c_str(), &found) == 0) {
    return !S_ISDIR(found.st_mode);
  }
  return errno == ENOENT || errno == ENOTDIR || errno == ENAMETOOLONG;
}

std::optional<CgroupPaths::Place> CgroupPaths::Look(
    absl::string_view path) const {
  if (root_.empty() || IsMissing(path)) return std::nullopt;
  struct stat found = {};
  if (lstat(absl::StrCat(root_, "/", path).c_str(), &found) != 0) {
    return std::nullopt;
  }
  // On 64-bit machines a cgroup's id is the inode of its folder (kernfs).
  Place place{.id = found.st_ino};
  for (const absl::string_view name : absl::StrSplit(path, '/')) {
    place.level += name.empty() ? 0 : 1;
  }
  return place;
}

std::optional<uint64_t> LinuxCgroupTree::Find(absl::string_view path) {
  const std::optional<CgroupPaths::Place> place = paths_.Look(path);
  return place.has_value() ? std::optional(place->id) : std::nullopt;
}

std::optional<std::string> LinuxCgroupTree::PathOfUnit(absl::string_view unit) {
  if (!visible()) return std::nullopt;
  return FindUnit(paths_.root(), "", unit, 0);
}

}  // namespace nfmeter::kernel
