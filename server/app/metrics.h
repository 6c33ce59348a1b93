// SPDX-License-Identifier: GPL-3.0-or-later
// The metrics of a daemon.
#ifndef NFMETER_APP_METRICS_H_
#define NFMETER_APP_METRICS_H_

#include <atomic>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "accounting/counters/label_store.h"
#include "accounting/domain.h"
#include "accounting/ledger/ledger.h"
#include "app/config.h"
#include "base/duration_histogram.h"
#include "kernel/kernel.h"
#include "telemetry/call_metrics.h"
#include "telemetry/counter_metrics.h"
#include "telemetry/metrics_server.h"
#include "telemetry/metrics_text.h"
#include "telemetry/process_metrics.h"

namespace nfmeter::app {

// Writes the page of metrics and serves it. Made before what the page is about,
// as calls are counted before there is something to serve. Not thread-safe.
class Metrics {
 public:
  explicit Metrics(const Config& config);

  // For the gate.
  telemetry::CallObserver& calls() { return calls_; }

  // `others`: all but the process, its connections, calls and counters. This
  // and what it is given must outlive the server. Once. Statuses:
  // telemetry::MetricsServer::Start().
  absl::StatusOr<std::unique_ptr<telemetry::MetricsServer>> Serve(
      accounting::Ledger& ledger, const accounting::LabelStore& labels,
      telemetry::MetricSource others);

 private:
  std::string Render();

  const Config& config_;
  const telemetry::ProcessMetrics process_;
  telemetry::CallMetrics calls_;
  std::optional<telemetry::CounterMetrics> counters_;  // once there is a ledger
  telemetry::MetricSource others_;
  std::atomic<size_t> last_size_ = 0;
  DurationHistogram durations_;
};

// Versions, what the kernel has, and how long its lock is waited for.
void WriteHostMetrics(const kernel::Kernel& kernel,
                      telemetry::MetricsText& text);

// Counters that were made through the server and that no rule counts into.
void WriteUnfedMetrics(const accounting::Domain& domain,
                       telemetry::MetricsText& text);

// Until when the server's certificate is good, as its file says now.
void WriteCertificateMetrics(const std::string& file,
                             telemetry::MetricsText& text);

}  // namespace nfmeter::app

#endif  // NFMETER_APP_METRICS_H_
