// The metrics of a daemon.
#ifndef NFMETER_APP_METRICS_H_
#define NFMETER_APP_METRICS_H_

#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "accounting/domain.h"
#include "app/config.h"
#include "service/counter/quota_stream.h"
#include "service/gate/gate.h"
#include "service/gate/request_cache.h"
#include "service/gate/stream_budget.h"
#include "service/snapshot/snapshot_service.h"
#include "telemetry/audit_log.h"
#include "telemetry/call_metrics.h"
#include "telemetry/counter_metrics.h"
#include "telemetry/metrics_page.h"
#include "telemetry/metrics_server.h"
#include "telemetry/process_metrics.h"

namespace nfmeter::app {

// Who has metrics.
struct MetricSources {
  accounting::Domain& domain;
  const service::Gate& gate;
  const service::RequestCache& requests;
  const service::StreamBudget& streams;
  const service::QuotaStreams& quota_streams;
  const service::SnapshotService& snapshot_service;
  const telemetry::AuditLog& audit;
};

// Collects the metrics of a daemon and serves them. Started in two steps, as
// calls are counted before there is something to serve. Not thread-safe.
class Metrics {
 public:
  explicit Metrics(const Config& config);

  // For the gate.
  telemetry::CallObserver& calls() { return calls_; }

  // `sources` and this must outlive the server. Statuses:
  // telemetry::MetricsServer::Start().
  absl::StatusOr<std::unique_ptr<telemetry::MetricsServer>> Serve(
      const MetricSources& sources);

 private:
  void AddServer(const MetricSources& sources);
  void AddDomain(const MetricSources& sources);
  void AddServices(const MetricSources& sources);

  const Config& config_;
  telemetry::CallMetrics calls_;
  telemetry::ProcessMetrics process_;
  std::unique_ptr<telemetry::CounterMetrics> counters_;
  telemetry::MetricsPage page_;
};

}  // namespace nfmeter::app

#endif  // NFMETER_APP_METRICS_H_
