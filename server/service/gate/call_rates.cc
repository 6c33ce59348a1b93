// SPDX-License-Identifier: GPL-3.0-or-later
#include "service/gate/call_rates.h"

#include "absl/strings/str_cat.h"
#include "base/error.h"

namespace nfmeter::service {
namespace {

constexpr absl::Duration kSweepInterval = absl::Seconds(1);

}  // namespace

absl::Status CallRates::Take(const std::string& principal) {
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

TokenBucket CallRates::NewBucket(absl::Duration now) const {
  const auto per_second = static_cast<double>(max_per_second_);
  return TokenBucket(per_second, 2 * per_second, now);
}

TokenBucket& CallRates::BucketOf(const std::string& principal,
                                 absl::Duration now) {
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

}  // namespace nfmeter::service
