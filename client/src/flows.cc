// SPDX-License-Identifier: Apache-2.0
// Client's methods of flows but WatchFlows(), see watch.cc.
#include <utility>

#include "absl/status/status.h"
#include "client/src/connection.h"
#include "client/src/status_macros.h"
#include "nfmeter/client.h"

namespace nfmeter {

using client_internal::CheckText;

absl::StatusOr<v1::SummarizeFlowsResponse> Client::SummarizeFlows(
    const v1::SummarizeFlowsRequest& request, const CallOptions& options) {
  return connection_->Unary(connection_->flows(),
                            &v1::FlowService::Stub::SummarizeFlows, request,
                            options);
}

absl::StatusOr<v1::ListFlowsResponse> Client::ListFlows(
    const v1::ListFlowsRequest& request, const CallOptions& options) {
  NFM_RETURN_IF_ERROR(CheckText(request));
  const auto stub = connection_->flows();
  v1::ListFlowsResponse all;
  const absl::Status status =
      connection_->Call(options, [&](grpc::ClientContext* context) {
        all.Clear();
        const auto reader = stub->ListFlows(context, request);
        v1::ListFlowsResponse chunk;
        while (reader->Read(&chunk)) {
          for (v1::Flow& flow : *chunk.mutable_flows()) {
            *all.add_flows() = std::move(flow);
          }
          if (chunk.has_reading())
            chunk.mutable_reading()->Swap(all.mutable_reading());
        }
        return reader->Finish();
      });
  if (!status.ok()) return status;
  if (!all.has_reading()) {
    return absl::DataLossError("the list of flows ended early");
  }
  return all;
}

}  // namespace nfmeter
