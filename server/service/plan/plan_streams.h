// SPDX-License-Identifier: GPL-3.0-or-later
// PlanService.WatchPlanStatus, as a raw callback stream.
#ifndef NFMETER_SERVICE_PLAN_PLAN_STREAMS_H_
#define NFMETER_SERVICE_PLAN_PLAN_STREAMS_H_

#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "accounting/plans/plans.h"
#include "nfmeter/v1/plan.pb.h"
#include "security/access/authorizer.h"
#include "service/gate/call.h"
#include "service/gate/stream_set.h"
#include "service/gate/work_threads.h"

namespace nfmeter::service {

class PlanStream;

// All streams of plans' statuses. Thread-safe. Must be destroyed after the gRPC
// server, and before the plans. Does not own what it is given.
class PlanStreams {
 public:
  PlanStreams(accounting::Plans& plans, StreamSet& streams);
  ~PlanStreams();

  absl::Status Watch(const Call& call,
                     const v1::WatchPlanStatusRequest& request);

 private:
  void Tell(const accounting::PlanStatus& status);

  accounting::Plans& plans_;
  WorkThreads threads_;
  StreamSet& streams_;
  absl::Mutex mutex_;
  std::vector<std::weak_ptr<PlanStream>> watching_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace nfmeter::service

#endif  // NFMETER_SERVICE_PLAN_PLAN_STREAMS_H_
