// SPDX-License-Identifier: GPL-3.0-or-later
// Which cgroups the accounts of a plan mean now.
#ifndef NFMETER_ACCOUNTING_PLANS_CGROUP_BINDING_H_
#define NFMETER_ACCOUNTING_PLANS_CGROUP_BINDING_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "accounting/plans/plan.h"
#include "kernel/cgroup_tree.h"

namespace nfmeter::accounting {

// A cgroup that is there.
struct Cgroup {
  std::string path;
  uint64_t id = 0;  // see kernel::CgroupTree; 0: not known

  friend bool operator==(const Cgroup&, const Cgroup&) = default;
};

// By CgroupOf(); nullopt: it is not there, and nothing has to be counted.
using CgroupBindings = std::map<std::string, std::optional<Cgroup>>;

// What an account's cgroup is called in bindings: "unit web.service", "path
// system.slice/web.service"; empty: it has none.
std::string CgroupOf(const PlanAccount& account);

// Those of all accounts and groups.
CgroupBindings BindCgroups(const Plan& plan, kernel::CgroupTree& cgroups);

// The accounts that have something to count: with the paths of their cgroups,
// and comments that differ from cgroup to cgroup. A path that `bindings` has
// not stays as it is.
std::vector<PlanAccount> WithCgroups(std::vector<PlanAccount> accounts,
                                     const CgroupBindings& bindings);

// What was bound to no cgroup or another one before.
std::vector<std::string> NewCgroups(const CgroupBindings& before,
                                    const CgroupBindings& now);

}  // namespace nfmeter::accounting

#endif  // NFMETER_ACCOUNTING_PLANS_CGROUP_BINDING_H_
