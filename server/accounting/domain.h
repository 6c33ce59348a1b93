// SPDX-License-Identifier: GPL-3.0-or-later
// All accounting of one network namespace.
#ifndef NFMETER_ACCOUNTING_DOMAIN_H_
#define NFMETER_ACCOUNTING_DOMAIN_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "accounting/common/counter_observer.h"
#include "accounting/common/lane.h"
#include "accounting/counters/counter_editor.h"
#include "accounting/counters/counters.h"
#include "accounting/counters/label_pruner.h"
#include "accounting/counters/label_store.h"
#include "accounting/counters/managed_counters.h"
#include "accounting/flows/flow_hub.h"
#include "accounting/ledger/ledger.h"
#include "accounting/plans/plan_store.h"
#include "accounting/plans/plans.h"
#include "accounting/quotas/quota_hub.h"
#include "accounting/rules/kept_rules.h"
#include "accounting/rules/rule_editor.h"
#include "accounting/rules/rule_keeper.h"
#include "accounting/rules/rules.h"
#include "accounting/snapshots/snapshot_hub.h"
#include "base/clock.h"
#include "kernel/kernel.h"

namespace nfmeter::accounting {

// Owns the lanes and everything that works on them, and destroys it in the
// right order. Services and metrics take from it what they need. Thread-safe.
class Domain {
 public:
  struct Options {
    // Jobs that wait in a lane; each is a call that occupies a thread, or a
    // reading that others share.
    size_t lane_capacity = 4096;
    // Its file has the labels, too.
    Ledger::Options ledger;
    LabelStore::Bounds labels;
    SnapshotHub::Options snapshots;
    QuotaHub::Options quotas;
    FlowHub::Options flows;
    RuleListings::Options listings;
    // Told after the domain's own; must outlive it.
    std::vector<CounterObserver*> observers;
    // Whether the ledger reads the counters by itself. Without it totals are as
    // of the last reading that others asked for.
    bool ledger_reads = true;
    std::string plans_path;   // see PlanStore::Open()
    std::string quotas_path;  // see ManagedCounters::Open()
    // Reads the source of a stored plan; the domain does not know its form.
    std::function<absl::StatusOr<Plan>(absl::string_view source)> read_plan;
    Plans::Options plans;
    // See KeptRules. Without a codec rules outside of plans are not kept.
    std::string rules_path;
    KeptRules::Codec rule_codec;
    // Labels of counters that others delete are forgotten in time, and this is
    // told, see LabelPruner. Null: they stay, as nothing is to be changed.
    std::function<void(const absl::StatusOr<size_t>&)> on_labels_pruned;
  };

  // `kernel` and `clock` must outlive it. Statuses: Ledger::Create(),
  // LabelStore::Open().
  static absl::StatusOr<std::unique_ptr<Domain>> Open(kernel::Kernel& kernel,
                                                      Clock& clock,
                                                      const Options& options);
  ~Domain();

  Domain(const Domain&) = delete;
  Domain& operator=(const Domain&) = delete;

  kernel::Kernel& kernel() { return kernel_; }
  Counters& counters() { return counters_; }
  CounterEditor& counter_editor() { return counter_editor_; }
  Rules& rules() { return rules_; }
  RuleEditor& rule_editor() { return rule_editor_; }
  SnapshotHub& snapshots() { return *snapshots_; }
  QuotaHub& quotas() { return *quotas_; }
  FlowHub& flows() { return *flows_; }
  LabelStore& labels() { return *labels_; }
  Ledger& ledger() { return *ledger_; }
  Plans& plans() { return plans_; }

  // Makes managed counters that are missing, with labels and quotas but without
  // values, and returns their names. Totals go on. For the start: a reboot
  // takes all counters, and rules need them. Statuses: Counters::Missing(),
  // CounterEditor::Create().
  absl::StatusOr<std::vector<std::string>> RestoreCounters();

  // Whose jobs tell whether the server still works.
  Lane& counter_lane() { return counter_lane_; }
  Lane& rule_lane() { return rule_lane_; }
  // For metrics.
  std::vector<const Lane*> lanes() const {
    return {&counter_lane_, &rule_lane_, &rule_read_lane_};
  }

  // What people should know of this host and of what was done to it. Sentences;
  // usually none.
  std::vector<std::string> Notices();

  // Managed counters that no rule counts into, as of the newest reading; by the
  // kernel's names.
  std::vector<std::string> UnfedCounters() const;

  // Gives back memory that nobody uses any more; call it each second or so.
  void Upkeep() { rules_.ExpireListings(); }

  // The end of the process: nothing waits for others any more.
  void StopWaiting() { rule_editor_.StopWaiting(); }

 private:
  // See PlanKeeper::KeepCounters. Writes what readings have shown of quotas,
  // too. For the thread that looks after plans.
  absl::StatusOr<std::vector<std::string>> KeepCounters(
      const CounterLook& look);
  absl::StatusOr<std::vector<std::string>> Restore(
      const std::vector<std::string>& missing, bool with_values);
  // Of UnfedCounters(); empty: none.
  std::string UnfedNotice() const;

  struct Stores {
    std::unique_ptr<LabelStore> labels;
    std::unique_ptr<Ledger> ledger;
    std::unique_ptr<PlanStore> plans;
    std::unique_ptr<KeptRules> rules;
    std::unique_ptr<ManagedCounters> managed;
  };
  Domain(kernel::Kernel& kernel, Clock& clock, Stores stores,
         const Options& options);

  // Each uses those before it, and is destroyed before them.
  kernel::Kernel& kernel_;
  const std::unique_ptr<LabelStore> labels_;
  const std::unique_ptr<Ledger> ledger_;
  const std::unique_ptr<ManagedCounters> managed_;
  CounterObservers observers_;
  Lane counter_lane_;
  Lane rule_lane_;
  Lane rule_read_lane_;
  const std::unique_ptr<SnapshotHub> snapshots_;
  const std::unique_ptr<QuotaHub> quotas_;
  const std::unique_ptr<FlowHub> flows_;
  const std::unique_ptr<KeptRules> kept_rules_;
  Rules rules_;
  RuleEditor rule_editor_;
  RuleKeeper rule_keeper_;
  Counters counters_;
  CounterEditor counter_editor_;
  const std::unique_ptr<PlanStore> plan_store_;
  Plans plans_;
  // Has plans_ look soon. Null: the kernel can't tell.
  std::unique_ptr<kernel::RuleChangeWatch> rule_watch_;
  std::unique_ptr<LabelPruner> label_pruner_;  // null: none

  // The reading and the labels' version with which no counter was missing.
  struct Kept {
    uint64_t epoch = 0;
    uint64_t sequence = 0;
    uint64_t labels = 0;
  };
  Kept kept_;  // on the plans' thread
};

}  // namespace nfmeter::accounting

#endif  // NFMETER_ACCOUNTING_DOMAIN_H_
