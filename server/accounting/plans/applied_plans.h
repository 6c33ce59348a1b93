// SPDX-License-Identifier: GPL-3.0-or-later
// The plans that are in force, and how they are.
#ifndef NFMETER_ACCOUNTING_PLANS_APPLIED_PLANS_H_
#define NFMETER_ACCOUNTING_PLANS_APPLIED_PLANS_H_

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "accounting/plans/cgroup_binding.h"
#include "accounting/plans/plan.h"
#include "accounting/plans/plan_applier.h"
#include "accounting/plans/plan_compiler.h"
#include "accounting/plans/plan_health.h"
#include "accounting/rules/kept_rules.h"

namespace nfmeter::accounting {

// What stands in statuses for the name of a plan: rules that were made one by
// one, and are kept as plans are. No plan can be called so.
inline constexpr absl::string_view kOutsidePlans = ".rules";

// What somebody is told about a plan, without its accounts.
struct PlanInfo {
  std::string name;
  std::string owner;
  std::string etag;
  std::string source;
  absl::Time apply_time;
  PlanCost cost;
  size_t counters = 0;
};

// A plan in force. Copies are cheap, but for its source.
struct AppliedPlan {
  PlanInfo info;
  std::shared_ptr<const Plan> plan;  // never null, as the next one
  std::shared_ptr<const CompiledPlan> compiled;
  CgroupBindings cgroups;  // that it is compiled with
  bool usable = false;     // false: its source can't be read, or not compiled

  PlanChains chains() const { return {*plan, *compiled}; }
};

// FAILED_PRECONDITION, NOT_FOUND and ABORTED, of calls about one plan.
absl::Status PlanNotFound(absl::string_view name);
absl::Status PlanOfOthers(const PlanInfo& plan);
absl::Status EtagMismatch(absl::string_view name);
// PERMISSION_DENIED if it decides about packets: for callers who may not, and
// so must not undo what others decided.
absl::Status CheckOnlyCounts(const AppliedPlan& plan);

// Thread-safe; whoever changes a plan is alone in that, on the lane of plans.
// Does not own what it is given.
class AppliedPlans {
 public:
  using Listener = std::function<void(const PlanStatus&)>;

  explicit AppliedPlans(const KeptRules& kept_rules);

  // Is told of each change of a status; must not block. Before the first.
  void AddListener(Listener listener) {
    listeners_.push_back(std::move(listener));
  }

  // In the place of one of the same name, whose health stays.
  void Put(AppliedPlan plan) ABSL_LOCKS_EXCLUDED(mutex_);
  // What it is compiled to, with other cgroups.
  void PutCompiled(absl::string_view name,
                   std::shared_ptr<const CompiledPlan> compiled,
                   CgroupBindings cgroups) ABSL_LOCKS_EXCLUDED(mutex_);
  void Erase(absl::string_view name) ABSL_LOCKS_EXCLUDED(mutex_);

  std::optional<AppliedPlan> Find(absl::string_view name) const;
  // Where there is none of the name: one without accounts.
  AppliedPlan FindOrEmpty(absl::string_view name) const;
  std::vector<std::string> Names() const;
  std::vector<PlanInfo> List() const;  // by name
  // That has an account with this counter; "": none has. Looks at all counters
  // of plans.
  std::string PlanOf(absl::string_view counter) const;
  // The same of all counters of plans.
  std::map<std::string, std::string> PlansByCounter() const;

  // FAILED_PRECONDITION, COUNTER_OF_OTHER_PLAN and PLAN_NAME_COLLIDES: another
  // plan, but for those of `replaced`, has a counter of it, or chains that
  // would be called as its own.
  absl::Status CheckNoOthers(const CompiledPlan& compiled,
                             absl::string_view name,
                             absl::Span<const std::string> replaced) const;

  // Of all that is kept: kOutsidePlans, too, where there is something.
  // NOT_FOUND
  absl::StatusOr<PlanStatus> Status(absl::string_view name) const;
  std::vector<PlanStatus> Statuses() const;
  // Whether it may be looked at; false: there is no such plan, or not yet.
  bool MayLook(absl::string_view name, absl::Duration boottime) const;

  // Of those that are not well, by name; see PlanHealth.
  std::map<std::string, absl::Time> UnwellSince() const;

  // Tells what has changed by it. Of a plan that is applied for the first time
  // its progress is told, and nothing kept.
  void ChangeHealth(absl::string_view name,
                    absl::FunctionRef<void(PlanHealth&)> change)
      ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  struct Entry {
    AppliedPlan plan;
    PlanHealth health;
  };

  // There are rules outside of plans, or there was something to repair.
  bool TellsOfOutside() const ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  // Null: there is no such plan.
  const PlanHealth* HealthOf(absl::string_view name) const
      ABSL_SHARED_LOCKS_REQUIRED(mutex_);

  const KeptRules& kept_rules_;
  std::vector<Listener> listeners_;
  mutable absl::Mutex mutex_;
  std::map<std::string, Entry, std::less<>> plans_ ABSL_GUARDED_BY(mutex_);
  PlanHealth outside_ ABSL_GUARDED_BY(mutex_);  // see kOutsidePlans
};

}  // namespace nfmeter::accounting

#endif  // NFMETER_ACCOUNTING_PLANS_APPLIED_PLANS_H_
