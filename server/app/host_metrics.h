// SPDX-License-Identifier: GPL-3.0-or-later
// Metrics of what the server stands on.
#ifndef NFMETER_APP_HOST_METRICS_H_
#define NFMETER_APP_HOST_METRICS_H_

#include <string>

#include "accounting/domain.h"
#include "kernel/kernel.h"
#include "telemetry/metrics_text.h"

namespace nfmeter::app {

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

#endif  // NFMETER_APP_HOST_METRICS_H_
