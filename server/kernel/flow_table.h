// SPDX-License-Identifier: GPL-3.0-or-later
// The kernel's connection tracking, in the domain's words.
#ifndef NFMETER_KERNEL_FLOW_TABLE_H_
#define NFMETER_KERNEL_FLOW_TABLE_H_

#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernel/flow_types.h"

namespace nfmeter::kernel {

struct FlowDumpOutcome {
  // Flows handed out.
  size_t flows = 0;
  // Every flow that existed throughout was handed out, and once. False: the
  // hash table was resized meanwhile (nf_conntrack_buckets), which loses flows
  // or repeats them, or the kernel said that the dump was interrupted.
  bool complete = false;
};

// Whether a dump is to go on.
enum class FlowDumpStep { kGoOn, kStop };

// What a dump hands out. The record stands until the function returns.
using OnFlow = absl::FunctionRef<void(const FlowRecord&)>;

// The flows that end, from the subscription on. Not thread-safe.
class FlowDeaths {
 public:
  virtual ~FlowDeaths() = default;

  struct Outcome {
    size_t deaths = 0;  // handed out
    // Deaths that the kernel did not keep for us since the last call: at least
    // one when `any_lost`, this many when it tells.
    uint64_t lost = 0;
    bool any_lost = false;
  };
  // Hands out what has come since the last call, with final counts; never
  // waits.
  virtual absl::StatusOr<Outcome> Drain(OnFlow on_death) = 0;
};

// The flows of one network namespace.
//
// Thread-safe. Statuses come from the errno table (kernel/errno_status.h):
// PERMISSION_DENIED, UNIMPLEMENTED (CONNTRACK_UNAVAILABLE: no
// nf_conntrack_netlink), RESOURCE_EXHAUSTED, UNAVAILABLE.
class FlowTable {
 public:
  virtual ~FlowTable() = default;

  // Carries out a harmless read. OK: flows can be read here.
  virtual absl::Status Probe() = 0;

  // How connection tracking is set up now.
  virtual absl::StatusOr<FlowTracking> Tracking() = 0;

  // Turns accounting and timestamps on for flows that begin from now on; older
  // ones never gain counters. FAILED_PRECONDITION
  // (CONNTRACK_SETTINGS_READ_ONLY): /proc/sys can't be written here.
  virtual absl::Status EnableAccounting() = 0;

  // Hands out all flows that `filter` does not exclude, and perhaps others.
  // `between` is called between two groups of some hundreds: it may wait, and
  // may stop the dump, which then ends with CANCELLED. Neither may call the
  // table. After a status other than OK the flows handed out are void.
  //
  // Counters are never zeroed: a zeroing dump loses counts.
  virtual absl::StatusOr<FlowDumpOutcome> Dump(
      const FlowDumpFilter& filter, OnFlow on_flow,
      absl::FunctionRef<FlowDumpStep()> between) = 0;

  // Subscribes to the ends of flows. With FlowTracking.events 2, those of
  // flows that began before anybody listened are not told.
  virtual absl::StatusOr<std::unique_ptr<FlowDeaths>> WatchDeaths() = 0;
};

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_FLOW_TABLE_H_
