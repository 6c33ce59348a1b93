// How the inside of the server is doing.
#ifndef NFMETER_TELEMETRY_DOMAIN_METRICS_H_
#define NFMETER_TELEMETRY_DOMAIN_METRICS_H_

#include "absl/types/span.h"
#include "accounting/common/lane.h"
#include "accounting/quotas/quota_hub.h"
#include "accounting/snapshots/snapshot_hub.h"
#include "telemetry/metrics_text.h"

namespace nfmeter::telemetry {

// Jobs that wait, and how long they wait and run.
void WriteLaneMetrics(absl::Span<const accounting::Lane* const> lanes,
                      MetricsText& text);

// Readings of all counters, and who has them by a clock.
void WriteSnapshotMetrics(const accounting::SnapshotHub& hub,
                          MetricsText& text);

void WriteQuotaMetrics(const accounting::QuotaHub& hub, MetricsText& text);

}  // namespace nfmeter::telemetry

#endif  // NFMETER_TELEMETRY_DOMAIN_METRICS_H_
