// SPDX-License-Identifier: GPL-3.0-or-later
// Plans: what PlanService offers, without gRPC.
#ifndef NFMETER_ACCOUNTING_PLANS_PLANS_H_
#define NFMETER_ACCOUNTING_PLANS_PLANS_H_

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "accounting/common/lane.h"
#include "accounting/counters/counter_editor.h"
#include "accounting/counters/counters.h"
#include "accounting/ledger/ledger.h"
#include "accounting/plans/applied_plans.h"
#include "accounting/plans/plan.h"
#include "accounting/plans/plan_applier.h"
#include "accounting/plans/plan_compiler.h"
#include "accounting/plans/plan_keeper.h"
#include "accounting/plans/plan_quotas.h"
#include "accounting/plans/plan_store.h"
#include "accounting/rules/kept_rules.h"
#include "accounting/rules/rule_keeper.h"
#include "base/clock.h"
#include "kernel/patience.h"
#include "kernel/rule_table.h"

namespace nfmeter::accounting {

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
  bool counting_only = false;  // the caller may not decide about packets
  // Plans of the same owner whose counters it may have: they are deleted as
  // soon as it is in force, and their counters stay.
  std::vector<std::string> replaces;
  kernel::Patience patience;
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
  bool counting_only = false;  // likewise
  kernel::Patience patience;
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
    PlanKeeper::KeepCounters keep_counters;
    kernel::CgroupTree& cgroups;
    Clock& clock;
    // Reads the source of a stored plan.
    std::function<absl::StatusOr<Plan>(absl::string_view source)> read;
  };
  using Options = PlanKeeper::Options;

  Plans(const Parts& parts, const Options& options);
  ~Plans();

  Plans(const Plans&) = delete;
  Plans& operator=(const Plans&) = delete;

  // Is told of each change of a plan's status, on the lane; must not block.
  // Before Start().
  void AddListener(std::function<void(const PlanStatus&)> listener) {
    plans_.AddListener(std::move(listener));
  }

  // Is told of each repair, likewise.
  void AddRepairListener(std::function<void(const PlanRepair&)> listener) {
    keeper_.AddListener(std::move(listener));
  }

  // Makes the stored plans true, without a commit where nothing has changed,
  // and begins to look. A plan that can't be is told in its status.
  absl::Status Start();

  // Looks no more, and tells listeners of no more looks. Applies are the
  // caller's to end.
  void Stop();

  // ALREADY_EXISTS and others: see ExpandPlan(), CompilePlan(), Counters.
  // FAILED_PRECONDITION: PLAN_OF_OTHERS, PLAN_EMPTY, QUOTA_OF_CAPS;
  // COUNTER_IN_USE, rules outside of plans count into counters that would be
  // deleted. ABORTED: ETAG_MISMATCH.
  // PERMISSION_DENIED: VERDICT_NOT_PERMITTED, of the plan of before.
  // Whatever fails, the plan of before stays, in the kernel too.
  absl::StatusOr<PlanOutcome> Apply(NewPlan plan, const PlanTerms& terms);
  // NOT_FOUND: PLAN_NOT_FOUND; else as Apply().
  absl::StatusOr<PlanRemoval> Delete(absl::string_view name,
                                     const PlanDeletion& deletion);

  // Deletes all plans, of whatever owner (the name and etag of `deletion` are
  // not used), and then every other chain and jump that a plan has made. What
  // was deleted before an error stays deleted.
  absl::StatusOr<PlanRemoval> DeleteAll(const PlanDeletion& deletion);

  // NOT_FOUND: PLAN_NOT_FOUND.
  absl::StatusOr<PlanInfo> Get(absl::string_view name) const;
  std::vector<PlanInfo> List() const { return plans_.List(); }  // by name
  std::string PlanOf(absl::string_view counter) const {
    return plans_.PlanOf(counter);
  }
  std::map<std::string, std::string> PlansByCounter() const {
    return plans_.PlansByCounter();
  }
  // Counters that have gone from one plan to another since `from`, when
  // PlansByCounter() said `before`, may have missed packets meanwhile, or
  // counted them twice: declares the gap.
  void NoteMoved(const std::map<std::string, std::string>& before,
                 absl::Time from);
  // Of all that is kept: kOutsidePlans, too, where there is something.
  absl::StatusOr<PlanStatus> Status(absl::string_view name) const {
    return plans_.Status(name);
  }
  std::vector<PlanStatus> Statuses() const { return plans_.Statuses(); }

  // Looks soon: somebody has changed rules. Returns at once.
  void LookSoon();

 private:
  // All on the lane:
  absl::Status LoadAll();
  AppliedPlan Load(StoredPlan stored, absl::Status& failed) const;
  absl::StatusOr<PlanOutcome> ApplyNow(NewPlan plan, const PlanTerms& terms);
  absl::StatusOr<PlanRemoval> DeleteNow(const std::string& name,
                                        const PlanDeletion& deletion);
  absl::Status CheckDeletion(const AppliedPlan& plan,
                             const PlanDeletion& deletion) const;
  absl::StatusOr<PlanRemoval> DeleteAllNow(PlanDeletion deletion);
  absl::Status CheckTerms(const NewPlan& plan, const PlanTerms& terms) const;
  // `done`: what has come with the quotas of `work`; null: they are as before.
  absl::Status TakeBack(const AppliedPlan& before, const PlanCounterWork& work,
                        const PlanChains* done, absl::Status why);
  void Keep(AppliedPlan applied);
  void LookOnLane(absl::Duration max_staleness);
  void Look(absl::Duration max_staleness);  // not on the lane
  void Loop();

  const Options options_;
  const PlanForm form_;
  PlanStore& store_;
  Clock& clock_;
  const std::function<absl::StatusOr<Plan>(absl::string_view source)> read_;
  const PlanApplier applier_;
  kernel::CgroupTree& cgroups_;
  Ledger& ledger_;
  // When the server that ran before had looked last.
  const absl::Time last_look_;
  AppliedPlans plans_;
  // As the store has them; on the lane.
  std::map<std::string, absl::Time> well_times_;
  PlanQuotas quotas_;  // on the lane, as the next one
  PlanKeeper keeper_;
  const std::unique_ptr<Alarm> alarm_;

  absl::Mutex mutex_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;

  Lane lane_;           // last but one: its jobs use all of the above
  std::thread ticker_;  // posts looks to the lane
};

}  // namespace nfmeter::accounting

#endif  // NFMETER_ACCOUNTING_PLANS_PLANS_H_
