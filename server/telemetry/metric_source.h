// SPDX-License-Identifier: GPL-3.0-or-later
// The one way to add metrics.
#ifndef NFMETER_TELEMETRY_METRIC_SOURCE_H_
#define NFMETER_TELEMETRY_METRIC_SOURCE_H_

#include <functional>

#include "telemetry/metrics_text.h"

namespace nfmeter::telemetry {

// Writes whole families: the WriteMetrics() of whoever has something to count,
// or several of them. What accounting has, which knows nothing of this, has its
// functions in domain_metrics.h; each metric is explained in docs/metrics.md.
// Called on any thread, several at once; may wait for the kernel, but not for
// anybody else.
using MetricSource = std::function<void(MetricsText&)>;

}  // namespace nfmeter::telemetry

#endif  // NFMETER_TELEMETRY_METRIC_SOURCE_H_
