// SPDX-License-Identifier: GPL-3.0-or-later
// Bounds on lines of the log that others can cause.
#ifndef NFMETER_TELEMETRY_LINE_LIMIT_H_
#define NFMETER_TELEMETRY_LINE_LIMIT_H_

#include <cstdint>
#include <optional>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/token_bucket.h"

namespace nfmeter::telemetry {

// Lets so many lines pass at once, and as many again in each window of time;
// counts the others.
// Thread-safe.
class LineLimit {
 public:
  LineLimit(int lines, absl::Duration window, Clock& clock = SystemClock())
      : clock_(clock),
        bucket_(lines / absl::ToDoubleSeconds(window), lines,
                clock.BootTime()) {}

  // Before each line: how many were left out since the last that was written;
  // nullopt: this one is left out, too.
  std::optional<int64_t> Take() {
    const absl::Duration now = clock_.BootTime();
    absl::MutexLock lock(&mutex_);
    if (!bucket_.Take(now)) {
      ++left_out_;
      return std::nullopt;
    }
    return std::exchange(left_out_, 0);
  }

 private:
  Clock& clock_;
  absl::Mutex mutex_;
  TokenBucket bucket_ ABSL_GUARDED_BY(mutex_);
  int64_t left_out_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace nfmeter::telemetry

#endif  // NFMETER_TELEMETRY_LINE_LIMIT_H_
