// SPDX-License-Identifier: GPL-3.0-or-later
// Making counters: what CounterEditor::Create() does.
#ifndef NFMETER_ACCOUNTING_COUNTERS_COUNTER_CREATION_H_
#define NFMETER_ACCOUNTING_COUNTERS_COUNTER_CREATION_H_

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "accounting/common/counter_filter.h"
#include "accounting/common/counter_observer.h"
#include "accounting/common/lane.h"
#include "accounting/counters/counter_removal.h"
#include "accounting/counters/counters.h"
#include "accounting/counters/label_store.h"
#include "accounting/snapshots/snapshot_hub.h"
#include "base/clock.h"
#include "kernel/acct_table.h"

namespace nfmeter::accounting {

// Makes counters that are to be there all or none, with their labels. The
// kernel makes them slice by slice, and while it makes some, the labels and the
// ledger's accounts of those before are written: no label is there before its
// counter. All are durable before the caller is answered, by the last commit of
// the ledger, whose file has the labels, too.
//
// Thread-safe. Does not own what it is given.
class CounterCreation {
 public:
  struct Parts {
    kernel::AcctTable& table;
    Lane& lane;  // of counters
    Counters& counters;
    SnapshotHub& snapshots;
    LabelStore& labels;
    CounterRemoval& removal;
    const CounterObservers& observers;
    Clock& clock;
  };
  explicit CounterCreation(const Parts& parts) : parts_(parts) {}

  // See CounterEditor::Create().
  absl::StatusOr<std::vector<Counter>> Create(std::vector<Counter> counters,
                                              bool validate_only,
                                              const CounterScope& scope);

 private:
  using LabelChanges = std::vector<std::pair<std::string, Labels>>;
  using Objects = absl::Span<const kernel::AcctObject>;
  class LabelWriter;
  struct Progress;

  LabelChanges LabelsOf(absl::Span<const Counter> counters,
                        Objects objects) const;
  absl::Status CheckNew(Objects objects);
  absl::Status Make(Objects objects, LabelWriter& labels);
  // Makes all or none. Calls `on_made`, while the lane makes more, with how
  // many of the first ones are there; other than OK ends it.
  absl::Status MakeObjects(Objects objects,
                           absl::FunctionRef<absl::Status(size_t)> on_made);
  // Queues the slice that begins there, and with it those that follow.
  void PostSlice(Objects objects, Progress& progress, size_t begin);
  // Why the creation of `object`, whose answer was lost, is not known to have
  // succeeded. For one that was not looked for before.
  absl::Status LookForCreated(const kernel::AcctObject& object,
                              absl::Status lost);
  // Deletes what a failed batch had made; `why` with what can't be undone.
  absl::Status Undo(absl::Span<const std::string> names, absl::Status why);

  const Parts parts_;
};

}  // namespace nfmeter::accounting

#endif  // NFMETER_ACCOUNTING_COUNTERS_COUNTER_CREATION_H_
