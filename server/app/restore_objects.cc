// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/restore_objects.h"

#include <stdio.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "accounting/counters/label_store.h"
#include "accounting/counters/managed_counters.h"
#include "accounting/plans/plan_compiler.h"
#include "accounting/plans/plan_store.h"
#include "base/clock.h"
#include "base/status_macros.h"
#include "kernel/linux/host_kernel.h"
#include "service/plan/file_plans.h"
#include "service/plan/read_plan.h"

namespace nfmeter::app {
namespace {

// By name, with the quotas.
using Objects = std::map<std::string, std::optional<kernel::QuotaLimit>>;

constexpr size_t kShownFailures = 5;

void AddPlan(const absl::StatusOr<accounting::Plan>& plan, Objects& objects) {
  const auto compiled =
      plan.ok() ? accounting::CompilePlan(*plan, {}) : plan.status();
  if (!compiled.ok()) return Complain(compiled.status().message());
  for (const accounting::PlannedCounter& each : compiled->counters) {
    // What the plan says is newer than what a reading has shown.
    objects[each.name] = each.quota.has_value()
                             ? std::optional(each.quota->limit)
                             : std::nullopt;
  }
}

// The state directory is not locked: a server that uses it may go on.
absl::StatusOr<Objects> KeptObjects(const Config& config) {
  Objects objects;
  const auto file = [&](absl::string_view name) {
    return config.state_dir.empty() ? ""
                                    : absl::StrCat(config.state_dir, "/", name);
  };
  NFM_ASSIGN_OR_RETURN(
      const std::unique_ptr<accounting::LabelStore> labels,
      accounting::LabelStore::Open(
          file("ledger.db"), {.max_bytes = config.limits.max_label_bytes}));
  NFM_ASSIGN_OR_RETURN(
      const std::unique_ptr<accounting::ManagedCounters> managed,
      accounting::ManagedCounters::Open(file("quotas.db"), *labels));
  for (const std::string& name : *managed->Names()) {
    objects.emplace(name, managed->Wanted(name)->quota);
  }
  NFM_ASSIGN_OR_RETURN(const std::unique_ptr<accounting::PlanStore> plans,
                       accounting::PlanStore::Open(file("plans.db")));
  NFM_ASSIGN_OR_RETURN(const std::vector<accounting::StoredPlan> stored,
                       plans->All());
  for (const accounting::StoredPlan& each : stored) {
    AddPlan(service::ReadPlanSource(each.source), objects);
  }
  if (config.plan.empty()) return objects;
  for (const auto& plan : service::ReadPlansOf(config.plan)) {
    AddPlan(plan, objects);
  }
  return objects;
}

}  // namespace

ExitCode RestoreObjects(const Config& config) {
  if (config.read_only) {
    printf("nothing restored: the configuration says read_only\n");
    return kExitOk;
  }
  const auto kept = KeptObjects(config);
  if (!kept.ok()) return Refuse(kept.status().message(), kExitState);
  const auto kernel =
      kernel::OpenHostKernel({.backend = config.backend}, SystemClock());
  if (!kernel.ok()) return Refuse(kernel.status().message(), kExitKernel);
  const auto capabilities = (*kernel)->capabilities();
  if (capabilities->backend == kernel::Backend::kNftables) {
    printf(
        "nothing to restore: the counters are in nfmeterd's own nf_tables "
        "table, which no saved firewall names\n");
    return kExitOk;
  }
  if (!capabilities->acct.ok()) {
    return Refuse(capabilities->acct.message(), kExitKernel);
  }
  std::vector<kernel::AcctObject> objects;
  for (const auto& [name, quota] : *kept) {
    objects.push_back({.name = name, .quota = quota});
  }
  size_t made = 0;
  std::vector<std::string> failures;
  for (const absl::Status& status : (*kernel)->acct().Create(objects)) {
    made += status.ok() ? 1 : 0;
    if (!status.ok() && !absl::IsAlreadyExists(status)) {
      failures.emplace_back(status.message());
    }
  }
  printf("counters made: %zu, there already: %zu\n", made,
         objects.size() - made - failures.size());
  if (failures.empty()) return kExitOk;
  const size_t failed = failures.size();
  if (failed > kShownFailures) failures.resize(kShownFailures);
  return Refuse(absl::StrCat("counters that could not be made: ", failed, ": ",
                             absl::StrJoin(failures, "; ")),
                kExitKernel);
}

}  // namespace nfmeter::app
