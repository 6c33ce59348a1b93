// SPDX-License-Identifier: GPL-3.0-or-later
// Which counters have crossed their quotas.
#ifndef NFMETER_ACCOUNTING_QUOTAS_QUOTA_HUB_H_
#define NFMETER_ACCOUNTING_QUOTAS_QUOTA_HUB_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "accounting/common/counter_observer.h"
#include "accounting/common/lane.h"
#include "base/clock.h"
#include "kernel/acct_table.h"

namespace nfmeter::accounting {

struct QuotaEvent {
  enum class Kind {
    kStanding,   // exceeded already when the subscription began
    kCrossed,    // the kernel's own event
    kRecovered,  // found by reading the counters, its event was lost
    kSynced,     // no object: all standing ones came before this
    kThreshold,  // a share of the limit is reached, see Tell()
  };
  Kind kind = Kind::kSynced;
  kernel::AcctObject object;
  absl::Time time;       // when we learned of it
  uint64_t missed = 0;   // events lost before this one: the queue was full
  uint32_t percent = 0;  // of kThreshold: which share
};

// Since the start.
struct QuotaStats {
  std::atomic<uint64_t> crossed = 0;    // the kernel's own events
  std::atomic<uint64_t> recovered = 0;  // found by reading
  // Times that the kernel dropped events, and counters were read for them.
  std::atomic<uint64_t> losses = 0;
  std::atomic<uint64_t> thresholds = 0;  // shares of limits that were told of
  // Events that subscribers' full queues dropped.
  std::atomic<uint64_t> missed = 0;
};

// Follows the kernel's quota events on a thread of its own, and finds what the
// kernel dropped by reading the counters on the counter lane, so that every
// subscriber gets every crossing once. While readings fail, events are followed
// all the same. A counter that is reset and crosses its quota again has crossed
// twice.
//
// Thread-safe.
class QuotaHub : public CounterObserver {
 public:
  struct Options {
    // Events that wait for one subscriber; the oldest make room.
    size_t max_queue = 1024;
  };

  // `table`, `counter_lane` and `clock` must outlive the hub.
  static std::unique_ptr<QuotaHub> Create(kernel::AcctTable& table,
                                          Lane& counter_lane, Clock& clock,
                                          const Options& options);
  // The events for one subscriber.
  class Subscription {
   public:
    // Waits for calls of `on_ready` under way.
    virtual ~Subscription() = default;
    // The next event, or nullopt when none waits. The status says why there
    // will be none: the kernel has no quota events, or it can't be read.
    virtual absl::StatusOr<std::optional<QuotaEvent>> Take() = 0;
  };

  // Subscribes to the counters that `wanted` accepts. `on_ready` is called when
  // Take() may have something; on threads of the hub's, and must neither block
  // nor destroy the subscription.
  virtual std::unique_ptr<Subscription> Subscribe(
      std::function<bool(const std::string& kernel_name)> wanted,
      std::function<void()> on_ready) = 0;

  // The next crossing of each is a new one. Without it a crossing within
  // seconds of a resynchronisation may be taken for the one before.
  void OnReset(absl::Span<const kernel::AcctObject> counters) override = 0;
  void OnDeleted(absl::Span<const kernel::AcctObject> counters) override {
    OnReset(counters);
  }

  // Tells subscribers that `percent` of the object's limit is reached.
  // Thread-safe; does not block.
  virtual void TellThreshold(const kernel::AcctObject& object,
                             uint32_t percent) = 0;

  virtual const QuotaStats& stats() const = 0;
};

}  // namespace nfmeter::accounting

#endif  // NFMETER_ACCOUNTING_QUOTAS_QUOTA_HUB_H_
