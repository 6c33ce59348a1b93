// SPDX-License-Identifier: GPL-3.0-or-later
// Metrics of what the server stands on.
#ifndef NFMETER_APP_HOST_METRICS_H_
#define NFMETER_APP_HOST_METRICS_H_

#include <string>
#include <utility>

#include "accounting/domain.h"
#include "kernel/kernel.h"
#include "telemetry/metric_source.h"

namespace nfmeter::app {

// Versions, what the kernel has, and how long its lock is waited for. Does not
// own the kernel.
class HostMetrics final : public telemetry::MetricSource {
 public:
  explicit HostMetrics(const kernel::Kernel& kernel) : kernel_(kernel) {}
  void WriteMetrics(telemetry::MetricsText& text) const override;

 private:
  const kernel::Kernel& kernel_;
};

// Counters that were made through the server and that no rule counts into. Does
// not own the domain.
class UnfedMetrics final : public telemetry::MetricSource {
 public:
  explicit UnfedMetrics(const accounting::Domain& domain) : domain_(domain) {}
  void WriteMetrics(telemetry::MetricsText& text) const override;

 private:
  const accounting::Domain& domain_;
};

// Until when the server's certificate is good, as its file says now.
class CertificateMetrics final : public telemetry::MetricSource {
 public:
  explicit CertificateMetrics(std::string file) : file_(std::move(file)) {}
  void WriteMetrics(telemetry::MetricsText& text) const override;

 private:
  const std::string file_;
};

}  // namespace nfmeter::app

#endif  // NFMETER_APP_HOST_METRICS_H_
