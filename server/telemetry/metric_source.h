// SPDX-License-Identifier: GPL-3.0-or-later
// The one way to add metrics.
#ifndef NFMETER_TELEMETRY_METRIC_SOURCE_H_
#define NFMETER_TELEMETRY_METRIC_SOURCE_H_

#include "telemetry/metrics_text.h"

namespace nfmeter::telemetry {

// Whoever has something to count implements this, and app adds it to the page
// in a line. What accounting has, which knows nothing of this, has its sources
// in domain_metrics.h; each metric is explained in docs/metrics.md.
class MetricSource {
 public:
  virtual ~MetricSource() = default;

  // Writes whole families; on any thread, several at once. May wait for the
  // kernel, but not for anybody else.
  virtual void WriteMetrics(MetricsText& text) const = 0;
};

}  // namespace nfmeter::telemetry

#endif  // NFMETER_TELEMETRY_METRIC_SOURCE_H_
