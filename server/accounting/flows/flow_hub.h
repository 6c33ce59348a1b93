// SPDX-License-Identifier: GPL-3.0-or-later
// Reads the flows of connection tracking once for everybody.
#ifndef NFMETER_ACCOUNTING_FLOWS_FLOW_HUB_H_
#define NFMETER_ACCOUNTING_FLOWS_FLOW_HUB_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "accounting/flows/flow_listing.h"
#include "accounting/flows/flow_reading.h"
#include "accounting/flows/flow_watch.h"
#include "base/clock.h"
#include "base/duration_histogram.h"
#include "kernel/flow_table.h"

namespace nfmeter::accounting {

// Since the start. Written by the hub's thread.
struct FlowStats {
  std::atomic<uint64_t> complete = 0;  // dumps
  std::atomic<uint64_t> incomplete = 0;
  std::atomic<uint64_t> failed = 0;
  std::atomic<uint64_t> flows_read = 0;
  std::atomic<uint64_t> ends_read = 0;
  std::atomic<uint64_t> ends_lost = 0;
  std::atomic<uint64_t> vanished = 0;
  std::atomic<uint64_t> slow_lists = 0;  // ended as they were read too slowly
  std::atomic<uint64_t> watched_flows = 0;  // now
  DurationHistogram durations;              // of dumps
};

// Lists, sums and watches flows on a thread of its own. A dump serves whoever
// waits when it begins; without a caller there is none, and between two there
// is a pause. Nothing of flows is kept but what Watch() needs (about 60 bytes a
// flow, once for all watches), lists on their way (bounded), and answers for
// those who take old ones (bounded).
//
// Thread-safe.
class FlowHub {
 public:
  struct Options {
    // From the beginning of a dump to that of the next; and the next does not
    // begin before as much time has passed as the last one took.
    absl::Duration min_interval = absl::Milliseconds(500);
    size_t max_groups = 65'536;  // of each summary and watch
    // Of all watches together; what is beyond is not watched.
    size_t max_watched_flows = 1 << 20;
    // That all lists together hold and nobody has taken: 200 bytes each.
    size_t max_unsent_flows = 262'144;
    // How long a dump waits in all for readers of lists.
    absl::Duration max_pause = absl::Seconds(2);
  };

  // `table` and `clock` must outlive the hub.
  static std::unique_ptr<FlowHub> Create(kernel::FlowTable& table, Clock& clock,
                                         const Options& options);
  virtual ~FlowHub() = default;

  using Summary = std::shared_ptr<const FlowSummary>;

  // Sums from a dump that began at most `max_staleness` ago, at 0 from one that
  // begins after this call. Waits for it. An incomplete one is no error, but is
  // tried again first. Statuses of kernel::FlowTable.
  virtual absl::StatusOr<Summary> Summarize(const FlowQuery& query,
                                            absl::Duration max_staleness) = 0;

  // Flows one by one, as they are read. Ends with the statuses of
  // kernel::FlowTable; RESOURCE_EXHAUSTED, FLOWS_READ_TOO_SLOWLY.
  virtual std::shared_ptr<FlowListing> List(const FlowFilter& filter,
                                            absl::Duration max_staleness,
                                            std::function<void()> on_ready) = 0;

  // What flows carry from now on, one frame each `interval` (min_interval if
  // that is longer), the first after one. Ends with the statuses of
  // kernel::FlowTable; FAILED_PRECONDITION, FLOW_ACCOUNTING_OFF.
  virtual std::shared_ptr<FlowWatch> Watch(const FlowQuery& query,
                                           absl::Duration interval,
                                           std::function<void()> on_ready) = 0;

  virtual const Options& options() const = 0;
  virtual size_t watch_count() const = 0;
  virtual const FlowStats& stats() const = 0;
};

}  // namespace nfmeter::accounting

#endif  // NFMETER_ACCOUNTING_FLOWS_FLOW_HUB_H_
