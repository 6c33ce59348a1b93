// SPDX-License-Identifier: GPL-3.0-or-later
// Makes counters and chains as a compiled plan wants them.
#ifndef NFMETER_ACCOUNTING_PLANS_PLAN_APPLIER_H_
#define NFMETER_ACCOUNTING_PLANS_PLAN_APPLIER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
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

// What of a counter is not as a plan wants it.
struct PlannedChange {
  std::string counter;
  // With those of ours, the description among them.
  Labels labels_before;
  Labels labels_after;
  std::optional<kernel::QuotaLimit> quota_before;
  std::optional<kernel::QuotaLimit> quota_after;

  // "labels", "description", "quota".
  std::vector<std::string> Fields() const;
};

// What is to be done for the counters of a plan.
struct PlanCounterWork {
  std::vector<Counter> made;
  std::vector<PlannedChange> changed;
  std::vector<std::string> removed;

  std::vector<PlanChange> Changes() const;
  bool ChangesQuotas() const;
  // That takes the changes back; made counters stay.
  PlanCounterWork Reversed() const;
  // Only what others can have done: they have no labels.
  PlanCounterWork WithoutLabels() const;
};

// A plan and what has become of it.
struct PlanChains {
  const Plan& plan;
  const CompiledPlan& compiled;
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

  // Counters that the plan had `before` and has no more are to be removed.
  // `reading`: all counters, of a time that is recent enough; null: they are
  // read now. Statuses of Counters::Find().
  absl::StatusOr<PlanCounterWork> CompareCounters(
      const CompiledPlan& before, const CompiledPlan& compiled,
      WaitingReader* reading = nullptr) const;

  // PERMISSION_DENIED: see CounterEditor::CheckOnlyCounts().
  absl::Status CheckOnlyCounts(const PlanCounterWork& work) const;

  // FAILED_PRECONDITION: see CounterEditor::CheckNoCaps().
  absl::Status CheckNoCaps(const PlanCounterWork& work) const;

  // Has all counters read for that; null where the plan is too small for it to
  // be worth its while.
  std::shared_ptr<WaitingReader> BeginReading(const Plan& plan) const;

  // Those of the plan's counters that do not exist, as of now. Statuses:
  // Counters::Missing().
  absl::StatusOr<std::vector<std::string>> Missing(
      absl::Span<const std::string> counters) const {
    return counters_.Missing(counters, absl::ZeroDuration());
  }

  // Makes and labels; all or none. Quotas change with the chains. Statuses:
  // CounterEditor::Create().
  absl::Status MakeCounters(const PlanCounterWork& work,
                            const PlanProgress& progress) const;
  // All of MakeCounters(), when what follows has failed.
  void UndoCounters(const PlanCounterWork& work) const;

  // FAILED_PRECONDITION, COUNTER_IN_USE: see
  // CounterEditor::CheckHeldByPlansAlone().
  absl::Status CheckHeldByPlansAlone(absl::Span<const std::string> counters,
                                     absl::string_view advice) const {
    return counter_editor_.CheckHeldByPlansAlone(counters, advice);
  }

  // Those that exist, and that no rule counts into. How many.
  absl::StatusOr<size_t> RemoveCounters(absl::Span<const std::string> names,
                                        const kernel::Patience& patience) const;

  struct ChainTerms {
    bool dry_run = false;
    kernel::Patience patience;
  };
  // Statuses: kernel::RuleTable::ApplyOwned(); UNAVAILABLE, RULE_LANE_BUSY.
  absl::StatusOr<kernel::OwnedOutcome> ApplyChains(
      const PlanChains& chains, const ChainTerms& terms) const;
  // The same, and the quotas of `work` with them, all or none; `before`: what
  // is there. Statuses: Counters::ChangeQuotas(), too.
  absl::StatusOr<kernel::OwnedOutcome> ApplyChains(
      const PlanChains& before, const PlanChains& chains,
      const PlanCounterWork& work, const ChainTerms& terms) const;

  // Statuses: kernel::RuleTable::Fingerprint(); UNAVAILABLE, RULE_LANE_BUSY.
  absl::StatusOr<std::optional<uint64_t>> Fingerprint() const;

  // The chains of all plans, known or not, and the jumps into them. Statuses as
  // ApplyChains().
  absl::StatusOr<kernel::OwnedOutcome> RemoveAllChains(
      bool dry_run, const kernel::Patience& patience) const;

 private:
  absl::Status SetLabels(const PlanCounterWork& work) const;
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
