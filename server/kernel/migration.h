// SPDX-License-Identifier: GPL-3.0-or-later
// From one backend to the other.
#ifndef NFMETER_KERNEL_MIGRATION_H_
#define NFMETER_KERNEL_MIGRATION_H_

#include <cstddef>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "kernel/kernel.h"

namespace nfmeter::kernel {

struct Migration {
  size_t counters = 0;
  size_t rules = 0;
  size_t plans = 0;  // whose chains were removed
  // From when the first rule of before was gone until all new ones counted.
  // What passed meanwhile no rule has counted, and none has counted it twice.
  absl::Duration missed;
};

// Moves all counters of `from` with their values and quotas, and all managed
// rules with their places and own counters, to `to`. Chains of plans are only
// removed: whoever has the plans makes them anew in `to`, into counters that
// are there. Nobody else may change either meanwhile.
//
// First everything is tried on `to`, which then is left as it was; what it
// can't have (a quota of packets, an ipset) is the status, and nothing is
// changed. FAILED_PRECONDITION, COUNTER_IN_USE: a rule of somebody else's
// counts into a counter. ALREADY_EXISTS: `to` has a counter or a rule of that
// name. What fails later is put back; ABORTED, CHANGE_HALF_DONE: that failed
// too.
absl::StatusOr<Migration> MigrateCounting(Kernel& from, Kernel& to,
                                          Clock& clock);

}  // namespace nfmeter::kernel

#endif  // NFMETER_KERNEL_MIGRATION_H_
