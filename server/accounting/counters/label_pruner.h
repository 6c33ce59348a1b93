// SPDX-License-Identifier: GPL-3.0-or-later
// Forgets the labels of counters that others have deleted.
#ifndef NFMETER_ACCOUNTING_COUNTERS_LABEL_PRUNER_H_
#define NFMETER_ACCOUNTING_COUNTERS_LABEL_PRUNER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "accounting/counters/label_store.h"
#include "accounting/snapshots/snapshot_hub.h"
#include "base/clock.h"
#include "kernel/acct_table.h"

namespace nfmeter::accounting {

// Looks for labels without a counter, at the start and each kInterval, on a
// thread of its own. Labels go when all of this holds: in two looks in a row a
// complete reading, begun after they were set, lacked the counter; the kernel
// does not find it by name either; and nobody has set them meanwhile, as
// creating the counter does. So a counter that is deleted and made again for a
// moment, or that comes up after this server at boot, keeps its labels.
//
// A look costs one reading of all counters; nothing where there are no labels.
class LabelPruner {
 public:
  static constexpr absl::Duration kInterval = absl::Hours(1);

  // `on_pruned` is told on that thread how many counters' labels went, if any,
  // or why they could not be removed. All else must outlive the pruner.
  LabelPruner(kernel::AcctTable& table, SnapshotHub& hub, LabelStore& labels,
              Clock& clock,
              std::function<void(const absl::StatusOr<size_t>&)> on_pruned);
  // Waits for a look under way.
  ~LabelPruner();

  LabelPruner(const LabelPruner&) = delete;
  LabelPruner& operator=(const LabelPruner&) = delete;

 private:
  void Loop();
  void Look();

  kernel::AcctTable& table_;
  SnapshotHub& hub_;
  LabelStore& labels_;
  Clock& clock_;
  const std::function<void(const absl::StatusOr<size_t>&)> on_pruned_;
  const std::unique_ptr<Alarm> alarm_;

  // By name, since when it has the labels: those that the last look found
  // without a counter. On the thread.
  absl::flat_hash_map<std::string, uint64_t> absent_;

  absl::Mutex mutex_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;  // last: uses all of the above
};

}  // namespace nfmeter::accounting

#endif  // NFMETER_ACCOUNTING_COUNTERS_LABEL_PRUNER_H_
