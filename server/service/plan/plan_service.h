// SPDX-License-Identifier: GPL-3.0-or-later
// The gRPC PlanService.
#ifndef NFMETER_SERVICE_PLAN_PLAN_SERVICE_H_
#define NFMETER_SERVICE_PLAN_PLAN_SERVICE_H_

#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "accounting/counters/counters.h"
#include "accounting/plans/plans.h"
#include "accounting/rules/rules.h"
#include "nfmeter/v1/plan.grpc.pb.h"
#include "service/gate/gated_service.h"
#include "service/gate/limits.h"
#include "service/gate/request_cache.h"
#include "service/gate/stream_set.h"
#include "service/gate/work_threads.h"

namespace nfmeter::service {

class PlanStream;

// Thread-safe. Must be destroyed after the gRPC server, and before the plans.
// Does not own what it is given.
class PlanService final : public GatedService<v1::PlanService> {
 public:
  struct Parts {
    accounting::Plans& plans;
    accounting::Counters& counters;  // to export
    accounting::Rules& rules;        // likewise
    RequestCache& requests;
    StreamSet& streams;
  };
  PlanService(Gate& gate, const Parts& parts, const Limits& limits);
  ~PlanService() override;

 private:
  absl::Status ApplyPlan(const Call& call, const v1::ApplyPlanRequest& request,
                         v1::ApplyPlanResponse* response);
  absl::Status GetPlan(const Call& call, const v1::GetPlanRequest& request,
                       v1::GetPlanResponse* response);
  absl::Status ListPlans(const Call& call, const v1::ListPlansRequest& request,
                         v1::ListPlansResponse* response);
  absl::Status DeletePlan(const Call& call,
                          const v1::DeletePlanRequest& request,
                          v1::DeletePlanResponse* response);
  absl::Status ExportPlan(const Call& call,
                          const v1::ExportPlanRequest& request,
                          v1::ExportPlanResponse* response);
  absl::Status GetPlanStatus(const Call& call,
                             const v1::GetPlanStatusRequest& request,
                             v1::GetPlanStatusResponse* response);
  absl::Status WatchPlanStatus(const Call& call,
                               const v1::WatchPlanStatusRequest& request);

  void Tell(const accounting::PlanStatus& status);

  const Parts parts_;
  const Limits limits_;
  WorkThreads threads_;  // that send statuses
  absl::Mutex mutex_;
  std::vector<std::weak_ptr<PlanStream>> watching_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace nfmeter::service

#endif  // NFMETER_SERVICE_PLAN_PLAN_SERVICE_H_
