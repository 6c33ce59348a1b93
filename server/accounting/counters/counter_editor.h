// SPDX-License-Identifier: GPL-3.0-or-later
// Changes of counters: what CounterService makes, updates, resets and deletes,
// without gRPC.
#ifndef NFMETER_ACCOUNTING_COUNTERS_COUNTER_EDITOR_H_
#define NFMETER_ACCOUNTING_COUNTERS_COUNTER_EDITOR_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "accounting/common/counter_filter.h"
#include "accounting/common/counter_observer.h"
#include "accounting/common/lane.h"
#include "accounting/counters/counter_creation.h"
#include "accounting/counters/counter_removal.h"
#include "accounting/counters/counters.h"
#include "accounting/counters/label_store.h"
#include "accounting/counters/owned_quota_changes.h"
#include "accounting/counters/quota_changes.h"
#include "accounting/counters/stand_ins.h"
#include "accounting/rules/rule_editor.h"
#include "accounting/rules/rules.h"
#include "accounting/snapshots/snapshot_hub.h"
#include "base/clock.h"
#include "kernel/kernel.h"

namespace nfmeter::accounting {

// A counter of a batch that failed after others had been carried out.
struct CounterFailure {
  size_t index = 0;  // in the request
  std::string name;
  absl::Status status;
};

struct CounterBatch {
  std::vector<Counter> counters;  // in the order asked, without failures
  std::vector<CounterFailure> failures;
};

// What is to be changed of a counter; nullopt: it stays.
struct CounterUpdate {
  CounterTarget target;
  std::optional<Labels> labels;            // all of them, as people see them
  std::optional<std::string> description;  // empty: none
  std::optional<std::optional<kernel::QuotaLimit>> quota;  // of nullopt: none
  bool validate_only = false;
  bool counting_only = false;  // the caller may not decide about packets
  CounterScope scope;          // the caller's
  kernel::Patience patience;   // for the quota, see RuleChange
};

// Creates, updates, resets and deletes counters. Requests are valid as far as
// that shows without the kernel: names and labels within bounds, no name twice.
//
// Thread-safe. All goes through the counter lane, large batches in slices so
// that snapshots can go between. Does not own what it is given.
class CounterEditor {
 public:
  // What it works with. While the kernel has no accounting objects every call
  // returns why.
  struct Parts {
    kernel::Kernel& kernel;
    Lane& lane;  // of counters
    Counters& counters;
    SnapshotHub& snapshots;
    LabelStore& labels;
    Rules& rules;
    RuleEditor& rule_editor;
    const CounterObservers& observers;
    Clock& clock;
  };
  explicit CounterEditor(const Parts& parts);

  // Says of which plan a counter is; "": of none. Before the first change.
  void SetPlanOf(std::function<std::string(absl::string_view counter)> of) {
    plan_of_ = std::move(of);
  }

  // Creates all or none; `read_time` and the outputs of the objects are
  // ignored. Labels are durable when this returns OK.
  // ALREADY_EXISTS names those that exist.
  // RESOURCE_EXHAUSTED, TOO_MANY_LABELS: see LabelStore::Set(); the counters
  // lie in the caller's `scope`.
  absl::StatusOr<std::vector<Counter>> Create(std::vector<Counter> counters,
                                              bool validate_only,
                                              const CounterScope& scope = {});

  // All of it or nothing, and the counter as it is then; of a dry run, as it
  // would be. NOT_FOUND. ABORTED: another etag. RESOURCE_EXHAUSTED,
  // TOO_MANY_LABELS; UNAVAILABLE: the disk does not take labels.
  // FAILED_PRECONDITION, QUOTA_OF_PLAN: a plan says what its quota is, and its
  // rules rest on that. PERMISSION_DENIED, VERDICT_NOT_PERMITTED.
  // FAILED_PRECONDITION, QUOTA_OF_CAPS: our rules drop (or accept, or return)
  // what exceeds the quota that is to go, and would do so with every packet.
  // Else see QuotaChanges::Carry().
  absl::StatusOr<Counter> Update(const CounterUpdate& update);

  // Reads and zeroes each. NOT_FOUND and ABORTED (another etag) change
  // nothing; later failures are in the batch.
  absl::StatusOr<CounterBatch> Reset(absl::Span<const CounterTarget> targets,
                                     bool validate_only);

  // Deletes each and returns its last values. NOT_FOUND, ABORTED (another
  // etag) and FAILED_PRECONDITION (held by rules, which it names) change
  // nothing; later failures are in the batch.
  absl::StatusOr<CounterBatch> Delete(absl::Span<const CounterTarget> targets,
                                      const CounterDeletion& deletion);

  // PERMISSION_DENIED, VERDICT_NOT_PERMITTED: a rule outside of plans decides
  // about packets by the quota of one of these counters. For callers who may
  // not, before they change it.
  absl::Status CheckOnlyCounts(absl::Span<const std::string> names) const;

  // FAILED_PRECONDITION, QUOTA_OF_CAPS: a rule of ours outside of plans decides
  // about what exceeds the quota of one of these counters. Before their quotas
  // are taken away.
  absl::Status CheckNoCaps(absl::Span<const std::string> names) const;

  // FAILED_PRECONDITION, COUNTER_IN_USE: rules outside of plans count into one
  // of these counters. Before those are deleted with their plan.
  absl::Status CheckHeldByPlansAlone(absl::Span<const std::string> names,
                                     absl::string_view advice) const;

  // Other quotas for counters of an owner's chains, and these chains. Statuses:
  // OwnedQuotaChanges::Carry().
  absl::StatusOr<kernel::OwnedOutcome> ChangeQuotas(
      const OwnedQuotaChanges::Change& change);

  // Finishes changes of quotas that a server before this one has left, see
  // QuotaChanges. Of how many counters.
  absl::StatusOr<size_t> FinishQuotaChanges(const kernel::Patience& patience) {
    return quota_changes_.FinishOld(patience);
  }

  // What people should know. Sentences; usually none.
  std::vector<std::string> Notices() const;

 private:
  class UpdateTurn;
  using LabelChanges = std::vector<std::pair<std::string, Labels>>;

  // `in_use`, or if the rules are those of a plan, an error that says so.
  absl::Status WithPlan(absl::Status in_use,
                        absl::Span<const Counter> counters) const;
  absl::Status CarryUpdate(const CounterUpdate& update, const Counter& before,
                           const Labels& labels, bool new_quota);

  // On the counter lane.
  std::vector<absl::StatusOr<kernel::AcctObject>> ReadAndReset(
      absl::Span<const std::string> names);

  Counter Deleted(const Counter& before, kernel::AcctObject object);
  // Of deleted counters; but not what counters of the same names that were made
  // since `version` of the labels have got.
  void ForgetLabels(absl::Span<const Counter> counters, uint64_t version);

  absl::Status Available() const { return kernel_.capabilities()->acct; }

  kernel::Kernel& kernel_;
  kernel::AcctTable& table_;
  Lane& lane_;
  Counters& counters_;
  LabelStore& labels_;
  Rules& rules_;
  const CounterObservers& observers_;
  std::function<std::string(absl::string_view counter)> plan_of_;
  Clock& clock_;
  StandIns stand_ins_;
  QuotaChanges quota_changes_;
  OwnedQuotaChanges owned_quota_changes_;
  CounterRemoval removal_;
  CounterCreation creation_;
  absl::Mutex updates_mutex_;
  absl::flat_hash_set<std::string> updating_ ABSL_GUARDED_BY(updates_mutex_);
};

}  // namespace nfmeter::accounting

#endif  // NFMETER_ACCOUNTING_COUNTERS_COUNTER_EDITOR_H_
