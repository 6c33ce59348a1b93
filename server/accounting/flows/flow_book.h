// SPDX-License-Identifier: GPL-3.0-or-later
// What each flow had counted when it was last seen, so that only what is new is
// added up.
#ifndef NFMETER_ACCOUNTING_FLOWS_FLOW_BOOK_H_
#define NFMETER_ACCOUNTING_FLOWS_FLOW_BOOK_H_

#include <cstddef>
#include <cstdint>

#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/time/time.h"
#include "accounting/flows/flow_groups.h"
#include "kernel/flow_types.h"

namespace nfmeter::accounting {

// What a flow carried since it was last seen. Where the kernel gives an
// identity again, a part can be taken back in the same reading: add the counts
// modulo 2^64, and their sum over the whole reading is right.
struct FlowDelta {
  FlowSums sums;
  // It carried this after the present reading had seen it. A watch that begins
  // with this reading counts nothing else.
  bool after_reading = false;
};

// Reads and ends of flows in, deltas out. The flows of one reading go in
// between BeginReading() and EndReading(); ends that arrived meanwhile only
// after it: the kernel tells of an end before it takes the flow out of its
// table, and a reading may still see it.
//
// Sums are exact when no end is lost: an end brings the final counters, and a
// flow that began and ended between two readings comes whole. A flow whose end
// is not told (events lost; nf_conntrack_events=2 and the flow older than the
// first listener) lacks what it carried after it was last seen: it is `awaited`
// in the first reading without it, and has `vanished` when its end can't come
// any more. One that was only forgotten, as no packet came, lacks nothing.
//
// Holds about 70 bytes a flow. Not thread-safe.
class FlowBook {
 public:
  using OnDelta =
      absl::FunctionRef<void(const kernel::FlowRecord&, const FlowDelta&)>;

  explicit FlowBook(size_t max_flows) : max_flows_(max_flows) {}

  // `wall_time` tells flows apart that began before the first reading; the
  // kernel's start times are of that clock.
  void BeginReading(absl::Time wall_time);
  // The reading has met a flow. The first reading makes no deltas.
  void Seen(const kernel::FlowRecord& flow, OnDelta on_delta);
  // A flow has ended.
  void Ended(const kernel::FlowRecord& flow, OnDelta on_delta);

  struct Findings {
    // Flows that have gone, and whose ends may still be told: what they carried
    // last is missing until then.
    uint64_t awaited = 0;
    // Flows of these whose ends were not told.
    uint64_t vanished = 0;
    // Flows whose counters went back: somebody zeroed them, or another one with
    // the same identity has taken their place unseen.
    uint64_t went_back = 0;
    // Flows that are not followed because there are too many.
    uint64_t untracked = 0;
    bool any() const { return awaited + vanished + went_back + untracked > 0; }
  };
  // `complete`: what was not seen is not there any more.
  Findings EndReading(bool complete, absl::Duration boottime, OnDelta on_delta);

  size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    kernel::FlowCounts original;
    kernel::FlowCounts reply;
    uint32_t reading = 0;          // that saw it last
    uint32_t timeout_seconds = 0;  // then
    // The largest timeout that it was seen with: at most what a packet sets.
    uint32_t full_timeout_seconds = 0;
  };
  struct Missing {
    absl::Duration since;
    bool was_forgotten = false;  // for want of packets
  };
  // Its counters were lower than before. The end of the flow before, which has
  // not been heard yet, may explain it.
  struct WentBack {
    kernel::FlowRecord flow;      // now
    kernel::FlowCounts original;  // before
    kernel::FlowCounts reply;
  };

  bool IsFirstReading() const { return reading_ == 1; }
  bool BeganAfterFirstReading(const kernel::FlowRecord& flow) const;
  void Open(uint64_t identity, const kernel::FlowRecord& flow,
            OnDelta on_delta);
  bool WasForgotten(const Entry& entry, absl::Duration now) const;

  const size_t max_flows_;
  absl::flat_hash_map<uint64_t, Entry> entries_;
  absl::flat_hash_map<uint64_t, WentBack> went_back_;
  absl::flat_hash_map<uint64_t, Missing> missing_;
  uint32_t reading_ = 0;
  absl::Duration last_reading_;    // boottime
  uint64_t first_reading_ns_ = 0;  // wall clock
  uint64_t this_reading_ns_ = 0;
  size_t seen_ = 0;  // entries, in this reading
  Findings findings_;
};

}  // namespace nfmeter::accounting

#endif  // NFMETER_ACCOUNTING_FLOWS_FLOW_BOOK_H_
