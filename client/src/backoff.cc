// SPDX-License-Identifier: Apache-2.0
#include "client/src/backoff.h"

#include <algorithm>

#include "nfmeter/errors.h"

namespace nfmeter::client_internal {

absl::Duration Backoff::Next(const absl::Status& failure) {
  const absl::Duration full = std::min(next_, options_.max_backoff);
  next_ = std::min(full * options_.multiplier, options_.max_backoff);
  const absl::Duration wait =
      full * (1.0 - options_.jitter * environment_.Chance());
  return std::max(wait, RetryDelay(failure).value_or(absl::ZeroDuration()));
}

}  // namespace nfmeter::client_internal
