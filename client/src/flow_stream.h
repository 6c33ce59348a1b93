// SPDX-License-Identifier: Apache-2.0
// What is behind a FlowWatch.
#ifndef NFMETER_CLIENT_SRC_FLOW_STREAM_H_
#define NFMETER_CLIENT_SRC_FLOW_STREAM_H_

#include <cstdint>
#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/src/connection.h"
#include "client/src/resuming_stream.h"
#include "nfmeter/v1/flow.pb.h"
#include "nfmeter/watch.h"

namespace nfmeter::client_internal {

// Not thread-safe but for Cancel().
class FlowStream {
 public:
  FlowStream(std::shared_ptr<Connection> connection,
             const v1::WatchFlowsRequest& request, const WatchOptions& options);

  absl::StatusOr<FlowFrame> Next();
  void Cancel() { stream_.Cancel(); }

 private:
  const v1::WatchFlowsRequest request_;
  ResumingStream<v1::WatchFlowsResponse> stream_;
  absl::Status final_;               // not OK: what Next() returns from now on
  std::optional<uint64_t> streams_;  // opened after the first
};

}  // namespace nfmeter::client_internal

#endif  // NFMETER_CLIENT_SRC_FLOW_STREAM_H_
