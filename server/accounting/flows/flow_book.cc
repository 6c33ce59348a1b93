// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/flows/flow_book.h"

#include <algorithm>
#include <utility>

namespace nfmeter::accounting {
namespace {

using kernel::FlowCounts;
using kernel::FlowRecord;

// How late an end may be told of a flow that dumps do not show any more: the
// kernel's garbage collection looks at each flow at least once a minute
// (GC_SCAN_INTERVAL_MAX in nf_conntrack_core.c).
constexpr absl::Duration kLatestEnd = absl::Seconds(65);

FlowCounts Since(const FlowCounts& before, const FlowCounts& now) {
  return {.packets = now.packets - before.packets,
          .bytes = now.bytes - before.bytes};
}

bool IsLess(const FlowCounts& a, const FlowCounts& b) {
  return a.packets < b.packets || a.bytes < b.bytes;
}

bool HasCounters(const FlowRecord& flow) {
  return flow.original_counts.has_value();
}

FlowCounts OriginalOf(const FlowRecord& flow) {
  return flow.original_counts.value_or(FlowCounts());
}

FlowCounts ReplyOf(const FlowRecord& flow) {
  return flow.reply_counts.value_or(FlowCounts());
}

}  // namespace

void FlowBook::BeginReading(absl::Time wall_time) {
  this_reading_ns_ = static_cast<uint64_t>(absl::ToUnixNanos(wall_time));
  if (reading_++ == 0) first_reading_ns_ = this_reading_ns_;
  seen_ = 0;
  findings_ = {};
}

void FlowBook::Seen(const FlowRecord& flow, OnDelta on_delta) {
  const uint64_t identity = FlowIdentity(flow);
  const auto found = entries_.find(identity);
  if (found == entries_.end()) return Open(identity, flow, on_delta);
  Entry& entry = found->second;
  const FlowCounts original = OriginalOf(flow);
  const FlowCounts reply = ReplyOf(flow);
  const bool went_back =
      IsLess(original, entry.original) || IsLess(reply, entry.reply);
  FlowDelta delta;
  if (went_back) {
    went_back_.try_emplace(identity,
                           WentBack{flow, entry.original, entry.reply});
  } else {
    delta.sums.original = Since(entry.original, original);
    delta.sums.reply = Since(entry.reply, reply);
  }
  if (entry.reading != reading_) ++seen_;
  // The timeout that packets set depends on the state of TCP, so after packets
  // have come an earlier one says nothing.
  const bool had_packets = original != entry.original || reply != entry.reply;
  const uint32_t full = had_packets ? 0 : entry.full_timeout_seconds;
  entry = {.original = original,
           .reply = reply,
           .reading = reading_,
           .timeout_seconds = flow.timeout_seconds,
           .full_timeout_seconds = std::max(full, flow.timeout_seconds)};
  if (!IsFirstReading() && delta.sums != FlowSums()) on_delta(flow, delta);
}

void FlowBook::Open(uint64_t identity, const FlowRecord& flow,
                    OnDelta on_delta) {
  if (entries_.size() >= max_flows_) {
    ++findings_.untracked;
    return;
  }
  ++seen_;
  entries_.try_emplace(identity,
                       Entry{.original = OriginalOf(flow),
                             .reply = ReplyOf(flow),
                             .reading = reading_,
                             .timeout_seconds = flow.timeout_seconds,
                             .full_timeout_seconds = flow.timeout_seconds});
  if (IsFirstReading()) return;
  if (flow.start_ns != 0 && flow.start_ns < first_reading_ns_) {
    // The first reading should have seen it, so it was beyond the bound then.
    ++findings_.untracked;
    return;
  }
  on_delta(flow, {.sums = SumsOf(flow)});
}

bool FlowBook::BeganAfterFirstReading(const FlowRecord& flow) const {
  return IsFirstReading()
             ? flow.start_ns >= first_reading_ns_
             : flow.start_ns == 0 || flow.start_ns >= first_reading_ns_;
}

void FlowBook::Ended(const FlowRecord& flow, OnDelta on_delta) {
  const uint64_t identity = FlowIdentity(flow);
  const auto found = entries_.find(identity);
  FlowDelta delta;
  if (found == entries_.end()) {
    if (!BeganAfterFirstReading(flow)) return;
    delta.sums = SumsOf(flow);
    delta.after_reading =
        flow.start_ns != 0 && flow.start_ns >= this_reading_ns_;
  } else {
    const Entry& entry = found->second;
    const auto before = went_back_.find(identity);
    const bool went_back = before != went_back_.end();
    if (HasCounters(flow)) {
      delta.sums.original =
          Since(went_back ? before->second.original : entry.original,
                OriginalOf(flow));
      delta.sums.reply =
          Since(went_back ? before->second.reply : entry.reply, ReplyOf(flow));
    }
    delta.after_reading = !went_back && entry.reading == reading_;
    entries_.erase(found);
    if (went_back) went_back_.erase(before);
    missing_.erase(identity);
  }
  delta.sums.ended_flows = 1;
  on_delta(flow, delta);
}

// Whether the kernel surely ended it by its timeout: the timeout was over, and
// if a packet had come since it was last seen, the new one would not be.
bool FlowBook::WasForgotten(const Entry& entry, absl::Duration now) const {
  if (entry.reading + 1 != reading_) return false;
  const absl::Duration since = now - last_reading_;
  return absl::Seconds(entry.timeout_seconds) <= since + absl::Seconds(1) &&
         since < absl::Seconds(entry.full_timeout_seconds);
}

FlowBook::Findings FlowBook::EndReading(bool complete, absl::Duration boottime,
                                        OnDelta on_delta) {
  for (const auto& [identity, before] : went_back_) {
    // No end explains it. What it counts now, it has counted since it began
    // anew.
    ++findings_.went_back;
    on_delta(before.flow, {.sums = {.original = OriginalOf(before.flow),
                                    .reply = ReplyOf(before.flow)}});
  }
  went_back_.clear();
  if (complete && seen_ < entries_.size()) {
    absl::erase_if(entries_, [&](const auto& each) {
      if (each.second.reading == reading_) return false;
      const auto [missing, is_new] = missing_.try_emplace(
          each.first, Missing{boottime, WasForgotten(each.second, boottime)});
      const bool was_forgotten = missing->second.was_forgotten;
      if (is_new && !was_forgotten) ++findings_.awaited;
      if (boottime - missing->second.since < kLatestEnd) return false;
      if (!was_forgotten) ++findings_.vanished;
      missing_.erase(missing);
      return true;
    });
  }
  last_reading_ = boottime;
  // Flows that are there again are not missing.
  absl::erase_if(missing_, [&](const auto& each) {
    const auto found = entries_.find(each.first);
    return found == entries_.end() || found->second.reading == reading_;
  });
  return std::exchange(findings_, {});
}

}  // namespace nfmeter::accounting
