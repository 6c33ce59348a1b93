// SPDX-License-Identifier: GPL-3.0-or-later
// Which users and groups the owner match takes here.
#ifndef NFMETER_KERNEL_LINUX_XTABLES_XT_OWNER_IDS_H_
#define NFMETER_KERNEL_LINUX_XTABLES_XT_OWNER_IDS_H_

#include <optional>
#include <string>
#include <vector>

#include "kernel/rule_law.h"
#include "kernel/rule_types.h"

namespace nfmeter::kernel {

// The ids that the user namespace of this process has. owner_check() in
// xt_owner.c refuses those that it has not, and all of them where the network
// namespace belongs to another user namespace. Thread-safe.
class OwnerIds {
 public:
  // `proc` is that of the process, see proc(5) and user_namespaces(7).
  static OwnerIds Find(const std::string& proc = "/proc/thread-self");

  // What the kernel would refuse of `match`; nullopt: nothing, as far as it can
  // be seen.
  std::optional<RuleFault> FaultOf(const RuleMatch& match) const;

 private:
  using Ranges = std::vector<IdRange>;

  OwnerIds() = default;
  static Ranges ReadMap(const std::string& path);

  Ranges uids_;  // empty: not to be seen
  Ranges gids_;
  bool foreign_network_ = false;  // of another user namespace
};

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_LINUX_XTABLES_XT_OWNER_IDS_H_
