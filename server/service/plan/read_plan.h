// SPDX-License-Identifier: GPL-3.0-or-later
// PlanService's messages -> the domain's plans.
#ifndef NFMETER_SERVICE_PLAN_READ_PLAN_H_
#define NFMETER_SERVICE_PLAN_READ_PLAN_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "accounting/plans/plan.h"
#include "nfmeter/v1/plan.pb.h"
#include "service/gate/field_errors.h"

namespace nfmeter::service {

// Reads what shows without the other accounts; `field` is the path of `plan`.
accounting::Plan ReadPlan(const v1::Plan& plan, const std::string& field,
                          FieldErrors& errors);

// Up to 40 of [a-z0-9-].
void CheckPlanName(const std::string& name, const std::string& field,
                   FieldErrors& errors);

// Such a name, or accounting::kOutsidePlans.
void CheckStatusName(const std::string& name, const std::string& field,
                     FieldErrors& errors);

// A plan as the store keeps it: the message without what the server adds, the
// same bytes for the same plan.
std::string PlanSource(const v1::Plan& plan);
// The reverse. DATA_LOSS: the bytes are none.
absl::StatusOr<v1::Plan> ParsePlanSource(absl::string_view source);
// The same in the domain's form. Also what ReadPlan() finds wrong.
absl::StatusOr<accounting::Plan> ReadPlanSource(absl::string_view source);

}  // namespace nfmeter::service

#endif  // NFMETER_SERVICE_PLAN_READ_PLAN_H_
