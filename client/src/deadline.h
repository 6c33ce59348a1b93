// SPDX-License-Identifier: Apache-2.0
// Deadlines as gRPC takes them.
#ifndef NFMETER_CLIENT_SRC_DEADLINE_H_
#define NFMETER_CLIENT_SRC_DEADLINE_H_

#include <grpc/support/time.h>

#include <algorithm>
#include <cstdint>

#include "absl/time/time.h"

namespace nfmeter::client_internal {

// The end of a `wait` that begins now, by CLOCK_MONOTONIC. (A time point of
// system_clock, the usual form, is made relative to the wall clock when the
// call begins; a step in between would make the call longer or shorter.) A
// hundred years are as good as for ever.
inline gpr_timespec DeadlineAfter(absl::Duration wait) {
  const absl::Duration most = absl::Hours(100 * 365 * 24);
  const int64_t micros =
      absl::ToInt64Microseconds(std::clamp(wait, -most, most));
  return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                      gpr_time_from_micros(micros, GPR_TIMESPAN));
}

}  // namespace nfmeter::client_internal

#endif  // NFMETER_CLIENT_SRC_DEADLINE_H_
