// SPDX-License-Identifier: GPL-3.0-or-later
// Cgroups as the kernel's file system shows them.
#ifndef NFMETER_KERNEL_LINUX_CGROUP_LINUX_CGROUP_TREE_H_
#define NFMETER_KERNEL_LINUX_CGROUP_LINUX_CGROUP_TREE_H_

#include <optional>
#include <string>
#include <utility>

#include "kernel/cgroup_tree.h"
#include "kernel/linux/cgroup/cgroup_paths.h"

namespace nfmeter::kernel {

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

#endif  // NFMETER_KERNEL_LINUX_CGROUP_LINUX_CGROUP_TREE_H_
