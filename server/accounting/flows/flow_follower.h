// SPDX-License-Identifier: GPL-3.0-or-later
// Follows all flows while somebody watches.
#ifndef NFMETER_ACCOUNTING_FLOWS_FLOW_FOLLOWER_H_
#define NFMETER_ACCOUNTING_FLOWS_FLOW_FOLLOWER_H_

#include <atomic>
#include <cstddef>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "accounting/flows/flow_book.h"
#include "accounting/flows/flow_reading.h"
#include "accounting/flows/flow_watch.h"
#include "base/clock.h"
#include "kernel/flow_table.h"

namespace nfmeter::accounting {

struct FlowStats;

// Listens to the ends of flows, keeps one FlowBook, and hands what is new to
// all watches. Does nothing while there is none.
//
// Ends are read often, so that the kernel need not drop any, and are put into
// the book some time later, and never while a dump is under way: the kernel
// tells of an end shortly before it takes the flow out of its table.
//
// Not thread-safe, but for watch_count().
class FlowFollower {
 public:
  // What is given must outlive it.
  FlowFollower(kernel::FlowTable& table, Clock& clock, size_t max_flows,
               FlowStats& stats)
      : table_(table), clock_(clock), max_flows_(max_flows), stats_(stats) {}

  // The watch ends at once where flows can't be followed.
  void Join(std::shared_ptr<FlowWatch> watch);
  void DropEnded();
  void FinishAll(const absl::Status& status);

  bool active() const { return !watches_.empty(); }
  size_t watch_count() const { return watch_count_; }
  // When the next reading is due, and when ends are to be read next; never
  // without a watch.
  absl::Duration NextDue() const;
  absl::Duration NextDrain() const;
  void DrainIfDue(absl::Duration now);

  // A reading, from its beginning to its end.
  void BeginReading(const FlowReading& reading);
  void Take(const kernel::FlowRecord& flow);
  void DrainDuringDump();
  void EndReading(const FlowReading& reading, const absl::Status& status);

 private:
  absl::Status Start();
  void Stop();
  void Drain(std::vector<kernel::FlowRecord>& into);
  void Enter(std::vector<kernel::FlowRecord>& ends);
  void Hand(const kernel::FlowRecord& flow, const FlowDelta& delta);

  kernel::FlowTable& table_;
  Clock& clock_;
  const size_t max_flows_;
  FlowStats& stats_;

  std::vector<std::shared_ptr<FlowWatch>> watches_;
  std::atomic<size_t> watch_count_ = 0;
  std::unique_ptr<kernel::FlowDeaths> deaths_;
  std::optional<FlowBook> book_;
  bool has_baseline_ = false;
  std::vector<kernel::FlowRecord> ends_;  // not yet in the book
  absl::Duration next_drain_;
  int drains_skipped_ = 0;
  FlowLosses losses_;  // since the reading before
  int failures_ = 0;   // readings in a row
};

}  // namespace nfmeter::accounting

#endif  // NFMETER_ACCOUNTING_FLOWS_FLOW_FOLLOWER_H_
