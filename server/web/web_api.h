// SPDX-License-Identifier: GPL-3.0-or-later
// What the page reads: answers of the API as JSON.
#ifndef NFMETER_WEB_WEB_API_H_
#define NFMETER_WEB_WEB_API_H_

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "nfmeter/v1/counter.grpc.pb.h"
#include "nfmeter/v1/node.grpc.pb.h"
#include "nfmeter/v1/plan.grpc.pb.h"
#include "nfmeter/v1/snapshot.grpc.pb.h"
#include "nfmeter/v1/usage.grpc.pb.h"
#include "telemetry/http_server.h"

namespace nfmeter::web {

// Calls the services of this very process, so that roles, limits and the audit
// are those of everybody. Reads only. Thread-safe.
//
//   node                        v1.Node
//   snapshot                    all counters, short: see Snapshot()
//   usage?counter=&hours=       v1.ListUsageResponse, in buckets that fit
//   gaps?counter=&hours=        v1.ListGapsResponse
//   plans                       {"plans": [v1.PlanStatus]}
//
// An error is {"code": "PERMISSION_DENIED", "message": ...} under a status of
// HTTP that fits.
class WebApi {
 public:
  // A request, and for whom calls are made: security::EncodePrincipal(), or
  // empty for security::kWebPage.
  struct Request {
    const telemetry::HttpRequest& http;
    std::string principal;
  };

  // `channel` leads to this process.
  explicit WebApi(const std::shared_ptr<grpc::Channel>& channel);

  // `name`: what stands behind "/api/".
  telemetry::HttpAnswer Answer(absl::string_view name,
                               const Request& request) const;

 private:
  telemetry::HttpAnswer Node(const Request& request) const;
  telemetry::HttpAnswer Snapshot(const Request& request) const;
  telemetry::HttpAnswer Usage(const Request& request) const;
  telemetry::HttpAnswer Gaps(const Request& request) const;
  telemetry::HttpAnswer Plans(const Request& request) const;

  const std::unique_ptr<v1::NodeService::Stub> node_;
  const std::unique_ptr<v1::SnapshotService::Stub> snapshots_;
  const std::unique_ptr<v1::UsageService::Stub> usage_;
  const std::unique_ptr<v1::PlanService::Stub> plans_;
};

}  // namespace nfmeter::web

#endif  // NFMETER_WEB_WEB_API_H_
