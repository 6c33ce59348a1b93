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

void HostMetrics::WriteMetrics(telemetry::MetricsText& text) const {
  utsname kernel{};
  uname(&kernel);
  text.Family("nfmeter_build_info", Type::kGauge,
              "1, with the versions of server and kernel.");
  text.Add({{"version", NFMETER_VERSION}, {"kernel_release", kernel.release}},
           uint64_t{1});
  text.Family("nfmeter_kernel_part_available", Type::kGauge,
              "Whether the kernel has what the server needs for a part of its "
              "work.");
  for (const service::NodeCapability& each :
       NodeCapabilities(*kernel_.capabilities(), "", "")) {
    text.Add({{"part", each.name}}, uint64_t{each.available});
  }
  text.Family("nfmeter_xtables_lock_wait_seconds", Type::kHistogram,
              "Time that changes of rules waited for the lock that all users "
              "of iptables share.");
  text.Add({}, kernel::XtablesLockWaits().Read());
}

void UnfedMetrics::WriteMetrics(telemetry::MetricsText& text) const {
  text.Family("nfmeter_unfed_counters", Type::kGauge,
              "Counters that were made through the server and that no rule "
              "counts into.");
  text.Add(uint64_t{domain_.UnfedCounters().size()});
}

void CertificateMetrics::WriteMetrics(telemetry::MetricsText& text) const {
  const absl::StatusOr<security::CertificateLifetime> lifetime =
      security::ReadCertificateLifetime(file_);
  text.Family("nfmeter_tls_certificate_readable", Type::kGauge,
              "Whether the file of the server's certificate can be read.");
  text.Add(uint64_t{lifetime.ok()});
  if (!lifetime.ok()) return;
  text.Family("nfmeter_tls_certificate_not_before_seconds", Type::kGauge,
              "When the server's certificate began to be good, since the Unix "
              "epoch.");
  text.Add(absl::ToDoubleSeconds(lifetime->not_before - absl::UnixEpoch()));
  text.Family("nfmeter_tls_certificate_not_after_seconds", Type::kGauge,
              "When it expires.");
  text.Add(absl::ToDoubleSeconds(lifetime->not_after - absl::UnixEpoch()));
}

}  // namespace nfmeter::app
