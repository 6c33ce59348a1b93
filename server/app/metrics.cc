// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/metrics.h"

#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_replace.h"
#include "app/connection_guard.h"
#include "base/status_macros.h"
#include "google/protobuf/descriptor.h"
#include "security/access/access.h"
#include "telemetry/counter_metrics.h"
#include "telemetry/process_metrics.h"

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

}  // namespace

Metrics::Metrics(const Config& config)
    : config_(config), calls_(CountedMethods()) {
  Make<telemetry::ProcessMetrics>();
  Add(calls_);
  Make<ConnectionGuard>();
}

void Metrics::AddCounters(accounting::Ledger& ledger,
                          const accounting::LabelStore& labels) {
  Make<telemetry::CounterMetrics>(
      ledger, labels,
      telemetry::CounterMetrics::Options{
          .name_glob = config_.metrics.counters,
          .max_counters = config_.metrics.max_counters,
          .label_keys = config_.metrics.labels});
}

absl::StatusOr<std::unique_ptr<telemetry::MetricsServer>> Metrics::Serve() {
  NFM_ASSIGN_OR_RETURN(auto server, telemetry::MetricsServer::Start(
                                        {.host = config_.metrics.listen->host,
                                         .port = config_.metrics.listen->port},
                                        [this] { return page_.Render(); }));
  ConnectionGuard::Exempt(server->listener());
  return server;
}

}  // namespace nfmeter::app
