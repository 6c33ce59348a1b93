// SPDX-License-Identifier: GPL-3.0-or-later
// What exists outside plans, as a plan.
#ifndef NFMETER_SERVICE_PLAN_EXPORT_PLAN_H_
#define NFMETER_SERVICE_PLAN_EXPORT_PLAN_H_

#include <map>
#include <string>

#include "absl/types/span.h"
#include "accounting/counters/counters.h"
#include "kernel/rule_types.h"
#include "nfmeter/v1/plan.pb.h"

namespace nfmeter::service {

// Accounts that would count what the rules outside of plans count now, for a
// plan of the response's name that can be applied. `left_out` has a sentence
// for each thing that no plan can express, and for the counters of other plans:
// `plans` has the plan of each such counter.
void ExportPlan(absl::Span<const accounting::Counter> counters,
                absl::Span<const kernel::Rule> rules,
                const std::map<std::string, std::string>& plans,
                v1::ExportPlanResponse* response);

}  // namespace nfmeter::service

#endif  // NFMETER_SERVICE_PLAN_EXPORT_PLAN_H_
