// SPDX-License-Identifier: Apache-2.0
#include "client/src/flow_stream.h"

#include <utility>

namespace nfmeter::client_internal {

FlowStream::FlowStream(std::shared_ptr<Connection> connection,
                       const v1::WatchFlowsRequest& request,
                       const WatchOptions& options)
    : request_(request),
      stream_(connection, options, absl::InfiniteDuration(),
              [this, connection](grpc::ClientContext* context,
                                 grpc::CompletionQueue* queue, void* tag) {
                return connection->flows()->AsyncWatchFlows(context, request_,
                                                            queue, tag);
              }),
      final_(CheckText(request)) {}

absl::StatusOr<FlowFrame> FlowStream::Next() {
  if (!final_.ok()) return final_;
  FlowFrame frame;
  const absl::StatusOr<bool> is_new_stream = stream_.Read(&frame.frame);
  if (!is_new_stream.ok()) {
    final_ = is_new_stream.status();
    return final_;
  }
  if (*is_new_stream) streams_ = streams_.has_value() ? *streams_ + 1 : 0;
  frame.reconnects = *streams_;
  frame.gap = *is_new_stream && frame.reconnects > 0;
  return frame;
}

}  // namespace nfmeter::client_internal
