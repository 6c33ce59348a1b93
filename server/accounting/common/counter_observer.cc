// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/common/counter_observer.h"

#include "base/status_macros.h"

namespace nfmeter::accounting {

namespace {

using Observers = std::vector<CounterObserver*>;

// The first status that is not OK ends it.
template <typename Method, typename... Arguments>
absl::Status Ask(const Observers& observers, Method method,
                 const Arguments&... arguments) {
  for (CounterObserver* observer : observers) {
    NFM_RETURN_IF_ERROR((observer->*method)(arguments...));
  }
  return absl::OkStatus();
}

template <typename Method>
void Tell(const Observers& observers, Method method,
          absl::Span<const kernel::AcctObject> counters) {
  if (counters.empty()) return;
  for (CounterObserver* observer : observers) (observer->*method)(counters);
}

}  // namespace

absl::Status CounterObservers::Admit(size_t counters) const {
  return Ask(observers_, &CounterObserver::Admit, counters);
}

absl::Status CounterObservers::BeforeReset(
    absl::Span<const kernel::AcctObject> counters) const {
  return Ask(observers_, &CounterObserver::BeforeReset, counters);
}

absl::Status CounterObservers::BeforeDeletion(
    absl::Span<const kernel::AcctObject> counters) const {
  return Ask(observers_, &CounterObserver::BeforeDeletion, counters);
}

void CounterObservers::CommitSoon() const {
  for (CounterObserver* observer : observers_) observer->CommitSoon();
}

absl::Status CounterObservers::Commit() const {
  return Ask(observers_, &CounterObserver::Commit);
}

void CounterObservers::OnCreated(
    absl::Span<const kernel::AcctObject> counters) const {
  Tell(observers_, &CounterObserver::OnCreated, counters);
}

void CounterObservers::OnReset(
    absl::Span<const kernel::AcctObject> counters) const {
  Tell(observers_, &CounterObserver::OnReset, counters);
}

void CounterObservers::OnDeleted(
    absl::Span<const kernel::AcctObject> counters) const {
  Tell(observers_, &CounterObserver::OnDeleted, counters);
}

void CounterObservers::OnMerged(
    absl::Span<const kernel::AcctObject> counters) const {
  Tell(observers_, &CounterObserver::OnMerged, counters);
}

void CounterObservers::OnSnapshot(
    const std::shared_ptr<const Snapshot>& snapshot) const {
  for (CounterObserver* observer : observers_) observer->OnSnapshot(snapshot);
}

}  // namespace nfmeter::accounting
