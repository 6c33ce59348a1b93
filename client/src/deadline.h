// Deadlines as gRPC takes them.
#ifndef NFMETER_CLIENT_SRC_DEADLINE_H_
#define NFMETER_CLIENT_SRC_DEADLINE_H_

#include <algorithm>
#include <chrono>

#include "absl/time/time.h"

namespace nfmeter::client_internal {

// The end of a `wait` that begins now. A hundred years are as good as for ever:
// system_clock counts nanoseconds and would overflow in 2262.
inline std::chrono::system_clock::time_point DeadlineAfter(
    absl::Duration wait) {
  const absl::Duration most = absl::Hours(100 * 365 * 24);
  return std::chrono::system_clock::now() +
         absl::ToChronoMicroseconds(std::clamp(wait, -most, most));
}

}  // namespace nfmeter::client_internal

#endif  // NFMETER_CLIENT_SRC_DEADLINE_H_
