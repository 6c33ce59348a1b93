// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/plans/applied_plans.h"

#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "base/error.h"

namespace nfmeter::accounting {
namespace {

// The first counter that both have, which are by name; null: there is none.
const PlannedCounter* FirstShared(const std::vector<PlannedCounter>& a,
                                  const std::vector<PlannedCounter>& b) {
  auto left = a.begin();
  auto right = b.begin();
  while (left != a.end() && right != b.end()) {
    const int order = left->name.compare(right->name);
    if (order == 0) return &*left;
    if (order < 0) {
      ++left;
    } else {
      ++right;
    }
  }
  return nullptr;
}

}  // namespace

absl::Status PlanNotFound(absl::string_view name) {
  return MakeError(absl::StatusCode::kNotFound,
                   absl::StrCat("there is no plan ", ShownName(name),
                                "; list the plans for those that there are"),
                   ErrorDetails{.reason = "PLAN_NOT_FOUND",
                                .metadata = {{"plan", ShownName(name)}}});
}

absl::Status PlanOfOthers(const PlanInfo& plan) {
  return MakeError(
      absl::StatusCode::kFailedPrecondition,
      absl::StrCat("plan ", plan.name, " belongs to ", plan.owner,
                   "; take it over if that is meant"),
      ErrorDetails{.reason = "PLAN_OF_OTHERS",
                   .metadata = {{"plan", plan.name}, {"owner", plan.owner}}});
}

absl::Status EtagMismatch(absl::string_view name) {
  return MakeError(
      absl::StatusCode::kAborted,
      absl::StrCat("plan ", name,
                   " is not as its etag says any more; read it again"),
      ErrorDetails{.reason = "ETAG_MISMATCH",
                   .metadata = {{"plan", std::string(name)}}});
}

absl::Status CheckOnlyCounts(const AppliedPlan& plan) {
  if (!Decides(*plan.plan)) return absl::OkStatus();
  return MakeError(
      absl::StatusCode::kPermissionDenied,
      absl::StrCat("plan ", plan.info.name,
                   " decides about packets over a quota; to change or delete "
                   "it takes the role admin"),
      ErrorDetails{.reason = "VERDICT_NOT_PERMITTED",
                   .metadata = {{"plan", plan.info.name}}});
}

AppliedPlans::AppliedPlans(const KeptRules& kept_rules)
    : kept_rules_(kept_rules) {
  outside_.Name(kOutsidePlans, "");
}

void AppliedPlans::Put(AppliedPlan plan) {
  absl::MutexLock lock(&mutex_);
  const std::string name = plan.info.name;
  plans_[name].plan = std::move(plan);
}

void AppliedPlans::PutCompiled(absl::string_view name,
                               std::shared_ptr<const CompiledPlan> compiled,
                               CgroupBindings cgroups) {
  absl::MutexLock lock(&mutex_);
  const auto found = plans_.find(name);
  if (found == plans_.end()) return;
  found->second.plan.compiled = std::move(compiled);
  found->second.plan.cgroups = std::move(cgroups);
}

void AppliedPlans::Erase(absl::string_view name) {
  absl::MutexLock lock(&mutex_);
  const auto found = plans_.find(name);
  if (found != plans_.end()) plans_.erase(found);
}

std::optional<AppliedPlan> AppliedPlans::Find(absl::string_view name) const {
  absl::MutexLock lock(&mutex_);
  const auto found = plans_.find(name);
  return found == plans_.end() ? std::nullopt
                               : std::optional(found->second.plan);
}

AppliedPlan AppliedPlans::FindOrEmpty(absl::string_view name) const {
  std::optional<AppliedPlan> found = Find(name);
  if (found.has_value()) return *std::move(found);
  return {.plan = std::make_shared<const Plan>(Plan{.name = std::string(name)}),
          .compiled = std::make_shared<const CompiledPlan>()};
}

std::vector<std::string> AppliedPlans::Names() const {
  absl::MutexLock lock(&mutex_);
  std::vector<std::string> names;
  for (const auto& [name, entry] : plans_) names.push_back(name);
  return names;
}

std::vector<PlanInfo> AppliedPlans::List() const {
  absl::MutexLock lock(&mutex_);
  std::vector<PlanInfo> plans;
  for (const auto& [name, entry] : plans_) plans.push_back(entry.plan.info);
  return plans;
}

std::string AppliedPlans::PlanOf(absl::string_view counter) const {
  absl::MutexLock lock(&mutex_);
  for (const auto& [name, entry] : plans_) {
    for (const PlannedCounter& each : entry.plan.compiled->counters) {
      if (each.name == counter) return name;
    }
  }
  return "";
}

std::map<std::string, std::string> AppliedPlans::PlansByCounter() const {
  std::map<std::string, std::string> plans;
  absl::MutexLock lock(&mutex_);
  for (const auto& [name, entry] : plans_) {
    for (const PlannedCounter& each : entry.plan.compiled->counters) {
      plans.emplace(each.name, name);
    }
  }
  return plans;
}

absl::Status AppliedPlans::CheckNoOthers(
    const CompiledPlan& compiled, absl::string_view name,
    absl::Span<const std::string> replaced) const {
  absl::MutexLock lock(&mutex_);
  for (const auto& [other, entry] : plans_) {
    if (other == name) continue;
    if (OwnerOfChains(other) == OwnerOfChains(name)) {
      return MakeError(absl::StatusCode::kFailedPrecondition,
                       "PLAN_NAME_COLLIDES",
                       absl::StrCat("the chains of plan ", name,
                                    " would be called as those of plan ", other,
                                    "; choose another name"));
    }
    if (absl::c_linear_search(replaced, other)) continue;
    const PlannedCounter* const shared =
        FirstShared(entry.plan.compiled->counters, compiled.counters);
    if (shared != nullptr) {
      return MakeError(
          absl::StatusCode::kFailedPrecondition,
          absl::StrCat("counter ", shared->name, " is one of plan ", other,
                       ": take it out there first, or name another"),
          ErrorDetails{
              .reason = "COUNTER_OF_OTHER_PLAN",
              .metadata = {{"counter", shared->name}, {"plan", other}}});
    }
  }
  return absl::OkStatus();
}

bool AppliedPlans::TellsOfOutside() const {
  return !kept_rules_.empty() || outside_.status().repairs > 0;
}

const PlanHealth* AppliedPlans::HealthOf(absl::string_view name) const {
  if (name == kOutsidePlans) return &outside_;
  const auto found = plans_.find(name);
  return found == plans_.end() ? nullptr : &found->second.health;
}

absl::StatusOr<PlanStatus> AppliedPlans::Status(absl::string_view name) const {
  absl::MutexLock lock(&mutex_);
  const PlanHealth* const health = HealthOf(name);
  if (health == nullptr || (health == &outside_ && !TellsOfOutside())) {
    return PlanNotFound(name);
  }
  return health->status();
}

std::vector<PlanStatus> AppliedPlans::Statuses() const {
  absl::MutexLock lock(&mutex_);
  std::vector<PlanStatus> statuses;
  if (TellsOfOutside()) statuses.push_back(outside_.status());
  for (const auto& [name, entry] : plans_) {
    statuses.push_back(entry.health.status());
  }
  return statuses;
}

bool AppliedPlans::MayLook(absl::string_view name,
                           absl::Duration boottime) const {
  absl::MutexLock lock(&mutex_);
  const PlanHealth* const health = HealthOf(name);
  return health != nullptr && health->MayLook(boottime);
}

std::map<std::string, absl::Time> AppliedPlans::UnwellSince() const {
  std::map<std::string, absl::Time> times;
  const auto add = [&](absl::string_view name, const PlanHealth& health) {
    if (const auto since = health.UnwellSince()) {
      times.emplace(name, *since);
    }
  };
  absl::MutexLock lock(&mutex_);
  add(kOutsidePlans, outside_);
  for (const auto& [name, entry] : plans_) add(name, entry.health);
  return times;
}

void AppliedPlans::ChangeHealth(absl::string_view name,
                                absl::FunctionRef<void(PlanHealth&)> change) {
  PlanStatus before;
  PlanStatus now;
  {
    absl::MutexLock lock(&mutex_);
    PlanHealth fresh;
    fresh.Name(name, "");
    PlanHealth* health = &fresh;
    if (name == kOutsidePlans) {
      health = &outside_;
    } else if (const auto found = plans_.find(name); found != plans_.end()) {
      health = &found->second.health;
    }
    before = health->status();
    change(*health);
    now = health->status();
  }
  before.check_time = now.check_time;  // no change of itself
  if (now == before) return;
  for (const Listener& listener : listeners_) listener(now);
}

}  // namespace nfmeter::accounting
