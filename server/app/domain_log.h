// SPDX-License-Identifier: GPL-3.0-or-later
// What a domain has to say: lines of the log about what happens without a call,
// and notices of GetNode.
#ifndef NFMETER_APP_DOMAIN_LOG_H_
#define NFMETER_APP_DOMAIN_LOG_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "accounting/counters/label_store.h"
#include "accounting/ledger/ledger.h"
#include "accounting/plans/plans.h"

namespace nfmeter::app {

// The ledger's file can't be written, or can again.
void LogWritable(const absl::Status& status);

// Labels went whose counters other programs have deleted, or could not go.
void LogPruning(const absl::StatusOr<size_t>& counters);

// At a start: changes of quotas that the server before was in the middle of.
void LogQuotaChanges(const absl::StatusOr<size_t>& finished);

// At a start: counters that the kernel had lost.
void LogRestored(const absl::StatusOr<std::vector<std::string>>& counters);

// One line for each change of a plan; how far an application is, its caller
// sees.
void LogPlan(const accounting::PlanStatus& status);

void LogRepair(const accounting::PlanRepair& repair);

std::vector<std::string> LedgerNotices(const accounting::LedgerStatus& ledger);

// `max_bytes` is limits.max_label_bytes. Empty: all labels are within it.
std::string LabelsNotice(const accounting::LabelStore::Use& use,
                         size_t max_bytes);

}  // namespace nfmeter::app

#endif  // NFMETER_APP_DOMAIN_LOG_H_
