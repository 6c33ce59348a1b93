// SPDX-License-Identifier: GPL-3.0-or-later
// Looks after plans, and after what is kept outside of them.
#ifndef NFMETER_ACCOUNTING_PLANS_PLAN_KEEPER_H_
#define NFMETER_ACCOUNTING_PLANS_PLAN_KEEPER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "accounting/ledger/ledger.h"
#include "accounting/plans/applied_plans.h"
#include "accounting/plans/cgroup_binding.h"
#include "accounting/plans/plan_applier.h"
#include "accounting/plans/plan_compiler.h"
#include "accounting/plans/plan_health.h"
#include "accounting/plans/plan_quotas.h"
#include "accounting/rules/kept_rules.h"
#include "accounting/rules/rule_keeper.h"
#include "base/clock.h"
#include "kernel/cgroup_tree.h"
#include "kernel/owned_chains.h"

namespace nfmeter::accounting {

// What others had done to the rules of a plan, made good.
struct PlanRepair {
  std::string plan;
  size_t differences = 0;  // chains and jumps
  size_t counters = 0;     // that may have missed packets
  absl::Time missed_from;  // in this window
  absl::Time missed_to;
};

// At which managed counters are there.
struct CounterLook {
  absl::Duration max_staleness;  // of what is seen
  // They come back with the values that were read last, or with none.
  bool with_values = false;
};

// Compares the kernel with the plans in force, and with what is kept outside of
// them; makes good what others have flushed, deleted, edited or moved. Who
// undoes each repair makes the next one wait longer.
//
// Not thread-safe: all on the lane of plans. Does not own what it is given.
class PlanKeeper {
 public:
  // Makes managed counters again that others have deleted; which.
  using KeepCounters = std::function<absl::StatusOr<std::vector<std::string>>(
      const CounterLook& look)>;
  struct Parts {
    AppliedPlans& plans;
    const PlanApplier& applier;
    PlanQuotas& quotas;
    // Is told of each window in which counters may have missed packets.
    Ledger& ledger;
    // Rules outside of plans.
    RuleKeeper& rule_keeper;
    KeptRules& kept_rules;
    KeepCounters keep_counters;
    kernel::CgroupTree& cgroups;
    Clock& clock;
  };
  struct Options {
    PlanBudget budget;
    PlanHealth::Options health;
    // Nothing is changed; stored plans are shown as they are.
    bool read_only = false;
  };

  PlanKeeper(Parts parts, PlanForm form, const Options& options)
      : parts_(std::move(parts)), form_(form), options_(options) {}

  // Is told of each repair; must not block. Before the first.
  void AddListener(std::function<void(const PlanRepair&)> listener) {
    listeners_.push_back(std::move(listener));
  }

  // Looks at everything, and repairs what may be repaired now. What the first
  // look finds gone went with a reboot, as a rule: its counters begin at 0.
  // `max_staleness`: of the reading that shows which counters are there.
  void Look(absl::Duration max_staleness);
  // What is due of the quotas of a plan.
  void LookAtQuotas(const AppliedPlan& applied);

  // Tells the ledger and the listeners that these counters may have missed
  // packets, as others had changed rules. Of the counters that others had
  // deleted, and that were made again, the ledger knows by itself.
  void TellRepair(absl::string_view name, size_t differences,
                  absl::Span<const std::string> counters,
                  size_t made_again = 0);

 private:
  // How the kernel is not as a plan wants it.
  struct Drift {
    std::vector<kernel::OwnedDifference> chains;
    std::vector<std::string> counters;  // that are not there

    size_t size() const { return chains.size() + counters.size(); }
    // The rules of others that have come into the places of jumps; nullopt:
    // something else differs, too.
    std::optional<std::vector<std::string>> DisplacedBy() const;
  };

  // What was found to be as wanted while rules had this fingerprint: it need
  // not be compared again while they have.
  struct Well {
    std::optional<uint64_t> rules;
    std::map<std::string, std::shared_ptr<const CompiledPlan>> plans;
    std::optional<uint64_t> kept_rules;  // version
  };

  // nullopt: everything has to be compared.
  std::optional<uint64_t> Fingerprint() const;
  void LookAt(const AppliedPlan& applied);
  bool IsAsFoundWell(const AppliedPlan& applied) const;
  // What there was, made good unless this is read-only.
  absl::StatusOr<Drift> Repair(const AppliedPlan& applied);
  // Counters that others have deleted go on from their last readings. The
  // ledger tells what may be missing.
  void PutBackValues(PlanCounterWork& work) const;
  // Its cgroups have come, gone or changed since it was compiled.
  void BindAgain(const AppliedPlan& applied, CgroupBindings cgroups);

  void LookOutside(absl::Duration max_staleness);
  // Counters outside of plans that had been deleted.
  std::vector<std::string> RestoreCounters(absl::Duration max_staleness);
  absl::StatusOr<KeptOutcome> CompareKeptRules(
      absl::FunctionRef<std::vector<WantedRule>()> wanted);
  // Rules alone; `restored`: counters that had been deleted.
  void LookAtKeptRules(std::vector<std::string> restored);

  const Parts parts_;
  const PlanForm form_;
  const Options options_;
  std::vector<std::function<void(const PlanRepair&)>> listeners_;
  bool looked_ = false;
  Well well_;
  bool compared_ = false;  // something, in this look
};

}  // namespace nfmeter::accounting

#endif  // NFMETER_ACCOUNTING_PLANS_PLAN_KEEPER_H_
