// SPDX-License-Identifier: GPL-3.0-or-later
// How a collector keeps its share of the nodes.
#include <string>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "collector/collector.h"
#include "gmock/gmock.h"
#include "tests/collector/memory_sink.h"

namespace nfmeter {
namespace {

using collector::Collector;

// Counts what it is asked.
class CountingSink final : public testing::MemorySink {
 public:
  absl::StatusOr<std::vector<std::string>> Join(const std::string& name,
                                                absl::Duration ttl) override {
    absl::MutexLock lock(&mutex_);
    ++joins_;
    return MemorySink::Join(name, ttl);
  }
  absl::StatusOr<std::vector<collector::Lease>> KeepLeases(
      const std::string& name, absl::Span<const int> shards,
      absl::Duration ttl) override {
    absl::MutexLock lock(&mutex_);
    ++renewals_;
    return MemorySink::KeepLeases(name, shards, ttl);
  }
  // Waits for as many; how often leases were renewed until then.
  int RenewalsDuring(int joins) {
    absl::MutexLock lock(&mutex_);
    const int until = joins_ + joins;
    const auto reached = [this, until]() ABSL_NO_THREAD_SAFETY_ANALYSIS {
      return joins_ >= until;
    };
    const int before = renewals_;
    mutex_.Await(absl::Condition(&reached));
    return renewals_ - before;
  }

 private:
  absl::Mutex mutex_;
  int joins_ ABSL_GUARDED_BY(mutex_) = 0;
  int renewals_ ABSL_GUARDED_BY(mutex_) = 0;
};

// A third of the lease, as in docs/fleet.md; others are looked for more often.
TEST(ShareTest, LeasesAreRenewedEachThirdOfTheirTime) {
  constexpr absl::Duration kLease = absl::Seconds(1);
  CountingSink sink;
  const Collector one({.name = "one", .lease = kLease}, sink);
  sink.RenewalsDuring(2);
  const absl::Time begun = absl::Now();
  const int renewals = sink.RenewalsDuring(15);
  EXPECT_GE(renewals, 5);
  EXPECT_LE(renewals, (absl::Now() - begun) / (kLease / 3) + 1);
}

TEST(ShareTest, WhoComesGetsItsShareAtOnce) {
  CountingSink sink;
  const Collector one({.name = "one", .lease = absl::Seconds(1)}, sink);
  sink.RenewalsDuring(2);
  const Collector two({.name = "two", .lease = absl::Seconds(1)}, sink);
  sink.RenewalsDuring(40);
  EXPECT_EQ(one.state().shards + two.state().shards,
            size_t{collector::kShards});
  EXPECT_GT(two.state().shards, 0u);
}

}  // namespace
}  // namespace nfmeter
