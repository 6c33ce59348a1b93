// SPDX-License-Identifier: GPL-3.0-or-later
// The metrics of a daemon.
#ifndef NFMETER_APP_METRICS_H_
#define NFMETER_APP_METRICS_H_

#include <memory>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "accounting/counters/label_store.h"
#include "accounting/ledger/ledger.h"
#include "app/config.h"
#include "telemetry/call_metrics.h"
#include "telemetry/metric_source.h"
#include "telemetry/metrics_page.h"
#include "telemetry/metrics_server.h"

namespace nfmeter::app {

// Collects the sources of metrics and serves them. Made before the sources, as
// calls are counted before there is something to serve. Not thread-safe.
class Metrics {
 public:
  explicit Metrics(const Config& config);

  // For the gate.
  telemetry::CallObserver& calls() { return calls_; }

  // One more source on the page; it must outlive the server.
  void Add(const telemetry::MetricSource& source) { page_.Add(source); }
  // The same, one that only this needs.
  template <typename Source, typename... Arguments>
  void Make(Arguments&&... arguments) {
    made_.push_back(
        std::make_unique<Source>(std::forward<Arguments>(arguments)...));
    page_.Add(*made_.back());
  }
  // The counters themselves; both must outlive the server.
  void AddCounters(accounting::Ledger& ledger,
                   const accounting::LabelStore& labels);

  // After the last source. This must outlive the server. Statuses:
  // telemetry::MetricsServer::Start().
  absl::StatusOr<std::unique_ptr<telemetry::MetricsServer>> Serve();

 private:
  const Config& config_;
  telemetry::CallMetrics calls_;
  std::vector<std::unique_ptr<const telemetry::MetricSource>> made_;
  telemetry::MetricsPage page_;
};

}  // namespace nfmeter::app

#endif  // NFMETER_APP_METRICS_H_
