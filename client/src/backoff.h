// SPDX-License-Identifier: Apache-2.0
// How long to wait between two attempts.
#ifndef NFMETER_CLIENT_SRC_BACKOFF_H_
#define NFMETER_CLIENT_SRC_BACKOFF_H_

#include <algorithm>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "client/src/environment.h"
#include "nfmeter/errors.h"
#include "nfmeter/options.h"

namespace nfmeter::client_internal {

// Grows exponentially, with jitter. Not thread-safe.
class Backoff {
 public:
  Backoff(const RetryOptions& options, Environment& environment)
      : options_(options), environment_(environment) {
    Reset();
  }

  // The wait before the attempt that follows `failure`; not less than its
  // RetryInfo.
  absl::Duration Next(const absl::Status& failure) {
    const absl::Duration full = std::min(next_, options_.max_backoff);
    next_ = std::min(full * options_.multiplier, options_.max_backoff);
    const absl::Duration wait =
        full * (1.0 - options_.jitter * environment_.Chance());
    return std::max(wait, RetryDelay(failure).value_or(absl::ZeroDuration()));
  }

  // After a success.
  void Reset() { next_ = options_.initial_backoff; }

 private:
  const RetryOptions options_;
  Environment& environment_;
  absl::Duration next_;
};

}  // namespace nfmeter::client_internal

#endif  // NFMETER_CLIENT_SRC_BACKOFF_H_
