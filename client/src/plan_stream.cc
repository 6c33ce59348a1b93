// SPDX-License-Identifier: Apache-2.0
#include "client/src/plan_stream.h"

#include <utility>

namespace nfmeter::client_internal {

PlanStream::PlanStream(std::shared_ptr<Connection> connection,
                       const v1::WatchPlanStatusRequest& request,
                       const WatchOptions& options)
    : request_(request),
      stream_(connection, options, absl::InfiniteDuration(),
              [this, connection](grpc::ClientContext* context,
                                 grpc::CompletionQueue* queue, void* tag) {
                return connection->plans()->AsyncWatchPlanStatus(
                    context, request_, queue, tag);
              }),
      final_(CheckText(request)) {}

absl::StatusOr<v1::PlanStatus> PlanStream::Next() {
  if (!final_.ok()) return final_;
  v1::WatchPlanStatusResponse response;
  const absl::StatusOr<bool> read = stream_.Read(&response);
  if (!read.ok()) {
    final_ = read.status();
    return final_;
  }
  return std::move(*response.mutable_status());
}

}  // namespace nfmeter::client_internal
