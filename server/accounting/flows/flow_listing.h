// SPDX-License-Identifier: GPL-3.0-or-later
// One list of flows on its way from the reading to who asked for it.
#ifndef NFMETER_ACCOUNTING_FLOWS_FLOW_LISTING_H_
#define NFMETER_ACCOUNTING_FLOWS_FLOW_LISTING_H_

#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "accounting/flows/flow_filter.h"
#include "accounting/flows/flow_reading.h"
#include "kernel/flow_types.h"

namespace nfmeter::accounting {

using FlowChunk = std::shared_ptr<const std::vector<kernel::FlowRecord>>;

// Flows to a chunk.
inline constexpr size_t kFlowChunkRows = 512;

// Bounds the flows that all lists together hold and nobody has taken yet.
// Thread-safe.
class FlowListRoom {
 public:
  explicit FlowListRoom(size_t max_flows) : max_flows_(max_flows) {}

  void Add(size_t flows);
  void GiveBack(size_t flows);
  bool HasRoom() const;
  // Waits for room; false when there was none for this long.
  bool AwaitRoom(absl::Duration at_most);

 private:
  const size_t max_flows_;
  mutable absl::Mutex mutex_;
  size_t held_ ABSL_GUARDED_BY(mutex_) = 0;
};

// Made by FlowHub::List(); the reading puts chunks in, the reader takes them
// out. Thread-safe.
class FlowListing {
 public:
  // `on_ready`: there is something to take, or the end. Called on the thread
  // that reads the flows; must not block. `room` must outlive the listing.
  FlowListing(FlowFilter filter, std::function<void()> on_ready,
              FlowListRoom& room)
      : filter_(std::move(filter)),
        on_ready_(std::move(on_ready)),
        room_(room) {}
  ~FlowListing();

  // The next chunk, or nothing while there is none.
  FlowChunk Take();
  // How the list ended, when all chunks have been taken.
  std::optional<absl::StatusOr<FlowReading>> End() const;
  // Nobody takes any more. `on_ready` is not called after it.
  void Cancel();

  // For the reading:
  const FlowFilter& filter() const { return filter_; }
  void Put(FlowChunk chunk);
  void Finish(absl::StatusOr<FlowReading> end);
  // Flows that have not been taken.
  size_t waiting() const;

 private:
  void NotifyReady() ABSL_EXCLUSIVE_LOCKS_REQUIRED(ready_mutex_);
  size_t Forget() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const FlowFilter filter_;
  // Held while on_ready_ is called, so that Cancel() waits for that.
  absl::Mutex ready_mutex_ ABSL_ACQUIRED_BEFORE(mutex_);
  std::function<void()> on_ready_ ABSL_GUARDED_BY(ready_mutex_);
  FlowListRoom& room_;
  mutable absl::Mutex mutex_;
  std::deque<FlowChunk> chunks_ ABSL_GUARDED_BY(mutex_);
  size_t waiting_ ABSL_GUARDED_BY(mutex_) = 0;
  std::optional<absl::StatusOr<FlowReading>> end_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace nfmeter::accounting

#endif  // NFMETER_ACCOUNTING_FLOWS_FLOW_LISTING_H_
