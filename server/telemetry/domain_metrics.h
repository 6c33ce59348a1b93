// SPDX-License-Identifier: GPL-3.0-or-later
// How the inside of the server is doing.
#ifndef NFMETER_TELEMETRY_DOMAIN_METRICS_H_
#define NFMETER_TELEMETRY_DOMAIN_METRICS_H_

#include <utility>
#include <vector>

#include "accounting/common/lane.h"
#include "accounting/flows/flow_hub.h"
#include "accounting/ledger/ledger.h"
#include "accounting/plans/plans.h"
#include "accounting/quotas/quota_hub.h"
#include "accounting/snapshots/snapshot_hub.h"
#include "telemetry/metric_source.h"

namespace nfmeter::telemetry {

// Jobs that wait, and how long they wait and run. Does not own the lanes.
class LaneMetrics final : public MetricSource {
 public:
  explicit LaneMetrics(std::vector<const accounting::Lane*> lanes)
      : lanes_(std::move(lanes)) {}
  void WriteMetrics(MetricsText& text) const override;

 private:
  const std::vector<const accounting::Lane*> lanes_;
};

// Readings of all counters, and how many subscribe to them. Does not own the
// hub.
class SnapshotMetrics final : public MetricSource {
 public:
  explicit SnapshotMetrics(const accounting::SnapshotHub& hub) : hub_(hub) {}
  void WriteMetrics(MetricsText& text) const override;

 private:
  const accounting::SnapshotHub& hub_;
};

// Events of quotas. Does not own the hub.
class QuotaMetrics final : public MetricSource {
 public:
  explicit QuotaMetrics(const accounting::QuotaHub& hub) : hub_(hub) {}
  void WriteMetrics(MetricsText& text) const override;

 private:
  const accounting::QuotaHub& hub_;
};

// Readings of flows, and what watches miss. Does not own the hub.
class FlowMetrics final : public MetricSource {
 public:
  explicit FlowMetrics(const accounting::FlowHub& hub) : hub_(hub) {}
  void WriteMetrics(MetricsText& text) const override;

 private:
  const accounting::FlowHub& hub_;
};

// The state of the ledger of usage. Does not own it.
class LedgerMetrics final : public MetricSource {
 public:
  explicit LedgerMetrics(const accounting::Ledger& ledger) : ledger_(ledger) {}
  void WriteMetrics(MetricsText& text) const override;

 private:
  const accounting::Ledger& ledger_;
};

// Whether plans are in force, and what others did to them. Does not own them.
class PlanMetrics final : public MetricSource {
 public:
  explicit PlanMetrics(const accounting::Plans& plans) : plans_(plans) {}
  void WriteMetrics(MetricsText& text) const override;

 private:
  const accounting::Plans& plans_;
};

}  // namespace nfmeter::telemetry

#endif  // NFMETER_TELEMETRY_DOMAIN_METRICS_H_
