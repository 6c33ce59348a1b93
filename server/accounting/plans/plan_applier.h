// SPDX-License-Identifier: GPL-3.0-or-later
// Makes counters and chains as a compiled plan wants them.
#ifndef NFMETER_ACCOUNTING_PLANS_PLAN_APPLIER_H_
#define NFMETER_ACCOUNTING_PLANS_PLAN_APPLIER_H_

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "accounting/common/lane.h"
#include "accounting/counters/counter_editor.h"
#include "accounting/counters/counters.h"
#include "accounting/plans/plan.h"
#include "accounting/plans/plan_compiler.h"
#include "kernel/owned_chains.h"
#include "kernel/patience.h"
#include "kernel/rule_table.h"

namespace nfmeter::accounting {

// One difference between a plan and what is there.
struct PlanChange {
  enum class Kind { kAdd, kRemove, kChange };
  Kind kind = Kind::kAdd;
  std::string counter;              // empty: chains
  std::vector<std::string> fields;  // kChange: "labels", "quota"
  kernel::OwnedDifference chains;   // where counter is empty
};

// How far an application has come: see v1.ApplyPlanResponse.Step.
enum class PlanStep { kCompare, kCounters, kRules, kCleanUp };
using PlanProgress =
    std::function<void(PlanStep step, size_t done, size_t total)>;

// What is to be done for the counters of a plan.
struct PlanCounterWork {
  std::vector<Counter> made;
  std::vector<Counter> relabelled;
  std::vector<std::string> removed;

  std::vector<PlanChange> Changes() const;
};

// Thread-safe, but two applications of one plan must not overlap. Does not own
// what it is given.
class PlanApplier {
 public:
  PlanApplier(kernel::RuleTable& rules, Lane& rule_lane, Counters& counters,
              CounterEditor& counter_editor, LabelStore& labels)
      : rules_(rules),
        rule_lane_(rule_lane),
        counters_(counters),
        counter_editor_(counter_editor),
        labels_(labels) {}

  // `old_names` are counters that the plan had before; those it has no more
  // are to be removed. FAILED_PRECONDITION, QUOTA_DIFFERS: a counter exists
  // with another quota. Else statuses of Counters::Find().
  absl::StatusOr<PlanCounterWork> CompareCounters(
      const CompiledPlan& compiled,
      absl::Span<const std::string> old_names) const;

  // Makes and labels; all or none. Statuses: CounterEditor::Create().
  absl::Status MakeCounters(const PlanCounterWork& work,
                            const PlanProgress& progress) const;
  // Of MakeCounters(), when what follows has failed.
  void UndoCounters(const PlanCounterWork& work) const;

  // Those that exist; with their managed rules. How many.
  absl::StatusOr<size_t> RemoveCounters(absl::Span<const std::string> names,
                                        const kernel::Patience& patience) const;

  // Statuses: kernel::RuleTable::ApplyOwned(); UNAVAILABLE, RULE_LANE_BUSY.
  absl::StatusOr<kernel::OwnedOutcome> ApplyChains(
      const Plan& plan, const CompiledPlan& compiled, bool dry_run,
      const kernel::Patience& patience) const;

  // The chains of all plans, known or not, and the jumps into them. Statuses as
  // ApplyChains().
  absl::StatusOr<kernel::OwnedOutcome> RemoveAllChains(
      bool dry_run, const kernel::Patience& patience) const;

 private:
  absl::StatusOr<kernel::OwnedOutcome> Run(
      const kernel::OwnedEdit& edit, const kernel::Patience& patience) const;

  kernel::RuleTable& rules_;
  Lane& rule_lane_;
  Counters& counters_;
  CounterEditor& counter_editor_;
  LabelStore& labels_;
};

}  // namespace nfmeter::accounting

#endif  // NFMETER_ACCOUNTING_PLANS_PLAN_APPLIER_H_
