// SPDX-License-Identifier: GPL-3.0-or-later
// Counts and durations of calls.
#ifndef NFMETER_TELEMETRY_CALL_METRICS_H_
#define NFMETER_TELEMETRY_CALL_METRICS_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "base/duration_histogram.h"
#include "base/sharded_counter.h"
#include "telemetry/call_observer.h"
#include "telemetry/metrics_text.h"

namespace nfmeter::telemetry {

// Metrics of calls under the names that gRPC servers elsewhere give them
// (go-grpc-prometheus), and failures by their reason. A call costs a lookup and
// a few relaxed additions, a failure a lock. Thread-safe.
class CallMetrics final : public CallObserver {
 public:
  // "nfmeter.v1.NodeService/GetNode" and whether it streams. Calls of other
  // methods are counted together as method "unlisted".
  struct Method {
    std::string name;
    bool stream = false;
  };

  explicit CallMetrics(absl::Span<const Method> methods);

  void OnCallStarted(const CallRecord& record) override;
  void OnCallEnded(const CallRecord& record) override;

  void WriteMetrics(MetricsText& text) const;

 private:
  static constexpr size_t kCodes = 17;
  struct alignas(64) Shard {
    std::atomic<uint64_t> started = 0;
    std::array<std::atomic<uint64_t>, kCodes> ended = {};
    DurationHistogram durations;
  };
  struct Series {
    std::string service;
    std::string method;
    const char* type;
    std::array<Shard, kShards> shards;
  };
  // What the shards of one series say together.
  struct Sums {
    uint64_t started = 0;
    std::array<uint64_t, kCodes> ended = {};
    DurationHistogram::Reading durations;
  };

  static std::unique_ptr<Series> MakeSeries(absl::string_view name,
                                            bool stream);
  static Sums SumsOf(const Series& series);
  Shard& ShardOf(absl::string_view method);
  void CountReason(const absl::Status& status);
  void WriteInFlight(absl::Span<const Sums> sums, MetricsText& text) const;
  void WriteReasons(MetricsText& text) const;

  std::vector<std::unique_ptr<Series>> series_;
  absl::flat_hash_map<std::string, Series*> by_method_;
  Series* unlisted_;

  mutable absl::Mutex mutex_;
  std::map<std::string, uint64_t> reasons_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace nfmeter::telemetry

#endif  // NFMETER_TELEMETRY_CALL_METRICS_H_
