// SPDX-License-Identifier: GPL-3.0-or-later
// Counters: what CounterService offers, without gRPC.
#ifndef NFMETER_ACCOUNTING_COUNTERS_COUNTERS_H_
#define NFMETER_ACCOUNTING_COUNTERS_COUNTERS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "accounting/common/counter_filter.h"
#include "accounting/common/counter_observer.h"
#include "accounting/common/lane.h"
#include "accounting/common/paging.h"
#include "accounting/counters/label_store.h"
#include "accounting/counters/quota_changes.h"
#include "accounting/ledger/ledger.h"
#include "accounting/rules/rule_editor.h"
#include "accounting/rules/rules.h"
#include "accounting/snapshots/snapshot_hub.h"
#include "base/clock.h"
#include "kernel/acct_table.h"
#include "kernel/kernel.h"

namespace nfmeter::accounting {

// From this many names on one dump is cheaper than reading each, which walks
// the kernel's list (KERNEL.md: break-even at 12 to 86 for 1,000 to 50,000
// objects).
inline constexpr size_t kDumpFromNames = 32;

// An accounting object with what the server knows of it beside the kernel.
struct Counter {
  kernel::AcctObject object;
  Labels labels;
  absl::Time read_time;
  Book::Known account;    // what the ledger knows of it
  std::string tool_name;  // of the kernel's own tools; empty: its name
};

// Over name, quota limit, labels and description, not over what was counted.
// The same in every life of the server.
std::string CounterEtag(absl::string_view kernel_name,
                        const std::optional<kernel::QuotaLimit>& quota,
                        const Labels& labels);

// A counter that is to be changed. `name` is the kernel's bytes.
struct CounterTarget {
  std::string name;
  std::string etag;  // empty: whatever it is
};

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
  CounterScope scope;         // the caller's
  kernel::Patience patience;  // for the quota, see RuleChange
};

struct CounterQuery {
  CounterFilter filter;
  size_t page_size = 1000;
  std::string page_token;
  size_t max_bytes = kMaxPageBytes;  // of the page, as it is written
  absl::Duration max_staleness;
};

struct CounterPage {
  std::vector<Counter> counters;
  std::string next_page_token;
  size_t total_size = 0;
};

struct CounterDeletion {
  bool validate_only = false;
  // Delete the managed rules that count into the counters first.
  bool delete_managed_rules = false;
  // But none of those with a verdict, see RuleChange.
  bool counting_rules_only = false;
  // For the rules, see RuleChange.
  kernel::Patience patience;
};

// Creates, reads, resets and deletes counters. Requests are valid as far as
// that shows without the kernel: names and labels within bounds, no name twice.
//
// Thread-safe. Reads of single counters go to the kernel on the caller's
// thread, all else through the counter lane, large batches in slices so that
// snapshots can go between. Does not own what it is given.
class Counters {
 public:
  // What it works with. While the kernel has no accounting objects every call
  // returns why.
  struct Parts {
    kernel::Kernel& kernel;
    Lane& lane;  // of counters
    SnapshotHub& snapshots;
    LabelStore& labels;
    Rules& rules;
    RuleEditor& rule_editor;
    const CounterObservers& observers;
    const Ledger& ledger;
    Clock& clock;
  };
  explicit Counters(const Parts& parts);

  // Creates all or none; `read_time` and the outputs of the objects are
  // ignored. Labels are durable when this returns OK.
  // ALREADY_EXISTS names those that exist.
  // RESOURCE_EXHAUSTED, TOO_MANY_LABELS: see LabelStore::Set(); the counters
  // lie in the caller's `scope`.
  absl::StatusOr<std::vector<Counter>> Create(std::vector<Counter> counters,
                                              bool validate_only,
                                              const CounterScope& scope = {});

  // NOT_FOUND. Never waits for a reading of all counters: without a snapshot
  // that is recent enough this counter alone is read, and a second such call
  // within `max_staleness` has a snapshot taken for those that follow.
  absl::StatusOr<Counter> Get(absl::string_view name,
                              absl::Duration max_staleness);

  // In the order of `names`. NOT_FOUND names all that are missing.
  absl::StatusOr<std::vector<Counter>> GetMany(
      absl::Span<const std::string> names, absl::Duration max_staleness);

  // The same with nullopt for those that don't exist.
  using Found = std::vector<std::optional<Counter>>;
  absl::StatusOr<Found> Find(absl::Span<const std::string> names,
                             absl::Duration max_staleness);

  // About how many bytes an answer with these counters has, labels and all.
  size_t AnswerBytes(absl::Span<const CounterTarget> targets) const;

  // One page of the counters that the filter matches, by name.
  // INVALID_ARGUMENT: the token is not of this listing. UNAVAILABLE: others
  // delete counters so fast that no complete reading succeeds.
  absl::StatusOr<CounterPage> List(const CounterQuery& query);

  // All of it or nothing, and the counter as it is then; of a dry run, as it
  // would be. NOT_FOUND. ABORTED: another etag. RESOURCE_EXHAUSTED,
  // TOO_MANY_LABELS; UNAVAILABLE: the disk does not take labels. Else see
  // QuotaChanges::Carry().
  absl::StatusOr<Counter> Update(const CounterUpdate& update);

  // Finishes changes of quotas that a server before this one has left, see
  // QuotaChanges. Of how many counters.
  absl::StatusOr<size_t> FinishQuotaChanges(const kernel::Patience& patience) {
    return quota_changes_.FinishOld(patience);
  }

  // What people should know. Sentences; usually none.
  std::vector<std::string> Notices() const;

  // Reads and zeroes each. NOT_FOUND and ABORTED (another etag) change
  // nothing; later failures are in the batch.
  absl::StatusOr<CounterBatch> Reset(absl::Span<const CounterTarget> targets,
                                     bool validate_only);

  // Deletes each and returns its last values. NOT_FOUND, ABORTED (another
  // etag) and FAILED_PRECONDITION (held by rules, which it names) change
  // nothing; later failures are in the batch.
  absl::StatusOr<CounterBatch> Delete(absl::Span<const CounterTarget> targets,
                                      const CounterDeletion& deletion);

 private:
  class Refresh;
  class UpdateTurn;

  // The last snapshot if it is recent enough.
  std::shared_ptr<const Snapshot> RecentSnapshot(absl::Duration max_staleness);
  absl::StatusOr<std::optional<Counter>> FindNow(absl::string_view name);
  absl::StatusOr<Found> FindInSnapshot(absl::Span<const std::string> names,
                                       absl::Duration max_staleness);
  absl::StatusOr<std::shared_ptr<const Snapshot>> CompleteSnapshot(
      absl::Duration max_staleness);
  // All exist and have the etags asked for.
  absl::StatusOr<std::vector<Counter>> Check(
      absl::Span<const CounterTarget> targets);
  absl::Status CheckNew(absl::Span<const kernel::AcctObject> objects);

  absl::Status CreateObjects(absl::Span<const kernel::AcctObject> objects);
  // Why the creation of `object`, whose answer was lost, is not known to have
  // succeeded. For one that was not looked for before.
  absl::Status LookForCreated(const kernel::AcctObject& object,
                              absl::Status lost);
  using LabelChanges = std::vector<std::pair<std::string, Labels>>;
  LabelChanges LabelsOf(absl::Span<const Counter> counters,
                        absl::Span<const kernel::AcctObject> objects) const;
  // Deletes what a failed batch had made; `why` with what can't be undone.
  absl::Status Undo(absl::Span<const std::string> names, absl::Status why);

  // Sees to it that no rule holds the counters.
  absl::Status Release(absl::Span<const Counter> counters,
                       const CounterDeletion& deletion);
  // Those that count into one of `counters`.
  absl::Status DeleteRules(std::vector<std::string> ids,
                           const std::vector<std::string>& counters,
                           const CounterDeletion& deletion);
  // On the counter lane:
  std::vector<absl::StatusOr<kernel::AcctObject>> ReadAndReset(
      absl::Span<const std::string> names);
  std::vector<absl::StatusOr<kernel::AcctObject>> ReadAndDelete(
      absl::Span<const std::string> names);
  // Objects as they were read last.
  std::vector<absl::Status> DeleteNow(
      absl::Span<const kernel::AcctObject> objects);
  // Of deleted counters; but not what counters of the same names that were made
  // since `version` of the labels have got.
  void ForgetLabels(absl::Span<const Counter> counters, uint64_t version);

  // When an object was read.
  struct ReadAt {
    absl::Time wall;
    // Not before this, since boot.
    absl::Duration since;
  };
  static ReadAt At(const Snapshot& snapshot) {
    return {snapshot.wall_time, snapshot.boottime};
  }
  ReadAt Now() const { return {clock_.WallTime(), clock_.BootTime()}; }
  // Of one that has just been reset: its total is not its value any more.
  ReadAt AfterReset() const {
    return {clock_.WallTime(), absl::ZeroDuration()};
  }
  Counter Described(kernel::AcctObject object, ReadAt read) const;
  Counter Deleted(const Counter& before, kernel::AcctObject object);

  // Labels of `before` with what people want changed.
  static Labels UpdatedLabels(const Counter& before,
                              const CounterUpdate& update);
  absl::Status CarryUpdate(const CounterUpdate& update, const Counter& before,
                           const Labels& labels, bool new_quota);

  absl::Status Available() const { return kernel_.capabilities()->acct; }

  kernel::Kernel& kernel_;
  kernel::AcctTable& table_;
  Lane& lane_;
  SnapshotHub& hub_;
  LabelStore& labels_;
  Rules& rules_;
  RuleEditor& rule_editor_;
  const CounterObservers& observers_;
  const Ledger& ledger_;
  Clock& clock_;
  QuotaChanges quota_changes_;
  const std::shared_ptr<Refresh> refresh_;
  absl::Mutex updates_mutex_;
  absl::flat_hash_set<std::string> updating_ ABSL_GUARDED_BY(updates_mutex_);
};

}  // namespace nfmeter::accounting

#endif  // NFMETER_ACCOUNTING_COUNTERS_COUNTERS_H_
