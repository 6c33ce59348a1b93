// SPDX-License-Identifier: GPL-3.0-or-later
// From what is declared to what the kernel is given.
#ifndef NFMETER_ACCOUNTING_PLANS_PLAN_COMPILER_H_
#define NFMETER_ACCOUNTING_PLANS_PLAN_COMPILER_H_

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "accounting/plans/cgroup_binding.h"
#include "accounting/plans/plan.h"
#include "kernel/owned_chains.h"

namespace nfmeter::accounting {

// What a packet and the kernel pay for a plan.
struct PlanCost {
  size_t rules = 0;  // elements of maps count, too
  size_t chains = 0;
  // Rules that a packet meets at one hook, whether they match or not.
  size_t most = 0;  // no packet meets more
  double mean = 0;  // over packets that one account each counts
};

// What a plan may cost. Beyond it: RESOURCE_EXHAUSTED, PLAN_TOO_COSTLY.
struct PlanBudget {
  size_t max_rules = 500'000;
  size_t max_chains = 200'000;
  size_t max_met = 1'000;
};

// A counter that a plan needs.
struct PlannedCounter {
  std::string name;
  Labels labels;
  std::string description;
  std::optional<PlanQuota> quota;

  friend bool operator==(const PlannedCounter&,
                         const PlannedCounter&) = default;
};

struct CompiledPlan {
  std::vector<PlannedCounter> counters;    // by name
  std::vector<kernel::OwnedTable> tables;  // at most one a family
  PlanCost cost;
  // Counters that no rule counts into: their cgroups are not there.
  std::vector<std::string> idle_counters;
  // Whether a quota has thresholds or a period.
  bool watched_quotas = false;
};

// The single accounts of a plan: its own, and one for each member of a group
// and end of an address that may be met. INVALID_ARGUMENT with a violation
// each: a counter of two accounts, a value twice in a group, a match that can't
// hold in a direction, classes that contradict each other.
absl::StatusOr<std::vector<PlanAccount>> ExpandPlan(const Plan& plan);

// The directions in which an account counts, and the families.
std::vector<Direction> PossibleDirections(const PlanAccount& account);
std::vector<kernel::Family> PossibleFamilies(const PlanAccount& account);

// How a packet finds its account among many that differ by one thing.
enum class PlanForm {
  kChains,  // chains that are walked down to what a packet meets, see KeyTree
  kMaps,    // lookups, see MakeKeyMaps(): where the kernel has them
};

// A pure function: the same plan gives the same chains, maps and names, and a
// small change of the plan changes few of them. The plan need not be free of
// errors: statuses of ExpandPlan(), and of PlanBudget.
//
// A packet counts for each account that matches it. Accounts that only count
// come before those that may end a packet's way, so that they see it too.
// `cgroups` says what is there of those that accounts name; an account whose
// cgroup is not there has its counter and no rules.
absl::StatusOr<CompiledPlan> CompilePlan(const Plan& plan,
                                         const PlanBudget& budget,
                                         PlanForm form = PlanForm::kChains,
                                         const CgroupBindings& cgroups = {});

}  // namespace nfmeter::accounting

#endif  // NFMETER_ACCOUNTING_PLANS_PLAN_COMPILER_H_
