// SPDX-License-Identifier: GPL-3.0-or-later
// How many calls a caller may make.
#ifndef NFMETER_SERVICE_GATE_CALL_RATES_H_
#define NFMETER_SERVICE_GATE_CALL_RATES_H_

#include <cstddef>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/token_bucket.h"

namespace nfmeter::service {

inline constexpr absl::Duration kSweepInterval = absl::Seconds(1);

// A token bucket for each caller, that holds two seconds' worth of calls.
// Thread-safe. Does not own the clock.
class CallRates {
 public:
  // 0: any number.
  CallRates(size_t max_per_second, Clock& clock)
      : max_per_second_(max_per_second),
        clock_(clock),
        shared_(NewBucket(clock.BootTime())) {}

  // One more call of this principal. RESOURCE_EXHAUSTED, RATE_LIMITED.
  absl::Status Take(const std::string& principal) {
    if (max_per_second_ == 0) return absl::OkStatus();
    const absl::Duration now = clock_.BootTime();
    {
      absl::MutexLock lock(&mutex_);
      if (BucketOf(principal, now).Take(now)) return absl::OkStatus();
    }
    return MakeError(
        absl::StatusCode::kResourceExhausted,
        absl::StrCat(principal, " has made more than ", max_per_second_,
                     " calls a second; wait, put several things into one "
                     "request (batches, snapshots, streams), or raise "
                     "limits.max_calls_per_second"),
        BoundDetails("RATE_LIMITED", max_per_second_,
                     {{"principal", principal}}));
  }

  // Callers that are told apart at once; more share one bucket.
  static constexpr size_t kMaxPrincipals = 10'000;

 private:
  TokenBucket NewBucket(absl::Duration now) const {
    const auto per_second = static_cast<double>(max_per_second_);
    return TokenBucket(per_second, 2 * per_second, now);
  }

  TokenBucket& BucketOf(const std::string& principal, absl::Duration now)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const auto found = buckets_.find(principal);
    if (found != buckets_.end()) return found->second;
    if (buckets_.size() >= kMaxPrincipals && now >= next_sweep_) {
      next_sweep_ = now + kSweepInterval;
      // A full bucket can be forgotten: its caller would start with a full one.
      absl::erase_if(buckets_,
                     [&](auto& each) { return each.second.IsFull(now); });
    }
    if (buckets_.size() >= kMaxPrincipals) return shared_;
    return buckets_.try_emplace(principal, NewBucket(now)).first->second;
  }

  const size_t max_per_second_;
  Clock& clock_;
  absl::Mutex mutex_;
  absl::flat_hash_map<std::string, TokenBucket> buckets_
      ABSL_GUARDED_BY(mutex_);
  TokenBucket shared_ ABSL_GUARDED_BY(mutex_);
  // No full bucket is looked for before this.
  absl::Duration next_sweep_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace nfmeter::service

#endif  // NFMETER_SERVICE_GATE_CALL_RATES_H_
