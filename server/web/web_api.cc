// SPDX-License-Identifier: GPL-3.0-or-later
#include "web/web_api.h"

#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "proto/words/name_glob.h"
#include "security/access/in_process.h"

namespace nfmeter::web {
namespace {

using telemetry::HttpAnswer;
using telemetry::HttpRequest;

constexpr char kJson[] = "application/json";
constexpr std::chrono::seconds kPatience(5);
// A reading for somebody else that is not older is new enough to look at.
constexpr int kMaxStalenessSeconds = 1;
constexpr int kLongestHours = 24 * 366;
// The longest time whose buckets of five minutes, or of an hour, fit a screen.
constexpr int kFineHours = 48;
constexpr int kHourlyHours = 24 * 31;

struct CodeOf {
  grpc::StatusCode code;
  const char* name;
  unsigned http;
};

constexpr CodeOf kCodes[] = {
    {grpc::StatusCode::INVALID_ARGUMENT, "INVALID_ARGUMENT", 400},
    {grpc::StatusCode::NOT_FOUND, "NOT_FOUND", 404},
    {grpc::StatusCode::PERMISSION_DENIED, "PERMISSION_DENIED", 403},
    {grpc::StatusCode::UNAUTHENTICATED, "UNAUTHENTICATED", 403},
    {grpc::StatusCode::RESOURCE_EXHAUSTED, "RESOURCE_EXHAUSTED", 429},
    {grpc::StatusCode::FAILED_PRECONDITION, "FAILED_PRECONDITION", 409},
    {grpc::StatusCode::UNIMPLEMENTED, "UNIMPLEMENTED", 501},
};

// A string of JSON. Names may have any bytes; what is not ASCII is already
// escaped by the API.
void AppendString(absl::string_view text, std::string& json) {
  json.push_back('"');
  for (const char c : text) {
    if (c == '"' || c == '\\') json.push_back('\\');
    if (static_cast<unsigned char>(c) < 0x20) {
      absl::StrAppendFormat(&json, "\\u%04x", static_cast<int>(c));
    } else {
      json.push_back(c);
    }
  }
  json.push_back('"');
}

HttpAnswer Failure(const grpc::Status& status) {
  CodeOf found{status.error_code(), "UNAVAILABLE", 503};
  for (const CodeOf& each : kCodes) {
    if (each.code == status.error_code()) found = each;
  }
  std::string json =
      absl::StrCat("{\"code\":\"", found.name, "\",\"message\":");
  AppendString(status.error_message(), json);
  json.push_back('}');
  return {.code = found.http, .type = kJson, .body = std::move(json)};
}

HttpAnswer Json(const google::protobuf::Message& message) {
  std::string json;
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  options.always_print_primitive_fields = true;
  const auto printed =
      google::protobuf::util::MessageToJsonString(message, &json, options);
  if (!printed.ok()) {
    return Failure(
        {grpc::StatusCode::UNAVAILABLE, "the answer can't be said in JSON"});
  }
  return {.type = kJson, .body = std::move(json)};
}

// When something may have been missing in the totals for the last time, in
// seconds since 1970; 0: nothing can be missing.
int64_t SureSince(const v1::Counter& counter) {
  const auto& start = counter.start_time();
  const auto& made = counter.create_time();
  const bool sure =
      start.seconds() == made.seconds() && start.nanos() == made.nanos();
  return sure ? 0 : start.seconds();
}

// [name, packets, bytes, total packets, total bytes, sure since, quota, its
// unit, over it, labels]: short, as 10,000 of them come each second or two.
void AppendCounter(const v1::Counter& counter, std::string& json) {
  json.push_back('[');
  AppendString(counter.name(), json);
  const v1::Quota& quota = counter.quota();
  absl::StrAppend(&json, ",", counter.packets(), ",", counter.bytes(), ",",
                  counter.total_packets(), ",", counter.total_bytes(), ",",
                  SureSince(counter), ",",
                  !counter.has_quota()  ? 0
                  : quota.has_packets() ? quota.packets()
                                        : quota.bytes(),
                  ",",
                  !counter.has_quota()  ? "\"\""
                  : quota.has_packets() ? "\"packets\""
                                        : "\"bytes\"",
                  ",", quota.exceeded() ? "true" : "false", ",{");
  bool first = true;
  for (const auto& [key, value] : counter.labels()) {
    if (!std::exchange(first, false)) json.push_back(',');
    AppendString(key, json);
    json.push_back(':');
    AppendString(value, json);
  }
  json.append("}]");
}

int HoursIn(const HttpRequest& request) {
  int hours = 24;
  if (!absl::SimpleAtoi(request.Query("hours").value_or("24"), &hours)) {
    hours = 24;
  }
  return std::clamp(hours, 1, kLongestHours);
}

void Prepare(const WebApi::Request& request, grpc::ClientContext& context) {
  context.AddMetadata(security::kInProcessKey, security::InProcessToken());
  if (!request.principal.empty()) {
    context.AddMetadata(security::kInProcessPrincipalKey, request.principal);
  }
  context.set_deadline(std::chrono::system_clock::now() + kPatience);
}

template <typename Request>
void SetTimeAndFilter(const HttpRequest& request, Request& message) {
  message.mutable_filter()->set_name_glob(
      GlobOfName(request.Query("counter").value_or("")));
  message.mutable_start_time()->set_seconds(
      absl::ToUnixSeconds(absl::Now() - absl::Hours(HoursIn(request))));
}

}  // namespace

WebApi::WebApi(const std::shared_ptr<grpc::Channel>& channel)
    : node_(v1::NodeService::NewStub(channel)),
      snapshots_(v1::SnapshotService::NewStub(channel)),
      usage_(v1::UsageService::NewStub(channel)),
      plans_(v1::PlanService::NewStub(channel)) {}

HttpAnswer WebApi::Answer(absl::string_view name,
                          const Request& request) const {
  if (name == "node") return Node(request);
  if (name == "snapshot") return Snapshot(request);
  if (name == "usage") return Usage(request);
  if (name == "gaps") return Gaps(request);
  if (name == "plans") return Plans(request);
  return Failure(
      {grpc::StatusCode::NOT_FOUND, "there is nothing of this name"});
}

HttpAnswer WebApi::Node(const Request& asked) const {
  grpc::ClientContext context;
  Prepare(asked, context);
  v1::GetNodeResponse response;
  const grpc::Status status = node_->GetNode(&context, {}, &response);
  return status.ok() ? Json(response.node()) : Failure(status);
}

HttpAnswer WebApi::Snapshot(const Request& asked) const {
  grpc::ClientContext context;
  Prepare(asked, context);
  v1::GetSnapshotRequest request;
  request.set_view(v1::SNAPSHOT_VIEW_ROWS);
  request.mutable_max_staleness()->set_seconds(kMaxStalenessSeconds);
  const auto reader = snapshots_->GetSnapshot(&context, request);
  std::string counters;
  v1::GetSnapshotResponse response;
  v1::SnapshotFrame last;
  while (reader->Read(&response)) {
    if (response.frame().restarted()) counters.clear();
    for (const v1::Counter& counter : response.frame().counters()) {
      if (!counters.empty()) counters.push_back(',');
      AppendCounter(counter, counters);
    }
    response.mutable_frame()->clear_counters();
    last = std::move(*response.mutable_frame());
  }
  if (const grpc::Status status = reader->Finish(); !status.ok()) {
    return Failure(status);
  }
  const double boottime = static_cast<double>(last.boottime().seconds()) +
                          last.boottime().nanos() / 1e9;
  return {
      .type = kJson,
      .body = absl::StrCat("{\"epoch\":\"", last.epoch(),
                           "\",\"sequence\":", last.sequence(),
                           ",\"time\":", last.wall_time().seconds(),
                           absl::StrFormat(",\"boottime\":%.3f", boottime),
                           ",\"complete\":", last.complete() ? "true" : "false",
                           ",\"counters\":[", counters, "]}")};
}

HttpAnswer WebApi::Usage(const Request& asked) const {
  grpc::ClientContext context;
  Prepare(asked, context);
  v1::ListUsageRequest request;
  SetTimeAndFilter(asked.http, request);
  const int hours = HoursIn(asked.http);
  request.set_bucket(hours <= kFineHours     ? v1::USAGE_BUCKET_FIVE_MINUTES
                     : hours <= kHourlyHours ? v1::USAGE_BUCKET_HOUR
                                             : v1::USAGE_BUCKET_DAY);
  v1::ListUsageResponse response;
  const grpc::Status status = usage_->ListUsage(&context, request, &response);
  return status.ok() ? Json(response) : Failure(status);
}

HttpAnswer WebApi::Gaps(const Request& asked) const {
  grpc::ClientContext context;
  Prepare(asked, context);
  v1::ListGapsRequest request;
  SetTimeAndFilter(asked.http, request);
  v1::ListGapsResponse response;
  const grpc::Status status = usage_->ListGaps(&context, request, &response);
  return status.ok() ? Json(response) : Failure(status);
}

HttpAnswer WebApi::Plans(const Request& asked) const {
  v1::ListPlansResponse listed;
  {
    grpc::ClientContext context;
    Prepare(asked, context);
    const grpc::Status status = plans_->ListPlans(&context, {}, &listed);
    if (!status.ok()) return Failure(status);
  }
  std::string json = "{\"plans\":[";
  for (int i = 0; i < listed.plans_size(); ++i) {
    grpc::ClientContext context;
    Prepare(asked, context);
    v1::GetPlanStatusRequest request;
    request.set_name(listed.plans(i).name());
    v1::GetPlanStatusResponse response;
    const grpc::Status status =
        plans_->GetPlanStatus(&context, request, &response);
    // Deleted meanwhile.
    if (status.error_code() == grpc::StatusCode::NOT_FOUND) continue;
    if (!status.ok()) return Failure(status);
    absl::StrAppend(&json, json.back() == '[' ? "" : ",",
                    Json(response.status()).body);
  }
  return {.type = kJson, .body = absl::StrCat(json, "]}")};
}

}  // namespace nfmeter::web
