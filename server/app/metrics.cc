// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/metrics.h"

#include <chrono>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_replace.h"
#include "app/connection_guard.h"
#include "base/status_macros.h"
#include "google/protobuf/descriptor.h"
#include "security/access/access.h"

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

}  // namespace nfmeter::app
