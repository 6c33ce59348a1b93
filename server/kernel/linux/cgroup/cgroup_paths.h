// SPDX-License-Identifier: GPL-3.0-or-later
// Whether the cgroups that rules name are there.
#ifndef NFMETER_KERNEL_LINUX_CGROUP_CGROUP_PATHS_H_
#define NFMETER_KERNEL_LINUX_CGROUP_CGROUP_PATHS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"
#include "kernel/cgroup_tree.h"

namespace nfmeter::kernel {

// The cgroup v2 hierarchy as this process sees it mounted. Thread-safe.
class CgroupPaths {
 public:
  // Looks for the mount of its root. `mounts` is a mountinfo file, see proc(5).
  static CgroupPaths Find(const std::string& mounts = "/proc/self/mountinfo");

  // True: the kernel would not find this path (cgroup_get_from_path() in
  // kernel/cgroup/cgroup.c). False: it is there, or the root can't be seen from
  // here, and only the kernel knows.
  bool IsMissing(absl::string_view path) const;

  // A cgroup by the kernel's own number, and how far it lies below the root.
  struct Place {
    uint64_t id = 0;
    uint32_t level = 0;
  };
  // nullopt: it is missing, or the root can't be seen from here.
  std::optional<Place> Look(absl::string_view path) const;

  const std::string& root() const { return root_; }  // empty: not seen

 private:
  explicit CgroupPaths(std::string root) : root_(std::move(root)) {}

  std::string root_;
};

// Thread-safe.
class LinuxCgroupTree final : public CgroupTree {
 public:
  explicit LinuxCgroupTree(CgroupPaths paths = CgroupPaths::Find())
      : paths_(std::move(paths)) {}

  bool visible() const override { return !paths_.root().empty(); }
  std::optional<uint64_t> Find(absl::string_view path) override;
  // Units stand in slices, and slices in slices, see systemd.slice(5).
  std::optional<std::string> PathOfUnit(absl::string_view unit) override;

 private:
  const CgroupPaths paths_;
};

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_LINUX_CGROUP_CGROUP_PATHS_H_
