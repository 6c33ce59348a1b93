// SPDX-License-Identifier: GPL-3.0-or-later
#include "telemetry/call_metrics.h"

#include "base/error.h"

namespace nfmeter::telemetry {
namespace {

using Type = MetricsText::Type;

// As gRPC's other libraries write them in labels.
constexpr const char* kCodeNames[] = {"OK",
                                      "Canceled",
                                      "Unknown",
                                      "InvalidArgument",
                                      "DeadlineExceeded",
                                      "NotFound",
                                      "AlreadyExists",
                                      "PermissionDenied",
                                      "ResourceExhausted",
                                      "FailedPrecondition",
                                      "Aborted",
                                      "OutOfRange",
                                      "Unimplemented",
                                      "Internal",
                                      "Unavailable",
                                      "DataLoss",
                                      "Unauthenticated"};

// Reasons are constants of the server. This is a bound in any case.
constexpr size_t kMaxReasons = 256;

constexpr absl::string_view kUnlisted = "unlisted";

size_t CodeOf(const absl::Status& status) {
  const int code = static_cast<int>(status.code());
  return code >= 0 && code < 17 ? code : 2;
}

}  // namespace

CallMetrics::CallMetrics(absl::Span<const Method> methods) {
  for (const Method& method : methods) {
    series_.push_back(MakeSeries(method.name, method.stream));
    by_method_[method.name] = series_.back().get();
  }
  series_.push_back(MakeSeries(kUnlisted, false));
  unlisted_ = series_.back().get();
}

std::unique_ptr<CallMetrics::Series> CallMetrics::MakeSeries(
    absl::string_view name, bool stream) {
  auto series = std::make_unique<Series>();
  const size_t slash = name.find('/');
  series->service = std::string(name.substr(0, slash));
  series->method = slash == absl::string_view::npos
                       ? std::string(name)
                       : std::string(name.substr(slash + 1));
  series->type = stream ? "server_stream" : "unary";
  return series;
}

CallMetrics::Shard& CallMetrics::ShardOf(absl::string_view method) {
  const auto found = by_method_.find(method);
  Series& series = found == by_method_.end() ? *unlisted_ : *found->second;
  return series.shards[ThisShard()];
}

void CallMetrics::OnCallStarted(const CallRecord& record) {
  ShardOf(record.method).started.fetch_add(1, std::memory_order_relaxed);
}

void CallMetrics::OnCallEnded(const CallRecord& record) {
  Shard& shard = ShardOf(record.method);
  // Whoever sees this end sees its start.
  shard.ended[CodeOf(record.status)].fetch_add(1, std::memory_order_release);
  shard.durations.Add(absl::ToChronoNanoseconds(record.duration));
  if (!record.status.ok()) CountReason(record.status);
}

void CallMetrics::CountReason(const absl::Status& status) {
  std::string reason = GetErrorDetails(status).reason;
  if (reason.empty()) reason = kCodeNames[CodeOf(status)];
  absl::MutexLock lock(&mutex_);
  if (reasons_.size() >= kMaxReasons && !reasons_.contains(reason)) {
    reason = "other";
  }
  ++reasons_[reason];
}

CallMetrics::Sums CallMetrics::SumsOf(const Series& series) {
  Sums sums;
  // Ends before starts: a call that is in the first is in the second too.
  for (const Shard& shard : series.shards) {
    for (size_t code = 0; code < kCodes; ++code) {
      sums.ended[code] += shard.ended[code].load(std::memory_order_acquire);
    }
    sums.durations += shard.durations.Read();
  }
  for (const Shard& shard : series.shards) {
    sums.started += shard.started.load(std::memory_order_relaxed);
  }
  return sums;
}

void CallMetrics::WriteMetrics(MetricsText& text) const {
  std::vector<Sums> sums;
  sums.reserve(series_.size());
  for (const auto& series : series_) sums.push_back(SumsOf(*series));

  text.Family("grpc_server_started_total", Type::kCounter,
              "Calls that have begun to be served.");
  for (size_t i = 0; i < series_.size(); ++i) {
    const Series& each = *series_[i];
    text.Add({{"grpc_type", each.type},
              {"grpc_service", each.service},
              {"grpc_method", each.method}},
             sums[i].started);
  }
  text.Family("grpc_server_handled_total", Type::kCounter,
              "Calls that have ended, by their status.");
  for (size_t i = 0; i < series_.size(); ++i) {
    const Series& each = *series_[i];
    for (size_t code = 0; code < kCodes; ++code) {
      if (code != 0 && sums[i].ended[code] == 0) continue;
      text.Add({{"grpc_type", each.type},
                {"grpc_service", each.service},
                {"grpc_method", each.method},
                {"grpc_code", kCodeNames[code]}},
               sums[i].ended[code]);
    }
  }
  text.Family("grpc_server_handling_seconds", Type::kHistogram,
              "Time from the beginning of a call to its end; of streams, how "
              "long they were open.");
  for (size_t i = 0; i < series_.size(); ++i) {
    const Series& each = *series_[i];
    if (sums[i].durations.total() == 0) continue;
    text.Add({{"grpc_type", each.type},
              {"grpc_service", each.service},
              {"grpc_method", each.method}},
             sums[i].durations);
  }
  WriteInFlight(sums, text);
  WriteReasons(text);
}

void CallMetrics::WriteInFlight(absl::Span<const Sums> sums,
                                MetricsText& text) const {
  text.Family("nfmeter_calls_in_flight", Type::kGauge,
              "Calls and streams under way.");
  for (size_t i = 0; i < series_.size(); ++i) {
    uint64_t ended = 0;
    for (const uint64_t count : sums[i].ended) ended += count;
    text.Add({{"grpc_service", series_[i]->service},
              {"grpc_method", series_[i]->method}},
             sums[i].started - std::min(ended, sums[i].started));
  }
}

void CallMetrics::WriteReasons(MetricsText& text) const {
  text.Family("nfmeter_call_failures_total", Type::kCounter,
              "Calls that failed, by the reason in their error, see "
              "docs/errors.md.");
  absl::MutexLock lock(&mutex_);
  for (const auto& [reason, count] : reasons_) {
    text.Add({{"reason", reason}}, count);
  }
}

}  // namespace nfmeter::telemetry
