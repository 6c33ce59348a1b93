// SPDX-License-Identifier: GPL-3.0-or-later
// Quotas over time: periods and thresholds.
#ifndef NFMETER_ACCOUNTING_PLANS_PLAN_QUOTAS_H_
#define NFMETER_ACCOUNTING_PLANS_PLAN_QUOTAS_H_

#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "accounting/counters/counter_editor.h"
#include "accounting/counters/counters.h"
#include "accounting/plans/plan_compiler.h"
#include "accounting/plans/plan_store.h"
#include "accounting/quotas/quota_hub.h"
#include "base/clock.h"

namespace nfmeter::accounting {

// Resets the counters whose quota's period is over, and tells of thresholds
// that are reached: each once until the counter is reset, over restarts of the
// server, too. A period that ended while the server was down is started late.
//
// Not thread-safe. Does not own what it is given.
class PlanQuotas {
 public:
  PlanQuotas(Counters& counters, CounterEditor& counter_editor, QuotaHub& hub,
             PlanStore& store, Clock& clock)
      : counters_(counters),
        counter_editor_(counter_editor),
        hub_(hub),
        store_(store),
        clock_(clock) {}

  // To be called every few seconds for each plan. Statuses: Counters::Find(),
  // CounterEditor::Reset(), PlanStore; whatever fails is tried again next time.
  absl::Status Look(const std::string& plan, const CompiledPlan& compiled);

  // The plan has other accounts now. What was due before has been done: quotas
  // that it had not, start with their next period.
  absl::Status NoteApplied(const std::string& plan,
                           const CompiledPlan& compiled);
  void Forget(absl::string_view plan) { plans_.erase(std::string(plan)); }

 private:
  absl::StatusOr<QuotaState*> StateOf(const std::string& plan);
  absl::Status Renew(const std::string& plan, const CompiledPlan& compiled,
                     QuotaState& state);
  absl::Status TellThresholds(const std::string& plan,
                              const CompiledPlan& compiled, QuotaState& state);

  Counters& counters_;
  CounterEditor& counter_editor_;
  QuotaHub& hub_;
  PlanStore& store_;
  Clock& clock_;
  std::map<std::string, QuotaState> plans_;  // as the store has them
};

}  // namespace nfmeter::accounting

#endif  // NFMETER_ACCOUNTING_PLANS_PLAN_QUOTAS_H_
