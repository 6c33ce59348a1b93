// SPDX-License-Identifier: GPL-3.0-or-later
// Objects that count for counters while those are made anew.
#ifndef NFMETER_ACCOUNTING_COUNTERS_STAND_INS_H_
#define NFMETER_ACCOUNTING_COUNTERS_STAND_INS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "accounting/common/counter_observer.h"
#include "accounting/common/lane.h"
#include "kernel/acct_table.h"
#include "kernel/patience.h"

namespace nfmeter::accounting {

// The quota that a counter is to have; nullopt: none.
struct NewQuota {
  std::string counter;
  std::optional<kernel::QuotaLimit> quota;
};

std::vector<std::string> NamesOf(absl::Span<const NewQuota> quotas);

// How long it may take to end a change that has begun, whatever is left of the
// caller's time.
kernel::Patience PatienceToEnd();

// Makes stand-ins, makes counters anew behind them, and gives what the
// stand-ins have counted to the counters. The caller has the rules count into
// them. QuotaChanges says what this is for.
//
// Thread-safe; calls about one counter must not overlap. Does not own what it
// is given.
class StandIns {
 public:
  struct Parts {
    kernel::AcctTable& table;
    Lane& lane;  // of counters
    const CounterObservers& observers;
  };
  explicit StandIns(const Parts& parts) : parts_(parts) {}

  // These counters must not go as long as it lives.
  class Guard {
   public:
    Guard(StandIns& stand_ins, std::vector<std::string> counters);
    ~Guard();
    Guard(const Guard&) = delete;
    Guard& operator=(const Guard&) = delete;

   private:
    StandIns& stand_ins_;
    const std::vector<std::string> counters_;
  };
  bool IsGuarded(absl::string_view counter) const;

  // With what is left of the new quotas.
  absl::Status Make(absl::Span<const NewQuota> quotas);

  // The counter's object with another quota and the values that it has.
  // FAILED_PRECONDITION, COUNTER_IN_USE: something that is no rule of anybody's
  // holds it, and it is as it was.
  absl::Status MakeAnew(const NewQuota& quota);

  // What the stand-ins have counted is their counters'; they go.
  // FAILED_PRECONDITION: something still counts into one.
  absl::Status Merge(absl::Span<const std::string> counters,
                     bool after_restart);

  // All that are there and whose counter is.
  struct Left {
    std::string counter;
    uint32_t use_count = 0;
  };
  absl::StatusOr<std::vector<Left>> All() const;

  // How a change ended. While rules still count into the stand-ins, counters
  // are Unfinished(); then this returns ABORTED, CHANGE_HALF_DONE.
  absl::Status Remember(absl::Span<const std::string> counters,
                        const absl::Status& finished);
  std::vector<std::string> Unfinished() const;  // by name

 private:
  const Parts parts_;
  mutable absl::Mutex mutex_;
  absl::flat_hash_set<std::string> guarded_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_set<std::string> unfinished_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace nfmeter::accounting

#endif  // NFMETER_ACCOUNTING_COUNTERS_STAND_INS_H_
