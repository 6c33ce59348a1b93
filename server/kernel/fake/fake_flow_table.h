// SPDX-License-Identifier: GPL-3.0-or-later
// Connection tracking in memory.
#ifndef NFMETER_KERNEL_FAKE_FAKE_FLOW_TABLE_H_
#define NFMETER_KERNEL_FAKE_FAKE_FLOW_TABLE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "kernel/flow_table.h"

namespace nfmeter::kernel {

// A FlowTable that tests put flows into. Flows keep the order in which they
// were made. Thread-safe.
class FakeFlowTable : public FlowTable {
 public:
  // Accounting and timestamps are on, ends are told of all flows.
  FakeFlowTable();

  // What happens to it from outside.

  // A packet of a flow; the first one of a tuple makes the flow. `flow` says
  // tuples, protocol and family, and what else a new flow has.
  void Count(const FlowRecord& flow, FlowCounts original, FlowCounts reply);
  // The flow ends, with what it has counted. Nothing where there is none.
  void End(const FlowRecord& flow);
  // The same, and nobody is told, as where the kernel has no room.
  void EndUnseen(const FlowRecord& flow);
  void SetTracking(const FlowTracking& tracking);
  // Runs in the midst of each dump, between two flows; the table can be
  // changed in it.
  void SetDuringDump(std::function<void()> action);
  // The next dumps fail with this errno; 0: none.
  void FailDumps(int err);

  size_t dumps() const;
  FlowDumpFilter last_filter() const;
  size_t subscriptions() const;

  // FlowTable:
  absl::Status Probe() override;
  absl::StatusOr<FlowTracking> Tracking() override;
  absl::Status EnableAccounting() override;
  absl::StatusOr<FlowDumpOutcome> Dump(
      const FlowDumpFilter& filter, OnFlow on_flow,
      absl::FunctionRef<FlowDumpStep()> between) override;
  absl::StatusOr<std::unique_ptr<FlowDeaths>> WatchDeaths() override;

 private:
  class Deaths;
  struct Queue {
    std::vector<FlowRecord> flows;
    uint64_t lost = 0;
  };

  FlowRecord* Find(const FlowRecord& flow)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::optional<FlowRecord> Remove(const FlowRecord& flow)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable absl::Mutex mutex_;
  FlowTracking tracking_ ABSL_GUARDED_BY(mutex_);
  std::vector<FlowRecord> flows_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::shared_ptr<Queue>> queues_ ABSL_GUARDED_BY(mutex_);
  std::function<void()> during_dump_ ABSL_GUARDED_BY(mutex_);
  int dump_err_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t dumps_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t now_ns_ ABSL_GUARDED_BY(mutex_);
  FlowDumpFilter last_filter_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_FAKE_FAKE_FLOW_TABLE_H_
