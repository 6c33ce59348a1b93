// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/flows/flow_follower.h"

#include <algorithm>
#include <utility>

#include "accounting/flows/flow_hub.h"
#include "base/error.h"
#include "base/status_macros.h"

namespace nfmeter::accounting {
namespace {

// How often ends are read. The kernel keeps about 27,000 of them in 32 MiB.
constexpr absl::Duration kDrainEvery = absl::Milliseconds(100);
// How many messages of a dump come between two times that ends are read; each
// takes a third of a millisecond.
constexpr int kMessagesPerDrain = 64;
// How many readings fail in a row before watches end.
constexpr int kMostFailures = 3;

absl::Status AccountingOff() {
  return MakeError(
      absl::StatusCode::kFailedPrecondition, "FLOW_ACCOUNTING_OFF",
      "connection tracking does not count packets here, so there is nothing to "
      "watch: start nfmeterd with --enable-flow-accounting, or set sysctl "
      "net.netfilter.nf_conntrack_acct=1 in this network namespace; flows that "
      "are older than that stay without counters");
}

}  // namespace

void FlowFollower::Join(std::shared_ptr<FlowWatch> watch) {
  const auto tracking = table_.Tracking();
  if (tracking.ok() && !tracking->accounting) {
    return watch->Finish(AccountingOff());
  }
  const absl::Status started = Start();
  if (!started.ok()) return watch->Finish(started);
  watches_.push_back(std::move(watch));
  watch_count_ = watches_.size();
}

absl::Status FlowFollower::Start() {
  if (active()) return absl::OkStatus();
  // First the ends, then the baseline: none may fall in between.
  NFM_ASSIGN_OR_RETURN(deaths_, table_.WatchDeaths());
  book_.emplace(max_flows_);
  has_baseline_ = false;
  losses_ = {};
  failures_ = 0;
  next_drain_ = clock_.BootTime() + kDrainEvery;
  return absl::OkStatus();
}

void FlowFollower::Stop() {
  deaths_.reset();
  book_.reset();
  ends_.clear();
  ends_.shrink_to_fit();
  stats_.watched_flows = 0;
}

void FlowFollower::DropEnded() {
  if (!active()) return;
  std::erase_if(watches_, [](const auto& watch) { return watch->ended(); });
  watch_count_ = watches_.size();
  if (!active()) Stop();
}

void FlowFollower::FinishAll(const absl::Status& status) {
  for (const auto& watch : watches_) watch->Finish(status);
  DropEnded();
}

absl::Duration FlowFollower::NextDue() const {
  absl::Duration next = absl::InfiniteDuration();
  for (const auto& watch : watches_) next = std::min(next, watch->due());
  return next;
}

absl::Duration FlowFollower::NextDrain() const {
  return active() ? next_drain_ : absl::InfiniteDuration();
}

void FlowFollower::DrainIfDue(absl::Duration now) {
  if (!active() || now < next_drain_) return;
  next_drain_ = now + kDrainEvery;
  // Ends that were read the last time are old enough now.
  if (has_baseline_) Enter(ends_);
  Drain(ends_);
}

void FlowFollower::Drain(std::vector<kernel::FlowRecord>& into) {
  const auto outcome = deaths_->Drain(
      [&into](const kernel::FlowRecord& flow) { into.push_back(flow); });
  // What could not be read is as good as lost.
  const uint64_t lost = outcome.ok() ? outcome->lost : 1;
  losses_.lost_ends += lost;
  stats_.ends_lost.fetch_add(lost, std::memory_order_relaxed);
  if (!outcome.ok()) return;
  stats_.ends_read.fetch_add(outcome->deaths, std::memory_order_relaxed);
}

void FlowFollower::Enter(std::vector<kernel::FlowRecord>& ends) {
  for (const kernel::FlowRecord& flow : ends) {
    book_->Ended(flow, [this](const auto& ended, const auto& delta) {
      Hand(ended, delta);
    });
  }
  ends.clear();
}

void FlowFollower::Hand(const kernel::FlowRecord& flow,
                        const FlowDelta& delta) {
  for (const auto& watch : watches_) watch->Add(flow, delta);
}

void FlowFollower::BeginReading(const FlowReading& reading) {
  if (!active()) return;
  // A baseline that was cut short counts for nothing.
  if (!has_baseline_) book_.emplace(max_flows_);
  book_->BeginReading(reading.wall_time);
  drains_skipped_ = 0;
}

void FlowFollower::Take(const kernel::FlowRecord& flow) {
  if (!active()) return;
  book_->Seen(
      flow, [this](const auto& seen, const auto& delta) { Hand(seen, delta); });
}

void FlowFollower::DrainDuringDump() {
  if (!active() || ++drains_skipped_ < kMessagesPerDrain) return;
  drains_skipped_ = 0;
  Drain(ends_);
}

void FlowFollower::EndReading(const FlowReading& reading,
                              const absl::Status& status) {
  if (!active()) return;
  if (!status.ok()) {
    if (++failures_ >= kMostFailures) FinishAll(status);
    return;
  }
  failures_ = 0;
  Drain(ends_);
  if (!has_baseline_ && !reading.complete) return;
  Enter(ends_);
  const bool is_baseline = !std::exchange(has_baseline_, true);
  losses_.findings = book_->EndReading(
      reading.complete, reading.boottime,
      [this](const auto& flow, const auto& delta) { Hand(flow, delta); });
  losses_.no_ends = reading.tracking.events == 0;
  // Ends lost before the baseline are of flows that are not counted yet.
  if (is_baseline) losses_.lost_ends = 0;
  stats_.vanished.fetch_add(losses_.findings.vanished,
                            std::memory_order_relaxed);
  stats_.watched_flows = book_->size();
  for (const auto& watch : watches_) watch->EndReading(reading, losses_);
  losses_ = {};
}

}  // namespace nfmeter::accounting
