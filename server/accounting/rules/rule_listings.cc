// SPDX-License-Identifier: GPL-3.0-or-later
#include "accounting/rules/rule_listings.h"

#include <algorithm>
#include <utility>

#include "absl/random/random.h"

namespace nfmeter::accounting {
namespace {

uint64_t RandomNumber() {
  thread_local absl::BitGen random;
  return absl::Uniform<uint64_t>(absl::IntervalClosed, random, 1, UINT64_MAX);
}

size_t ApproximateBytes(const RuleListing& listing) {
  size_t bytes = 0;
  for (const kernel::Rule& rule : listing.rules) {
    // The text, and as much again for what it was read into.
    bytes += sizeof(rule) + 2 * rule.text.size();
  }
  return bytes;
}

}  // namespace

uint64_t RuleListings::Keep(std::shared_ptr<const RuleListing> listing) {
  const size_t bytes = ApproximateBytes(*listing);
  if (bytes > options_.max_bytes) return 0;
  std::list<Kept> dropped;  // after the lock
  absl::MutexLock lock(&mutex_);
  const absl::Duration now = clock_.BootTime();
  DropUntil(now);
  while (!kept_.empty() && (kept_.size() >= options_.max_listings ||
                            bytes_ + bytes > options_.max_bytes)) {
    bytes_ -= kept_.front().bytes;
    dropped.splice(dropped.end(), kept_, kept_.begin());
  }
  bytes_ += bytes;
  kept_.push_back({.number = RandomNumber(),
                   .listing = std::move(listing),
                   .bytes = bytes,
                   .until = now + options_.kept});
  return kept_.back().number;
}

std::shared_ptr<const RuleListing> RuleListings::Find(uint64_t number,
                                                      uint64_t query) {
  absl::MutexLock lock(&mutex_);
  const absl::Duration now = clock_.BootTime();
  DropUntil(now);
  const auto found =
      std::find_if(kept_.begin(), kept_.end(), [&](const Kept& each) {
        return each.number == number && each.listing->query == query;
      });
  if (found == kept_.end()) return nullptr;
  found->until = now + options_.kept;
  kept_.splice(kept_.end(), kept_, found);
  return found->listing;
}

void RuleListings::Finish(uint64_t number) {
  absl::MutexLock lock(&mutex_);
  const auto found =
      std::find_if(kept_.begin(), kept_.end(),
                   [&](const Kept& each) { return each.number == number; });
  if (found != kept_.end()) kept_.splice(kept_.begin(), kept_, found);
}

void RuleListings::Expire() {
  absl::MutexLock lock(&mutex_);
  DropUntil(clock_.BootTime());
}

void RuleListings::DropUntil(absl::Duration now) {
  for (auto each = kept_.begin(); each != kept_.end();) {
    if (each->until > now) {
      ++each;
      continue;
    }
    bytes_ -= each->bytes;
    each = kept_.erase(each);
  }
}

}  // namespace nfmeter::accounting
