// SPDX-License-Identifier: GPL-3.0-or-later
// How much memory callers may keep the server holding.
#ifndef NFMETER_SERVICE_GATE_MEMORY_BUDGET_H_
#define NFMETER_SERVICE_GATE_MEMORY_BUDGET_H_

#include <atomic>
#include <cstddef>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "telemetry/metrics_text.h"

namespace nfmeter::service {

// Counts what is held for each caller, in bytes: requests while they are
// served, answers and frames until the client has taken them, what streams
// remember. A caller may have half of the bound; where all together are beyond
// it, no more than an equal share, so that a caller with little is not held to
// account for one with much. All have at most twice the bound then.
//
// Thread-safe. Must outlive its holds.
class MemoryBudget {
 public:
  explicit MemoryBudget(size_t max_bytes) : max_bytes_(max_bytes) {}
  MemoryBudget(const MemoryBudget&) = delete;
  MemoryBudget& operator=(const MemoryBudget&) = delete;

  // Less than this is not worth counting.
  static constexpr size_t kLeastBytes = 2048;

 private:
  // Of one caller. What several of its streams share counts once.
  struct Account {
    size_t bytes = 0;
    size_t holds = 0;
    absl::flat_hash_map<const void*, size_t> shared;  // users of each
  };

 public:
  // Bytes that are held, until it is destroyed. Not thread-safe.
  class Hold {
   public:
    Hold() = default;
    Hold(Hold&& other) noexcept { *this = std::move(other); }
    Hold& operator=(Hold&& other) noexcept {
      Release();
      budget_ = std::exchange(other.budget_, nullptr);
      caller_ = std::move(other.caller_);
      bytes_ = std::exchange(other.bytes_, 0);
      shared_ = std::exchange(other.shared_, nullptr);
      return *this;
    }
    ~Hold() { Release(); }

    void Release();

   private:
    friend class MemoryBudget;
    MemoryBudget* budget_ = nullptr;
    std::string caller_;
    size_t bytes_ = 0;
    const void* shared_ = nullptr;
  };

  // OK while the caller may have more. RESOURCE_EXHAUSTED, TOO_MUCH_HELD.
  absl::Status Check(const std::string& caller) const {
    return held() == 0 ? absl::OkStatus() : CheckMore(caller, 0);
  }

  // `bytes` more are held for the caller, in place of what `hold` held.
  // `shared`: the address of what others of its streams may hold, too; else
  // null. Not OK, as above: nothing is held.
  absl::Status Take(const std::string& caller, size_t bytes, Hold& hold,
                    const void* shared = nullptr);
  // The same for what is there already and can't be refused.
  void TakeAnyway(const std::string& caller, size_t bytes, Hold& hold);

  size_t held() const { return held_.load(std::memory_order_relaxed); }
  void WriteMetrics(telemetry::MetricsText& text) const;

 private:
  absl::Status CheckMore(const std::string& caller, size_t more) const;
  bool MayHave(size_t own, size_t more) const
      ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  void Add(const std::string& caller, size_t bytes, const void* shared,
           Hold& hold) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Refusal(const std::string& caller) const;

  const size_t max_bytes_;
  std::atomic<size_t> held_ = 0;
  mutable absl::Mutex mutex_;
  absl::flat_hash_map<std::string, Account> accounts_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace nfmeter::service

#endif  // NFMETER_SERVICE_GATE_MEMORY_BUDGET_H_
