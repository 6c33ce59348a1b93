// SPDX-License-Identifier: GPL-3.0-or-later
#include "kernel/fake/fake_flow_table.h"

#include <algorithm>
#include <utility>

#include "kernel/errno_status.h"

namespace nfmeter::kernel {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;
// Later than the wall clock of any test: its flows begin while it runs.
constexpr uint64_t kFirstStart = 4'000'000'000 * kSecond;
constexpr uint32_t kTimeout = 30;

bool IsSame(const FlowRecord& a, const FlowRecord& b) {
  return a.family == b.family && a.protocol == b.protocol && a.zone == b.zone &&
         a.original == b.original;
}

FlowTuple ReverseOf(const FlowTuple& tuple) {
  FlowTuple reverse = tuple;
  std::swap(reverse.source, reverse.destination);
  std::swap(reverse.source_port, reverse.destination_port);
  return reverse;
}

bool IsExcluded(const FlowDumpFilter& filter, const FlowRecord& flow) {
  if (filter.family.has_value()) {
    if (flow.family != *filter.family) return true;
    if (filter.protocol.has_value() && flow.protocol != *filter.protocol) {
      return true;
    }
  }
  return filter.mark.has_value() &&
         (flow.mark & filter.mark->mask) != filter.mark->value;
}

}  // namespace

class FakeFlowTable::Deaths : public FlowDeaths {
 public:
  Deaths(FakeFlowTable& table, std::shared_ptr<Queue> queue)
      : table_(table), queue_(std::move(queue)) {}
  ~Deaths() override {
    absl::MutexLock lock(&table_.mutex_);
    std::erase(table_.queues_, queue_);
  }

  absl::StatusOr<Outcome> Drain(OnFlow on_death) override {
    Queue taken;
    {
      absl::MutexLock lock(&table_.mutex_);
      taken = std::exchange(*queue_, {});
    }
    for (const FlowRecord& flow : taken.flows) on_death(flow);
    return Outcome{.deaths = taken.flows.size(),
                   .lost = taken.lost,
                   .any_lost = taken.lost > 0};
  }

 private:
  FakeFlowTable& table_;
  const std::shared_ptr<Queue> queue_;
};

FakeFlowTable::FakeFlowTable()
    : tracking_{.accounting = true,
                .timestamps = true,
                .events = 1,
                .max_flows = 262'144,
                .buckets = 65'536},
      now_ns_(kFirstStart) {}

FlowRecord* FakeFlowTable::Find(const FlowRecord& flow) {
  const auto found =
      std::find_if(flows_.begin(), flows_.end(),
                   [&flow](const auto& each) { return IsSame(each, flow); });
  return found == flows_.end() ? nullptr : &*found;
}

void FakeFlowTable::Count(const FlowRecord& flow, FlowCounts original,
                          FlowCounts reply) {
  absl::MutexLock lock(&mutex_);
  FlowRecord* known = Find(flow);
  if (known == nullptr) {
    known = &flows_.emplace_back(flow);
    if (known->reply == FlowTuple()) known->reply = ReverseOf(flow.original);
    known->timeout_seconds = kTimeout;
    known->status |= kFlowConfirmed;
    now_ns_ += kSecond;
    if (tracking_.timestamps) known->start_ns = now_ns_;
    if (tracking_.accounting) {
      known->original_counts.emplace();
      known->reply_counts.emplace();
    }
  }
  if (reply.packets > 0) known->status |= kFlowSeenReply;
  if (known->original_counts.has_value()) *known->original_counts += original;
  if (known->reply_counts.has_value()) *known->reply_counts += reply;
}

std::optional<FlowRecord> FakeFlowTable::Remove(const FlowRecord& flow) {
  FlowRecord* const found = Find(flow);
  if (found == nullptr) return std::nullopt;
  FlowRecord removed = *found;
  flows_.erase(flows_.begin() + (found - flows_.data()));
  removed.timeout_seconds = 0;
  removed.status |= kFlowDying;
  now_ns_ += kSecond;
  if (removed.start_ns != 0) removed.stop_ns = now_ns_;
  return removed;
}

void FakeFlowTable::End(const FlowRecord& flow) {
  absl::MutexLock lock(&mutex_);
  const auto removed = Remove(flow);
  if (!removed.has_value() || tracking_.events == 0) return;
  for (const auto& queue : queues_) queue->flows.push_back(*removed);
}

void FakeFlowTable::EndUnseen(const FlowRecord& flow) {
  absl::MutexLock lock(&mutex_);
  if (!Remove(flow).has_value()) return;
  for (const auto& queue : queues_) ++queue->lost;
}

void FakeFlowTable::SetTracking(const FlowTracking& tracking) {
  absl::MutexLock lock(&mutex_);
  tracking_ = tracking;
}

void FakeFlowTable::SetDuringDump(std::function<void()> action) {
  absl::MutexLock lock(&mutex_);
  during_dump_ = std::move(action);
}

void FakeFlowTable::FailDumps(int err) {
  absl::MutexLock lock(&mutex_);
  dump_err_ = err;
}

size_t FakeFlowTable::dumps() const {
  absl::MutexLock lock(&mutex_);
  return dumps_;
}

FlowDumpFilter FakeFlowTable::last_filter() const {
  absl::MutexLock lock(&mutex_);
  return last_filter_;
}

size_t FakeFlowTable::subscriptions() const {
  absl::MutexLock lock(&mutex_);
  return queues_.size();
}

absl::Status FakeFlowTable::Probe() {
  absl::MutexLock lock(&mutex_);
  if (dump_err_ == 0) return absl::OkStatus();
  return ErrnoStatus(Operation::kFlowDump, dump_err_, "connection tracking");
}

absl::StatusOr<FlowTracking> FakeFlowTable::Tracking() {
  absl::MutexLock lock(&mutex_);
  FlowTracking tracking = tracking_;
  tracking.flows = static_cast<uint32_t>(flows_.size());
  return tracking;
}

absl::Status FakeFlowTable::EnableAccounting() {
  absl::MutexLock lock(&mutex_);
  tracking_.accounting = true;
  tracking_.timestamps = true;
  return absl::OkStatus();
}

// Each flow is shown as it is when the dump reaches it, as by the kernel.
absl::StatusOr<FlowDumpOutcome> FakeFlowTable::Dump(
    const FlowDumpFilter& filter, OnFlow on_flow,
    absl::FunctionRef<FlowDumpStep()> between) {
  std::vector<FlowRecord> order;
  std::function<void()> during_dump;
  uint32_t buckets = 0;
  {
    absl::MutexLock lock(&mutex_);
    ++dumps_;
    last_filter_ = filter;
    if (dump_err_ != 0) {
      return ErrnoStatus(Operation::kFlowDump, dump_err_,
                         "connection tracking");
    }
    order = flows_;
    during_dump = during_dump_;
    buckets = tracking_.buckets;
  }
  FlowDumpOutcome outcome;
  for (size_t i = 0; i < order.size(); ++i) {
    if (i == order.size() / 2 && during_dump != nullptr) during_dump();
    std::optional<FlowRecord> now;
    {
      absl::MutexLock lock(&mutex_);
      const FlowRecord* const found = Find(order[i]);
      if (found != nullptr) now = *found;
    }
    if (!now.has_value() || IsExcluded(filter, *now)) continue;
    ++outcome.flows;
    on_flow(*now);
    if (between() == FlowDumpStep::kStop) {
      return absl::CancelledError("the dump of flows was stopped");
    }
  }
  absl::MutexLock lock(&mutex_);
  outcome.complete = tracking_.buckets == buckets;
  return outcome;
}

absl::StatusOr<std::unique_ptr<FlowDeaths>> FakeFlowTable::WatchDeaths() {
  absl::MutexLock lock(&mutex_);
  auto queue = queues_.emplace_back(std::make_shared<Queue>());
  return std::make_unique<Deaths>(*this, std::move(queue));
}

}  // namespace nfmeter::kernel
