// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/common/counter_observer.h"

#include "base/status_macros.h"

namespace nfmeter::accounting {

absl::Status CounterObservers::Admit(size_t counters) const {
  for (CounterObserver* observer : observers_) {
    NFM_RETURN_IF_ERROR(observer->Admit(counters));
  }
  return absl::OkStatus();
}

absl::Status CounterObservers::BeforeReset(
    absl::Span<const kernel::AcctObject> counters) const {
  for (CounterObserver* observer : observers_) {
    NFM_RETURN_IF_ERROR(observer->BeforeReset(counters));
  }
  return absl::OkStatus();
}

absl::Status CounterObservers::BeforeDeletion(
    absl::Span<const kernel::AcctObject> counters) const {
  for (CounterObserver* observer : observers_) {
    NFM_RETURN_IF_ERROR(observer->BeforeDeletion(counters));
  }
  return absl::OkStatus();
}

absl::Status CounterObservers::Commit() const {
  for (CounterObserver* observer : observers_) {
    NFM_RETURN_IF_ERROR(observer->Commit());
  }
  return absl::OkStatus();
}

void CounterObservers::OnCreated(
    absl::Span<const kernel::AcctObject> counters) const {
  if (counters.empty()) return;
  for (CounterObserver* observer : observers_) observer->OnCreated(counters);
}

void CounterObservers::OnReset(
    absl::Span<const kernel::AcctObject> counters) const {
  if (counters.empty()) return;
  for (CounterObserver* observer : observers_) observer->OnReset(counters);
}

void CounterObservers::OnDeleted(
    absl::Span<const kernel::AcctObject> counters) const {
  if (counters.empty()) return;
  for (CounterObserver* observer : observers_) observer->OnDeleted(counters);
}

void CounterObservers::OnMerged(
    absl::Span<const kernel::AcctObject> counters) const {
  if (counters.empty()) return;
  for (CounterObserver* observer : observers_) observer->OnMerged(counters);
}

void CounterObservers::OnSnapshot(
    const std::shared_ptr<const Snapshot>& snapshot) const {
  for (CounterObserver* observer : observers_) observer->OnSnapshot(snapshot);
}

}  // namespace nfmeter::accounting
