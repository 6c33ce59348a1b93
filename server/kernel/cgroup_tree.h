// SPDX-License-Identifier: GPL-3.0-or-later
// The cgroups of this host, by which rules tell local sockets apart.
#ifndef NFMETER_KERNEL_CGROUP_TREE_H_
#define NFMETER_KERNEL_CGROUP_TREE_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace nfmeter::kernel {

// A rule that names a cgroup is bound to the one that has this path when the
// rule is made: a service that restarts gets a new one of the same path, and
// the rule counts nothing any more. The number that the path had tells.
//
// Thread-safe.
class CgroupTree {
 public:
  virtual ~CgroupTree() = default;

  // False: this process can't see the hierarchy, and only the kernel knows
  // which paths there are.
  virtual bool visible() const = 0;

  // The kernel's number of the cgroup that has this path (RuleMatch) now, which
  // no other had since boot. nullopt: there is none.
  virtual std::optional<uint64_t> Find(absl::string_view path) = 0;

  // The path of a systemd unit's cgroup: "system.slice/web.service" of
  // "web.service". Those of systemd itself, not of users' managers. nullopt:
  // it has none, as it is not running.
  virtual std::optional<std::string> PathOfUnit(absl::string_view unit) = 0;
};

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_CGROUP_TREE_H_
