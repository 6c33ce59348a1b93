// SPDX-License-Identifier: GPL-3.0-or-later
// Readings of rules that are given out page by page.
#ifndef NFMETER_ACCOUNTING_RULES_RULE_LISTINGS_H_
#define NFMETER_ACCOUNTING_RULES_RULE_LISTINGS_H_

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "kernel/rule_types.h"

namespace nfmeter::accounting {

// Rules that match a query, as they were at one time.
struct RuleListing {
  uint64_t query = 0;  // what was asked, the caller's scope included
  uint64_t ids = 0;    // a hash of the ids, in order
  std::vector<kernel::Rule> rules;
};

// Keeps the readings whose later pages somebody may still ask for, so that a
// listing goes on while others change rules. Later, a caller reads anew.
//
// A reading is found by a random number that only its page tokens have, and for
// its own query alone: what a caller may not see is not in it.
//
// Thread-safe.
class RuleListings {
 public:
  // A reading goes this long after its last page was asked for; and the oldest
  // make room where there are more, or larger ones.
  struct Options {
    absl::Duration kept = absl::Minutes(1);
    size_t max_listings = 16;
    size_t max_bytes = 64 << 20;  // approximately
  };

  RuleListings(Clock& clock, const Options& options)
      : clock_(clock), options_(options) {}

  // A number for it, not 0; or 0 where it is too large to be kept.
  uint64_t Keep(std::shared_ptr<const RuleListing> listing);

  // Null: it is not kept (any more), or was another query's.
  std::shared_ptr<const RuleListing> Find(uint64_t number, uint64_t query);

  // Its last page was given out. Only that page may be asked for again, so it
  // goes first when room is needed.
  void Finish(uint64_t number);

  // Drops what has been kept long enough, as the other functions do on the way.
  void Expire();

 private:
  struct Kept {
    uint64_t number = 0;
    std::shared_ptr<const RuleListing> listing;
    size_t bytes = 0;
    absl::Duration until;
  };

  void DropUntil(absl::Duration now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Clock& clock_;
  const Options options_;
  absl::Mutex mutex_;
  std::list<Kept> kept_ ABSL_GUARDED_BY(mutex_);  // those to go first in front
  size_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace nfmeter::accounting

#endif  // NFMETER_ACCOUNTING_RULES_RULE_LISTINGS_H_
