// SPDX-License-Identifier: GPL-3.0-or-later
// Counts on hot paths.
#ifndef NFMETER_BASE_SHARDED_COUNTER_H_
#define NFMETER_BASE_SHARDED_COUNTER_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace nfmeter {

inline constexpr size_t kShards = 8;

// The shard of the calling thread: threads that count at once mostly have
// different ones.
inline size_t ThisShard() {
  static std::atomic<size_t> next = 0;
  static thread_local const size_t shard =
      next.fetch_add(1, std::memory_order_relaxed) % kShards;
  return shard;
}

// A count that many threads add to and that is seldom read; they do not share
// its cache lines. Thread-safe.
class ShardedCounter {
 public:
  void Add(uint64_t count) {
    cells_[ThisShard()].value.fetch_add(count, std::memory_order_relaxed);
  }

  uint64_t Read() const {
    uint64_t sum = 0;
    for (const Cell& cell : cells_) {
      sum += cell.value.load(std::memory_order_relaxed);
    }
    return sum;
  }

 private:
  struct alignas(64) Cell {
    std::atomic<uint64_t> value = 0;
  };
  std::array<Cell, kShards> cells_;
};

}  // namespace nfmeter

#endif  // NFMETER_BASE_SHARDED_COUNTER_H_
