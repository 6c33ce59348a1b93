// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/counters/label_pruner.h"

#include <pthread.h>

#include <utility>
#include <vector>

namespace nfmeter::accounting {

LabelPruner::LabelPruner(
    kernel::AcctTable& table, SnapshotHub& hub, LabelStore& labels,
    Clock& clock, std::function<void(const absl::StatusOr<size_t>&)> on_pruned)
    : table_(table),
      hub_(hub),
      labels_(labels),
      clock_(clock),
      on_pruned_(std::move(on_pruned)),
      alarm_(clock.NewAlarm()),
      thread_([this] { Loop(); }) {}

LabelPruner::~LabelPruner() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  alarm_->Ring();
  thread_.join();
}

void LabelPruner::Loop() {
  pthread_setname_np(pthread_self(), "nfm-labels");
  absl::Duration next = clock_.BootTime();
  while (true) {
    {
      absl::MutexLock lock(&mutex_);
      if (stopping_) return;
    }
    // The alarm may ring early.
    if (clock_.BootTime() >= next) {
      Look();
      next = clock_.BootTime() + kInterval;
    }
    alarm_->WaitUntil(next);
  }
}

void LabelPruner::Look() {
  // Before the reading: what gets labels after this may be missing in it.
  const std::vector<LabelStore::Labelled> labelled = labels_.All();
  if (labelled.empty()) return absent_.clear();
  const absl::StatusOr<std::shared_ptr<const Snapshot>> snapshot =
      hub_.Take(absl::ZeroDuration());
  if (!snapshot.ok() || !(*snapshot)->complete) return;
  absl::flat_hash_map<std::string, uint64_t> absent;
  std::vector<LabelStore::Labelled> gone;
  for (const LabelStore::Labelled& each : labelled) {
    if ((*snapshot)->Find(each.counter).has_value()) continue;
    const auto before = absent_.find(each.counter);
    if (before != absent_.end() && before->second == each.since &&
        absl::IsNotFound(table_.Get(each.counter).status())) {
      gone.push_back(each);
    } else {
      absent.emplace(each.counter, each.since);
    }
  }
  absent_ = std::move(absent);
  if (gone.empty()) return;
  const absl::StatusOr<size_t> pruned = labels_.RemoveUnchanged(gone);
  if (!pruned.ok() || *pruned > 0) on_pruned_(pruned);
}

}  // namespace nfmeter::accounting
