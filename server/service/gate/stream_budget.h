// SPDX-License-Identifier: GPL-3.0-or-later
// How many streams there may be.
#ifndef NFMETER_SERVICE_GATE_STREAM_BUDGET_H_
#define NFMETER_SERVICE_GATE_STREAM_BUDGET_H_

#include <cstddef>
#include <functional>
#include <map>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "security/access/authorizer.h"
#include "telemetry/metrics_text.h"

namespace nfmeter::service {

// Bounds the streams of all services together (NodeLimits.max_streams), and
// those of each caller with a certificate. Thread-safe.
class StreamBudget {
 public:
  explicit StreamBudget(size_t max) : StreamBudget(max, max) {}
  StreamBudget(size_t max, size_t max_per_caller)
      : max_(max), max_per_caller_(max_per_caller) {}

  StreamBudget(const StreamBudget&) = delete;
  StreamBudget& operator=(const StreamBudget&) = delete;

  // Kinds of streams, which metrics tell apart: "snapshots". Before Take().
  void AddKind(absl::string_view kind);

  // OK when there is room for one more of that kind; give it back with
  // Return(). RESOURCE_EXHAUSTED, TOO_MANY_STREAMS.
  absl::Status Take(absl::string_view kind, const security::Caller& caller);
  void Return(absl::string_view kind, const security::Caller& caller);

  size_t max() const { return max_; }
  size_t open(absl::string_view kind) const;
  void WriteMetrics(telemetry::MetricsText& text) const;

 private:
  const size_t max_;
  const size_t max_per_caller_;
  mutable absl::Mutex mutex_;
  size_t open_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<std::string, size_t, std::less<>> by_kind_ ABSL_GUARDED_BY(mutex_);
  // Of those with certificates who have any.
  absl::flat_hash_map<std::string, size_t> by_caller_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace nfmeter::service

#endif  // NFMETER_SERVICE_GATE_STREAM_BUDGET_H_
