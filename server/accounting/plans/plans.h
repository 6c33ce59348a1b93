// SPDX-License-Identifier: GPL-3.0-or-later
// Plans: what PlanService offers, without gRPC.
#ifndef NFMETER_ACCOUNTING_PLANS_PLANS_H_
#define NFMETER_ACCOUNTING_PLANS_PLANS_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "accounting/common/lane.h"
#include "accounting/counters/counter_editor.h"
#include "accounting/counters/counters.h"
#include "accounting/ledger/ledger.h"
#include "accounting/plans/plan.h"
#include "accounting/plans/plan_applier.h"
#include "accounting/plans/plan_compiler.h"
#include "accounting/plans/plan_health.h"
#include "accounting/plans/plan_quotas.h"
#include "accounting/plans/plan_store.h"
#include "accounting/rules/kept_rules.h"
#include "accounting/rules/rule_keeper.h"
#include "base/clock.h"
#include "kernel/patience.h"
#include "kernel/rule_table.h"

namespace nfmeter::accounting {

// What stands in statuses for the name of a plan: rules that were made one by
// one, and are kept as plans are. No plan can be called so.
inline constexpr absl::string_view kOutsidePlans = ".rules";

// A plan that is to be applied, in both forms.
struct NewPlan {
  Plan plan;
  std::string source;  // what PlanStore keeps; equal for equal plans
  std::string owner;
};

// How.
struct PlanTerms {
  std::string etag;  // empty: whatever is there
  bool validate_only = false;
  bool prune = false;
  bool allow_empty = false;
  bool take_over = false;
  kernel::Patience patience;
};

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

struct PlanOutcome {
  PlanInfo plan;
  std::vector<PlanChange> changes;  // made, or to be made
  size_t commits = 0;               // of tables
};

struct PlanDeletion {
  std::string etag;
  std::string owner;  // the caller
  bool validate_only = false;
  bool keep_counters = false;
  bool take_over = false;
  kernel::Patience patience;
};

// What others had done to the rules of a plan, made good.
struct PlanRepair {
  std::string plan;
  size_t differences = 0;  // chains and jumps
  size_t counters = 0;     // that may have missed packets
  absl::Time missed_from;  // in this window
  absl::Time missed_to;
};

struct PlanRemoval {
  size_t counters = 0;
  size_t rules = 0;
  // Of DeleteAll() alone: the plans, and chains of plans that are not known.
  std::vector<std::string> plans;
  std::vector<std::string> chains;
};

// Applies plans, and keeps the kernel as they want it: looks every few seconds,
// and repairs what others have flushed, deleted, edited or moved before. Who
// undoes each repair makes the next one wait longer.
//
// Thread-safe. Changes and looks are made on a lane of its own, one at a time.
// Does not own what it is given.
class Plans {
 public:
  // At which managed counters are there.
  struct CounterLook {
    absl::Duration max_staleness;  // of what is seen
    // They come back with the values that were read last, or with none.
    bool with_values = false;
  };
  using KeepCounters = std::function<absl::StatusOr<std::vector<std::string>>(
      const CounterLook& look)>;
  struct Parts {
    kernel::RuleTable& rules;
    Lane& rule_lane;  // that `rules` belongs to
    Counters& counters;
    CounterEditor& counter_editor;
    LabelStore& labels;
    // Is told of each window in which counters may have missed packets.
    Ledger& ledger;
    QuotaHub& quotas;
    PlanStore& store;
    // Rules outside of plans.
    RuleKeeper& rule_keeper;
    KeptRules& kept_rules;
    // Makes managed counters again that others have deleted; which.
    KeepCounters keep_counters;
    kernel::CgroupTree& cgroups;
    Clock& clock;
    // Reads the source of a stored plan.
    std::function<absl::StatusOr<Plan>(absl::string_view source)> read;
  };
  struct Options {
    PlanBudget budget;
    PlanHealth::Options health;
    // Nothing is changed; stored plans are shown as they are.
    bool read_only = false;
  };

  Plans(const Parts& parts, const Options& options);
  ~Plans();

  Plans(const Plans&) = delete;
  Plans& operator=(const Plans&) = delete;

  // Is told of each change of a plan's status, on the lane; must not block.
  // Before Start().
  void AddListener(std::function<void(const PlanStatus&)> listener) {
    listeners_.push_back(std::move(listener));
  }

  // Is told of each repair, likewise.
  void AddRepairListener(std::function<void(const PlanRepair&)> listener) {
    repair_listeners_.push_back(std::move(listener));
  }

  // Makes the stored plans true, without a commit where nothing has changed,
  // and begins to look. A plan that can't be is told in its status.
  absl::Status Start();

  // Looks no more, and tells listeners of no more looks. Applies are the
  // caller's to end.
  void Stop();

  // ALREADY_EXISTS and others: see ExpandPlan(), CompilePlan(), Counters.
  // FAILED_PRECONDITION: PLAN_OF_OTHERS, PLAN_EMPTY. ABORTED: ETAG_MISMATCH.
  // Whatever fails, the plan of before stays, in the kernel too.
  absl::StatusOr<PlanOutcome> Apply(NewPlan plan, const PlanTerms& terms);
  // NOT_FOUND: PLAN_NOT_FOUND; else as Apply().
  absl::StatusOr<PlanRemoval> Delete(absl::string_view name,
                                     const PlanDeletion& deletion);

  // Deletes all plans, of whatever owner (the name and etag of `deletion` are
  // not used), and then every other chain and jump that a plan has made. What
  // was deleted before an error stays deleted.
  absl::StatusOr<PlanRemoval> DeleteAll(const PlanDeletion& deletion);

  absl::StatusOr<PlanInfo> Get(absl::string_view name) const;
  std::vector<PlanInfo> List() const;  // by name
  // Of all that is kept: kOutsidePlans, too, where there is something.
  absl::StatusOr<PlanStatus> Status(absl::string_view name) const;
  std::vector<PlanStatus> Statuses() const;

  // Looks soon: somebody has changed rules. Returns at once.
  void LookSoon();
  // Looks, and repairs what may be repaired now. Returns when that is done:
  // what others did before the call has been seen.
  void LookNow();

 private:
  // A plan in force.
  struct Applied {
    PlanInfo info;
    std::shared_ptr<const Plan> plan;  // never null, as the next one
    std::shared_ptr<const CompiledPlan> compiled;
    CgroupBindings cgroups;  // that it is compiled with
    PlanHealth health;
    bool usable = false;  // false: its source can't be read, or not compiled

    PlanChains chains() const { return {*plan, *compiled}; }
  };

  // All on the lane:
  absl::Status LoadAll();
  absl::StatusOr<PlanOutcome> ApplyNow(NewPlan plan, const PlanTerms& terms);
  absl::StatusOr<PlanRemoval> DeleteNow(const std::string& name,
                                        const PlanDeletion& deletion);
  absl::StatusOr<PlanRemoval> DeleteAllNow(PlanDeletion deletion);
  absl::Status CheckTerms(const NewPlan& plan, const PlanTerms& terms) const;
  // No counter of it is another plan's.
  absl::Status CheckNoOthers(const CompiledPlan& compiled,
                             const std::string& name) const;
  // Without a plan of the name, an empty one.
  Applied Before(const std::string& name) const;
  // `done`: what has come with the quotas of `work`; null: they are as before.
  absl::Status TakeBack(const Applied& before, const PlanCounterWork& work,
                        const PlanChains* done, absl::Status why);
  void Keep(const PlanInfo& info, Plan plan, CompiledPlan compiled,
            CgroupBindings cgroups);
  const Applied* Find(absl::string_view name) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Look();
  void LookAt(const std::string& name);
  // How the kernel is not as a plan wants it.
  struct Drift {
    std::vector<kernel::OwnedDifference> chains;
    std::vector<std::string> counters;  // that are not there

    size_t size() const { return chains.size() + counters.size(); }
  };
  // What there was, made good unless this is read-only.
  absl::StatusOr<Drift> Repair(const Applied& applied);
  // Counters that others have deleted go on from their last readings. The
  // ledger tells what may be missing.
  void PutBackValues(PlanCounterWork& work) const;
  // Tells the ledger and the listeners that these counters may have missed
  // packets.
  void TellRepair(const std::string& name, size_t differences,
                  absl::Span<const std::string> counters);
  void LookOutside();
  // Counters outside of plans that had been deleted.
  std::vector<std::string> RestoreCounters(absl::Duration max_staleness);
  // Rules alone; `restored`: counters that had been deleted.
  void LookAtKeptRules(std::vector<std::string> restored);
  // There are rules outside of plans, or there was something to repair.
  bool TellsOfOutside() const ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  // Null: there is no such plan.
  PlanHealth* HealthOf(absl::string_view name)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void LookAtQuotas(const Applied& applied);
  // Its cgroups have come, gone or changed since it was compiled.
  void BindAgain(const Applied& applied, CgroupBindings cgroups);
  // Tells what has changed by it.
  void ChangeHealth(const std::string& name,
                    absl::FunctionRef<void(PlanHealth&)> change);
  void Loop();

  const Options options_;
  const PlanForm form_;
  PlanStore& store_;
  Clock& clock_;
  const std::function<absl::StatusOr<Plan>(absl::string_view source)> read_;
  std::vector<std::function<void(const PlanStatus&)>> listeners_;
  std::vector<std::function<void(const PlanRepair&)>> repair_listeners_;
  const PlanApplier applier_;
  kernel::CgroupTree& cgroups_;
  Ledger& ledger_;
  RuleKeeper& rule_keeper_;
  KeptRules& kept_rules_;
  const KeepCounters keep_counters_;
  // Until when the server that ran before had looked.
  const absl::Time last_run_;
  PlanQuotas quotas_;  // on the lane
  const std::unique_ptr<Alarm> alarm_;

  mutable absl::Mutex mutex_;
  std::map<std::string, Applied, std::less<>> plans_ ABSL_GUARDED_BY(mutex_);
  PlanHealth outside_ ABSL_GUARDED_BY(mutex_);  // see kOutsidePlans
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  bool started_ = false;  // on the lane

  Lane lane_;           // last but one: its jobs use all of the above
  std::thread ticker_;  // posts looks to the lane
};

}  // namespace nfmeter::accounting

#endif  // NFMETER_ACCOUNTING_PLANS_PLANS_H_
