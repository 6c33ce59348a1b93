#include "telemetry/line_limit.h"

#include <utility>

namespace nfmeter::telemetry {

LineLimit::LineLimit(int lines, absl::Duration window, Clock& clock)
    : lines_(lines), window_(window), clock_(clock) {}

std::optional<int64_t> LineLimit::Take() {
  const absl::Duration now = clock_.BootTime();
  absl::MutexLock lock(&mutex_);
  if (now >= window_end_) {
    window_end_ = now + window_;
    in_window_ = 0;
  }
  if (in_window_ >= lines_) {
    ++left_out_;
    return std::nullopt;
  }
  ++in_window_;
  return std::exchange(left_out_, 0);
}

}  // namespace nfmeter::telemetry
