// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/host_metrics.h"

#include <sys/utsname.h>

#include "app/capabilities.h"
#include "kernel/linux/xtables/xtables_lock.h"
#include "security/listen/certificate_expiry.h"

namespace nfmeter::app {
namespace {

using Type = telemetry::MetricsText::Type;

}  // namespace

void WriteHostMetrics(const kernel::Kernel& kernel,
                      telemetry::MetricsText& text) {
  utsname host{};
  uname(&host);
  text.Family("nfmeter_build_info", Type::kGauge,
              "1, with the versions of server and kernel.");
  text.Add({{"version", NFMETER_VERSION}, {"kernel_release", host.release}}, 1);
  text.Family("nfmeter_kernel_part_available", Type::kGauge,
              "Whether the kernel has what the server needs for a part of its "
              "work.");
  for (const service::NodeCapability& each :
       NodeCapabilities(*kernel.capabilities())) {
    text.Add({{"part", each.name}}, each.available);
  }
  text.Histogram(
      "nfmeter_xtables_lock_wait_seconds",
      "Time that changes of rules waited for the lock that all users "
      "of iptables share.",
      kernel::XtablesLockWaits());
}

void WriteUnfedMetrics(const accounting::Domain& domain,
                       telemetry::MetricsText& text) {
  text.Gauge("nfmeter_unfed_counters",
             "Counters that were made through the server and that no rule "
             "counts into.",
             domain.UnfedCounters().size());
}

void WriteCertificateMetrics(const std::string& file,
                             telemetry::MetricsText& text) {
  const absl::StatusOr<security::CertificateLifetime> lifetime =
      security::ReadCertificateLifetime(file);
  text.Gauge("nfmeter_tls_certificate_readable",
             "Whether the file of the server's certificate can be read.",
             lifetime.ok());
  if (!lifetime.ok()) return;
  text.Gauge("nfmeter_tls_certificate_not_before_seconds",
             "When the server's certificate began to be good, since the Unix "
             "epoch.",
             absl::ToDoubleSeconds(lifetime->not_before - absl::UnixEpoch()));
  text.Gauge("nfmeter_tls_certificate_not_after_seconds", "When it expires.",
             absl::ToDoubleSeconds(lifetime->not_after - absl::UnixEpoch()));
}

}  // namespace nfmeter::app
