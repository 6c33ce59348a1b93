// SPDX-License-Identifier: GPL-3.0-or-later
// What happens to counters, told to those who keep accounts of it.
#ifndef NFMETER_ACCOUNTING_COMMON_COUNTER_OBSERVER_H_
#define NFMETER_ACCOUNTING_COMMON_COUNTER_OBSERVER_H_

#include <cstddef>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "base/status_macros.h"
#include "kernel/acct_table.h"

namespace nfmeter::accounting {

class Snapshot;

// Follows the counters of one domain. The order of its calls is that in which
// things happened in the kernel.
//
// A mutation through the server goes:
//
//   Admit()                       on the thread of the call; may wait
//   BeforeReset(), ...            likewise, with the values of just now
//   OnReset(), OnDeleted(), ...   on the counter lane, job by job
//   CommitSoon()                  on the thread of the call; perhaps
//   Commit()                      on the thread of the call; may wait
//   the caller is answered
//
// so an observer that keeps things on disk takes note on the lane, and writes
// in Commit(), for many calls at once.
class CounterObserver {
 public:
  virtual ~CounterObserver() = default;

  // A mutation of so many counters is about to begin. Other than OK: nothing is
  // changed, and the caller gets this status (a disk that is full, a backlog
  // that is too long).
  virtual absl::Status Admit(size_t) { return absl::OkStatus(); }

  // These are about to be reset or deleted. Their values, read just now, are
  // all that is known if the server ends before it can tell how it went. Other
  // than OK: as for Admit().
  virtual absl::Status BeforeReset(absl::Span<const kernel::AcctObject>) {
    return absl::OkStatus();
  }
  virtual absl::Status BeforeDeletion(absl::Span<const kernel::AcctObject>) {
    return absl::OkStatus();
  }

  // On the counter lane, in the job that did it, so that no reading comes
  // between; must not block. Counters that others make, reset or delete are not
  // told here: snapshots show them.
  // We have made these, with these values.
  virtual void OnCreated(absl::Span<const kernel::AcctObject>) {}
  // We have reset these; the objects as they were.
  virtual void OnReset(absl::Span<const kernel::AcctObject>) {}
  // We have deleted these; the objects as they were last.
  virtual void OnDeleted(absl::Span<const kernel::AcctObject>) {}
  // Another object has counted for these while they were made anew: the values
  // are in none of theirs. 0: nobody knows how much.
  virtual void OnMerged(absl::Span<const kernel::AcctObject>) {}
  // All counters have been read. Complete ones only.
  virtual void OnSnapshot(const std::shared_ptr<const Snapshot>&) {}

  // More of the same mutation follows, for some milliseconds: what was told so
  // far may be written meanwhile. Returns at once.
  virtual void CommitSoon() {}
  // Returns when everything that was told before this call is durable. Other
  // than OK: it is not, and the caller gets this status although the kernel has
  // done what it asked; the observer keeps what it was told and tries on.
  virtual absl::Status Commit() { return absl::OkStatus(); }
};

// Those of a domain, in the order in which they are told. Filled before the
// first counter is touched, then immutable and thread-safe. Owns none.
class CounterObservers {
 public:
  using Objects = absl::Span<const kernel::AcctObject>;

  void Add(CounterObserver& observer) { observers_.push_back(&observer); }

  // The first status that is not OK ends it.
  absl::Status Admit(size_t counters) const {
    return Ask(&CounterObserver::Admit, counters);
  }
  absl::Status BeforeReset(Objects counters) const {
    return Ask(&CounterObserver::BeforeReset, counters);
  }
  absl::Status BeforeDeletion(Objects counters) const {
    return Ask(&CounterObserver::BeforeDeletion, counters);
  }
  absl::Status Commit() const { return Ask(&CounterObserver::Commit); }
  void CommitSoon() const {
    for (CounterObserver* each : observers_) each->CommitSoon();
  }

  // Empty spans are not told.
  void OnCreated(Objects counters) const {
    Tell(&CounterObserver::OnCreated, counters);
  }
  void OnReset(Objects counters) const {
    Tell(&CounterObserver::OnReset, counters);
  }
  void OnDeleted(Objects counters) const {
    Tell(&CounterObserver::OnDeleted, counters);
  }
  void OnMerged(Objects counters) const {
    Tell(&CounterObserver::OnMerged, counters);
  }
  void OnSnapshot(const std::shared_ptr<const Snapshot>& snapshot) const {
    for (CounterObserver* each : observers_) each->OnSnapshot(snapshot);
  }

 private:
  template <typename Question, typename... Arguments>
  absl::Status Ask(Question question, Arguments... arguments) const {
    for (CounterObserver* each : observers_) {
      NFM_RETURN_IF_ERROR((each->*question)(arguments...));
    }
    return absl::OkStatus();
  }
  void Tell(void (CounterObserver::*news)(Objects), Objects counters) const {
    if (counters.empty()) return;
    for (CounterObserver* each : observers_) (each->*news)(counters);
  }

  std::vector<CounterObserver*> observers_;
};

}  // namespace nfmeter::accounting

#endif  // NFMETER_ACCOUNTING_COMMON_COUNTER_OBSERVER_H_
