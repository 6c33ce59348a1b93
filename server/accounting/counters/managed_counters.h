// SPDX-License-Identifier: GPL-3.0-or-later
// Counters that were made through nfmeter, as they can be made again.
#ifndef NFMETER_ACCOUNTING_COUNTERS_MANAGED_COUNTERS_H_
#define NFMETER_ACCOUNTING_COUNTERS_MANAGED_COUNTERS_H_

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "accounting/common/counter_observer.h"
#include "accounting/counters/label_store.h"
#include "base/sqlite.h"
#include "kernel/acct_table.h"

namespace nfmeter::accounting {

// A mark among their labels (kManagedLabel) says which counters these are.
// Their quotas, without which they can't be made again, are kept here in a file
// of their own: a rule that drops what is beyond a quota would drop everything
// if the counter came back without it.
//
// Rows are written with the change that they are about (Commit()); a quota that
// a reading shows is written at the next one. A failing disk fails no change:
// it is tried again with the next.
//
// Thread-safe.
class ManagedCounters final : public CounterObserver {
 public:
  // Opens or makes the file; an empty path keeps quotas in memory only.
  // `labels` must outlive it. Statuses: sqlite::Database::Open().
  static absl::StatusOr<std::unique_ptr<ManagedCounters>> Open(
      const std::string& path, const LabelStore& labels);

  // Of all of them.
  std::shared_ptr<const std::vector<std::string>> Names() const;
  // With name and quota, and no values. nullopt: it has been deleted through
  // this server, whatever its labels still say.
  std::optional<kernel::AcctObject> Wanted(const std::string& name) const;

  // --- CounterObserver ---
  void OnCreated(absl::Span<const kernel::AcctObject> counters) override;
  void OnDeleted(absl::Span<const kernel::AcctObject> counters) override;
  void OnSnapshot(const std::shared_ptr<const Snapshot>& snapshot) override;
  absl::Status Commit() override;

 private:
  ManagedCounters(std::unique_ptr<sqlite::Database> db,
                  const LabelStore& labels)
      : labels_(labels), db_(std::move(db)) {}

  absl::Status Load();
  // Nullopt: none.
  void Note(const std::string& name,
            const std::optional<kernel::QuotaLimit>& quota)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Write(const std::map<std::string, kernel::QuotaLimit>& quotas,
                     const std::set<std::string>& changed)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(write_mutex_);

  const LabelStore& labels_;
  // Held over disk writes; before mutex_.
  absl::Mutex write_mutex_ ABSL_ACQUIRED_BEFORE(mutex_);
  const std::unique_ptr<sqlite::Database> db_ ABSL_PT_GUARDED_BY(write_mutex_);

  mutable absl::Mutex mutex_;
  std::map<std::string, kernel::QuotaLimit> quotas_ ABSL_GUARDED_BY(mutex_);
  // Deleted through this server, and not made again since.
  std::set<std::string> deleted_ ABSL_GUARDED_BY(mutex_);
  // As of one version of the labels.
  mutable uint64_t names_version_ ABSL_GUARDED_BY(mutex_) = 0;
  mutable std::shared_ptr<const std::vector<std::string>> names_
      ABSL_GUARDED_BY(mutex_);
  // Names whose rows in the file are to be written.
  std::set<std::string> unwritten_ ABSL_GUARDED_BY(mutex_);
  // Over the quotas of the last reading that was looked at.
  uint64_t seen_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace nfmeter::accounting

#endif  // NFMETER_ACCOUNTING_COUNTERS_MANAGED_COUNTERS_H_
