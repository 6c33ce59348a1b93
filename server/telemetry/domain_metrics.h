// SPDX-License-Identifier: GPL-3.0-or-later
// How the inside of the server is doing.
#ifndef NFMETER_TELEMETRY_DOMAIN_METRICS_H_
#define NFMETER_TELEMETRY_DOMAIN_METRICS_H_

#include "absl/types/span.h"
#include "accounting/common/lane.h"
#include "accounting/flows/flow_hub.h"
#include "accounting/ledger/ledger.h"
#include "accounting/plans/plans.h"
#include "accounting/quotas/quota_hub.h"
#include "accounting/snapshots/snapshot_hub.h"
#include "telemetry/metrics_text.h"

namespace nfmeter::telemetry {

// Jobs that wait, and how long they wait and run.
void WriteLaneMetrics(absl::Span<const accounting::Lane* const> lanes,
                      MetricsText& text);

// Readings of all counters, and how many subscribe to them.
void WriteSnapshotMetrics(const accounting::SnapshotHub& hub,
                          MetricsText& text);

// Events of quotas.
void WriteQuotaMetrics(const accounting::QuotaHub& hub, MetricsText& text);

// Readings of flows, and what watches miss.
void WriteFlowMetrics(const accounting::FlowHub& hub, MetricsText& text);

// The state of the ledger of usage.
void WriteLedgerMetrics(const accounting::Ledger& ledger, MetricsText& text);

// Whether plans are in force, and what others did to them.
void WritePlanMetrics(const accounting::Plans& plans, MetricsText& text);

}  // namespace nfmeter::telemetry

#endif  // NFMETER_TELEMETRY_DOMAIN_METRICS_H_
