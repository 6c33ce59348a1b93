// SPDX-License-Identifier: GPL-3.0-or-later
#include "telemetry/line_limit.h"

#include <utility>

namespace nfmeter::telemetry {

LineLimit::LineLimit(int lines, absl::Duration window, Clock& clock)
    : clock_(clock),
      bucket_(lines / absl::ToDoubleSeconds(window), lines, clock.BootTime()) {}

std::optional<int64_t> LineLimit::Take() {
  const absl::Duration now = clock_.BootTime();
  absl::MutexLock lock(&mutex_);
  if (!bucket_.Take(now)) {
    ++left_out_;
    return std::nullopt;
  }
  return std::exchange(left_out_, 0);
}

}  // namespace nfmeter::telemetry
