// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/linux/cgroup/cgroup_paths.h"

#include <errno.h>
#include <sys/stat.h>

#include <fstream>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace nfmeter::kernel {

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

}  // namespace nfmeter::kernel
