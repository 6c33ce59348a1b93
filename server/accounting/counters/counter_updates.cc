// SPDX-License-Identifier: GPL-3.0-or-later
// Changes of counters that stay: see counters.h.
#include <utility>

#include "accounting/common/counter_errors.h"
#include "accounting/counters/counters.h"
#include "base/error.h"
#include "base/status_macros.h"

namespace nfmeter::accounting {

// The only update of a counter for as long as it lives: what it has read is
// what it changes, which is what an etag asks for.
class Counters::UpdateTurn {
 public:
  UpdateTurn(Counters& counters, const std::string& name)
      : counters_(counters), name_(name) {
    absl::MutexLock lock(&counters_.updates_mutex_);
    const auto free = [&] {
      counters_.updates_mutex_.AssertHeld();
      return !counters_.updating_.contains(name_);
    };
    counters_.updates_mutex_.Await(absl::Condition(&free));
    counters_.updating_.insert(name_);
  }
  ~UpdateTurn() {
    absl::MutexLock lock(&counters_.updates_mutex_);
    counters_.updating_.erase(name_);
  }
  UpdateTurn(const UpdateTurn&) = delete;
  UpdateTurn& operator=(const UpdateTurn&) = delete;

 private:
  Counters& counters_;
  const std::string name_;
};

Labels Counters::UpdatedLabels(const Counter& before,
                               const CounterUpdate& update) {
  Labels labels = before.labels;
  if (update.labels.has_value()) {
    std::erase_if(labels,
                  [](const auto& label) { return !IsOwnLabel(label.first); });
    labels.insert(update.labels->begin(), update.labels->end());
  }
  if (update.description.has_value()) {
    if (update.description->empty()) {
      labels.erase(kDescriptionLabel);
    } else {
      labels[kDescriptionLabel] = *update.description;
    }
  }
  return labels;
}

absl::StatusOr<Counter> Counters::Update(const CounterUpdate& update) {
  NFM_RETURN_IF_ERROR(Available());
  const std::string& name = update.target.name;
  const UpdateTurn turn(*this, name);
  NFM_ASSIGN_OR_RETURN(const std::vector<Counter> found,
                       Check({update.target}));
  Counter counter = found.front();
  const Labels labels = UpdatedLabels(counter, update);
  if (labels != counter.labels) {
    const LabelChanges changes = {{name, labels}};
    NFM_RETURN_IF_ERROR(labels_.CheckRoom(changes, update.scope));
  }
  const bool new_quota =
      update.quota.has_value() && *update.quota != counter.object.quota;
  if (update.validate_only) {
    if (new_quota) {
      NFM_RETURN_IF_ERROR(quota_changes_.Carry({.counter = name,
                                                .quota = *update.quota,
                                                .dry_run = true,
                                                .patience = update.patience}));
      counter.object.quota = *update.quota;
    }
    counter.labels = labels;
    return counter;
  }
  NFM_RETURN_IF_ERROR(CarryUpdate(update, counter, labels, new_quota));
  NFM_ASSIGN_OR_RETURN(std::vector<Counter> after,
                       GetMany({name}, absl::ZeroDuration()));
  return std::move(after.front());
}

absl::Status Counters::CarryUpdate(const CounterUpdate& update,
                                   const Counter& before, const Labels& labels,
                                   bool new_quota) {
  const std::string& name = update.target.name;
  const LabelChanges changes = {{name, labels}};
  const bool new_labels = labels != before.labels;
  NFM_RETURN_IF_ERROR(observers_.Admit(1));
  if (new_labels) NFM_RETURN_IF_ERROR(labels_.Set(changes, update.scope));
  if (new_quota) {
    const absl::Status changed = quota_changes_.Carry(
        {.counter = name, .quota = *update.quota, .patience = update.patience});
    if (!changed.ok()) {
      const LabelChanges old = {{name, before.labels}};
      if (new_labels) labels_.Set(old, update.scope).IgnoreError();
      return changed;
    }
  }
  return observers_.Commit();
}

}  // namespace nfmeter::accounting
