// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/metrics.h"

#include <sys/utsname.h>

#include <chrono>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_replace.h"
#include "app/capabilities.h"
#include "app/connection_guard.h"
#include "base/status_macros.h"
#include "google/protobuf/descriptor.h"
#include "kernel/linux/xtables/xtables_lock.h"
#include "security/access/access.h"
#include "security/listen/certificate_expiry.h"

namespace nfmeter::app {
namespace {

// Those of our own services, which pass the gate.
std::vector<telemetry::CallMetrics::Method> CountedMethods() {
  std::vector<telemetry::CallMetrics::Method> methods;
  for (const security::Method& method : security::AllMethods()) {
    if (!absl::StartsWith(method.name, "nfmeter.")) continue;
    const auto* const descriptor =
        google::protobuf::DescriptorPool::generated_pool()->FindMethodByName(
            absl::StrReplaceAll(method.name, {{"/", "."}}));
    methods.push_back(
        {std::string(method.name),
         descriptor != nullptr && descriptor->server_streaming()});
  }
  return methods;
}

using Type = telemetry::MetricsText::Type;

}  // namespace

Metrics::Metrics(const Config& config)
    : config_(config), calls_(CountedMethods()) {}

absl::StatusOr<std::unique_ptr<telemetry::MetricsServer>> Metrics::Serve(
    accounting::Ledger& ledger, const accounting::LabelStore& labels,
    telemetry::MetricSource others) {
  counters_.emplace(ledger, labels,
                    telemetry::CounterMetrics::Options{
                        .name_glob = config_.metrics.counters,
                        .max_counters = config_.metrics.max_counters,
                        .label_keys = config_.metrics.labels});
  others_ = std::move(others);
  NFM_ASSIGN_OR_RETURN(auto server, telemetry::MetricsServer::Start(
                                        {.host = config_.metrics.listen->host,
                                         .port = config_.metrics.listen->port},
                                        [this] { return Render(); }));
  ConnectionGuard::Exempt(server->listener());
  return server;
}

std::string Metrics::Render() {
  const auto begin = std::chrono::steady_clock::now();
  // A little more than last time, so that it seldom grows by copying.
  telemetry::MetricsText text(last_size_ + last_size_ / 16 + 4096);
  text.Histogram("nfmeter_scrape_duration_seconds",
                 "Time that earlier scrapes of this page took.", durations_);
  process_.WriteMetrics(text);
  calls_.WriteMetrics(text);
  ConnectionGuard::WriteMetrics(text);
  counters_->WriteMetrics(text);
  others_(text);
  std::string page = std::move(text).Take();
  last_size_ = page.size();
  durations_.Add(std::chrono::steady_clock::now() - begin);
  return page;
}

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
