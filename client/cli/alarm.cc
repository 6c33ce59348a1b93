// SPDX-License-Identifier: Apache-2.0
#include "cli/alarm.h"

#include <algorithm>
#include <utility>

namespace nfmeter::cli {

Alarm::Alarm(absl::Duration after, std::function<void()> ring)
    : thread_([this, after, ring = std::move(ring)] {
        const auto wait = absl::ToChronoMilliseconds(
            std::min(after, absl::Hours(24 * 365 * 100)));
        std::unique_lock<std::mutex> lock(mutex_);
        if (changed_.wait_for(lock, wait, [this] { return off_; })) return;
        rung_ = true;
        ring();
      }) {}

Alarm::~Alarm() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    off_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

}  // namespace nfmeter::cli
