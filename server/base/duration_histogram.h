// SPDX-License-Identifier: GPL-3.0-or-later
// How long things take.
#ifndef NFMETER_BASE_DURATION_HISTOGRAM_H_
#define NFMETER_BASE_DURATION_HISTOGRAM_H_

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace nfmeter {

// Counts durations by upper bounds from 25 us to 30 s. A duration costs two
// relaxed additions. Thread-safe; a reading may have one that is being added in
// the buckets and not yet in the sum.
class DurationHistogram {
 public:
  // Microseconds. One more bucket has what is longer.
  static constexpr std::array<int64_t, 18> kBounds = {
      25,      100,       250,       500,       1'000,      2'500,
      5'000,   10'000,    25'000,    50'000,    100'000,    250'000,
      500'000, 1'000'000, 2'500'000, 5'000'000, 10'000'000, 30'000'000};
  static constexpr size_t kBuckets = kBounds.size() + 1;

  struct Reading {
    std::array<uint64_t, kBuckets> counts = {};  // not cumulative
    double sum = 0;                              // seconds

    uint64_t total() const {
      uint64_t total = 0;
      for (const uint64_t count : counts) total += count;
      return total;
    }
    Reading& operator+=(const Reading& other) {
      for (size_t i = 0; i < kBuckets; ++i) counts[i] += other.counts[i];
      sum += other.sum;
      return *this;
    }
  };

  void Add(std::chrono::nanoseconds duration) {
    const int64_t nanoseconds = std::max<int64_t>(duration.count(), 0);
    const auto bound = std::lower_bound(
        kBounds.begin(), kBounds.end(), nanoseconds,
        [](int64_t bound, int64_t value) { return bound * 1'000 < value; });
    counts_[bound - kBounds.begin()].fetch_add(1, std::memory_order_relaxed);
    sum_.fetch_add(nanoseconds, std::memory_order_relaxed);
  }

  Reading Read() const {
    Reading reading;
    for (size_t i = 0; i < kBuckets; ++i) {
      reading.counts[i] = counts_[i].load(std::memory_order_relaxed);
    }
    reading.sum = sum_.load(std::memory_order_relaxed) / 1e9;
    return reading;
  }

 private:
  std::array<std::atomic<uint64_t>, kBuckets> counts_ = {};
  std::atomic<uint64_t> sum_ = 0;  // nanoseconds
};

}  // namespace nfmeter

#endif  // NFMETER_BASE_DURATION_HISTOGRAM_H_
