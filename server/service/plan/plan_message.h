// SPDX-License-Identifier: GPL-3.0-or-later
// The domain's plans -> PlanService's messages.
#ifndef NFMETER_SERVICE_PLAN_PLAN_MESSAGE_H_
#define NFMETER_SERVICE_PLAN_PLAN_MESSAGE_H_

#include "accounting/plans/plans.h"
#include "nfmeter/v1/plan.pb.h"

namespace nfmeter::service {

// Name, table and what the server adds; no accounts, groups and classes.
void ToProto(const accounting::PlanInfo& info, v1::Plan* proto);

void ToProto(const accounting::PlanInfo& info, v1::PlanCost* proto);

void ToProto(const accounting::PlanChange& change, v1::PlanChange* proto);

void ToProto(const accounting::PlanStatus& status, v1::PlanStatus* proto);

}  // namespace nfmeter::service

#endif  // NFMETER_SERVICE_PLAN_PLAN_MESSAGE_H_
