// SPDX-License-Identifier: Apache-2.0
// What is behind a PlanWatch.
#ifndef NFMETER_CLIENT_SRC_PLAN_STREAM_H_
#define NFMETER_CLIENT_SRC_PLAN_STREAM_H_

#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/src/connection.h"
#include "client/src/resuming_stream.h"
#include "nfmeter/v1/plan.pb.h"
#include "nfmeter/watch.h"

namespace nfmeter::client_internal {

// Not thread-safe but for Cancel().
class PlanStream {
 public:
  PlanStream(std::shared_ptr<Connection> connection,
             const v1::WatchPlanStatusRequest& request,
             const WatchOptions& options);

  absl::StatusOr<v1::PlanStatus> Next();
  void Cancel() { stream_.Cancel(); }

 private:
  const v1::WatchPlanStatusRequest request_;
  ResumingStream<v1::WatchPlanStatusResponse> stream_;
  absl::Status final_;  // not OK: what Next() returns from now on
};

}  // namespace nfmeter::client_internal

#endif  // NFMETER_CLIENT_SRC_PLAN_STREAM_H_
