#include "service/gate/call_rates.h"

#include <algorithm>

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
    Bucket& bucket = BucketOf(principal, now);
    Refill(now, bucket);
    if (bucket.calls >= 1) {
      bucket.calls -= 1;
      return absl::OkStatus();
    }
  }
  return MakeError(
      absl::StatusCode::kResourceExhausted,
      absl::StrCat(principal, " has made more than ", max_per_second_,
                   " calls a second; wait, put several things into one "
                   "request (batches, snapshots, streams), or raise "
                   "limits.max_calls_per_second"),
      ErrorDetails{.reason = "RATE_LIMITED",
                   .metadata = {{"bound", absl::StrCat(max_per_second_)},
                                {"principal", principal}}});
}

void CallRates::Refill(absl::Duration now, Bucket& bucket) const {
  const double earned = absl::ToDoubleSeconds(now - bucket.time) *
                        static_cast<double>(max_per_second_);
  bucket.calls = std::min(Burst(), bucket.calls + earned);
  bucket.time = now;
}

CallRates::Bucket& CallRates::BucketOf(const std::string& principal,
                                       absl::Duration now) {
  const auto found = buckets_.find(principal);
  if (found != buckets_.end()) return found->second;
  if (buckets_.size() >= kMaxPrincipals && now >= next_sweep_) {
    next_sweep_ = now + kSweepInterval;
    // A full bucket is what a caller starts with.
    absl::erase_if(buckets_, [&](auto& each) {
      Refill(now, each.second);
      return each.second.calls >= Burst();
    });
  }
  if (buckets_.size() >= kMaxPrincipals) return shared_;
  return buckets_.try_emplace(principal, Bucket{Burst(), now}).first->second;
}

}  // namespace nfmeter::service
