// SPDX-License-Identifier: GPL-3.0-or-later
// What flows carried, interval by interval, for one who watches.
#ifndef NFMETER_ACCOUNTING_FLOWS_FLOW_WATCH_H_
#define NFMETER_ACCOUNTING_FLOWS_FLOW_WATCH_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "accounting/flows/flow_book.h"
#include "accounting/flows/flow_groups.h"
#include "accounting/flows/flow_reading.h"

namespace nfmeter::accounting {

// What may be missing in a frame.
struct FlowLosses {
  // Ends of flows that the kernel had no room to tell of.
  uint64_t lost_ends = 0;
  FlowBook::Findings findings;
  // Ends are not told at all (nf_conntrack_events=0).
  bool no_ends = false;

  // The sums are a lower bound.
  bool any() const { return lost_ends > 0 || no_ends || findings.any(); }
  FlowLosses& operator+=(const FlowLosses& other);
};

// What flows carried between two readings, those that ended meanwhile included.
struct FlowFrame {
  FlowReading since;
  FlowReading until;
  FlowRanking ranking;
  FlowLosses losses;
  // How many more intervals it covers because nobody took them in time.
  uint64_t merged_frames = 0;
};

// Made by FlowHub::Watch(). Memory is bounded by groups. A reader that is slow
// gets several intervals in one frame, and loses nothing. Thread-safe.
class FlowWatch {
 public:
  // `on_ready` as in FlowListing.
  FlowWatch(FlowQuery query, absl::Duration interval, size_t max_groups,
            std::function<void()> on_ready)
      : query_(std::move(query)),
        interval_(interval),
        on_ready_(std::move(on_ready)),
        collected_(query_.grouping, max_groups),
        finished_(query_.grouping, max_groups) {}

  // The frame that is due, or nothing.
  std::optional<FlowFrame> Take();
  // Why there will be no more frames, or nothing.
  std::optional<absl::Status> End() const;
  void Cancel();

  absl::Duration interval() const { return interval_; }

  // For the reading, all on its thread:
  void Add(const kernel::FlowRecord& flow, const FlowDelta& delta);
  void EndReading(const FlowReading& reading, const FlowLosses& losses);
  bool IsDue(absl::Duration boottime) const { return due_ <= boottime; }
  absl::Duration due() const { return due_; }
  void Finish(const absl::Status& status);
  bool ended() const { return End().has_value(); }

 private:
  void NotifyReady();

  const FlowQuery query_;
  const absl::Duration interval_;
  absl::Mutex ready_mutex_ ABSL_ACQUIRED_BEFORE(mutex_);
  std::function<void()> on_ready_ ABSL_GUARDED_BY(ready_mutex_);

  // The reading's own: since the last frame was due.
  FlowGroups collected_;
  FlowLosses losses_;
  absl::Duration due_ = -absl::InfiniteDuration();
  std::optional<FlowReading> last_reading_;  // none: has no baseline yet

  mutable absl::Mutex mutex_;
  FlowGroups finished_ ABSL_GUARDED_BY(mutex_);
  FlowLosses finished_losses_ ABSL_GUARDED_BY(mutex_);
  FlowReading since_ ABSL_GUARDED_BY(mutex_);
  FlowReading until_ ABSL_GUARDED_BY(mutex_);
  uint64_t frames_ ABSL_GUARDED_BY(mutex_) = 0;  // due and not taken
  std::optional<absl::Status> end_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace nfmeter::accounting

#endif  // NFMETER_ACCOUNTING_FLOWS_FLOW_WATCH_H_
