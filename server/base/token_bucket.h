// SPDX-License-Identifier: GPL-3.0-or-later
// The rate limiter.
#ifndef NFMETER_BASE_TOKEN_BUCKET_H_
#define NFMETER_BASE_TOKEN_BUCKET_H_

#include <algorithm>

#include "absl/time/time.h"

namespace nfmeter {

// Lets things happen `per_second` times a second in the long run, and up to
// `burst` of them at once after a pause. Starts full.
//
// The time is given: Clock::BootTime(), so that a step of the wall clock
// neither opens nor closes it. A time before the last one counts as the last
// one. A value of 32 bytes, so that thousands can be kept; not thread-safe.
class TokenBucket {
 public:
  TokenBucket(double per_second, double burst, absl::Duration now)
      : per_second_(per_second), burst_(burst), tokens_(burst), time_(now) {}

  // One more. False: it is one too many, and takes nothing.
  bool Take(absl::Duration now) {
    const double tokens = TokensAt(now);
    if (tokens < 1) return false;
    tokens_ = tokens - 1;
    time_ = std::max(time_, now);
    return true;
  }

  // Nothing has happened for so long that it is as good as new.
  bool IsFull(absl::Duration now) const { return TokensAt(now) >= burst_; }

 private:
  double TokensAt(absl::Duration now) const {
    if (now <= time_) return tokens_;
    return std::min(burst_,
                    tokens_ + absl::ToDoubleSeconds(now - time_) * per_second_);
  }

  double per_second_;
  double burst_;
  double tokens_;
  absl::Duration time_;
};

}  // namespace nfmeter

#endif  // NFMETER_BASE_TOKEN_BUCKET_H_
