// SPDX-License-Identifier: GPL-3.0-or-later
#include "telemetry/domain_metrics.h"

namespace nfmeter::telemetry {
namespace {

using Type = MetricsText::Type;

}  // namespace

void WriteLaneMetrics(absl::Span<const accounting::Lane* const> lanes,
                      MetricsText& text) {
  text.Family("nfmeter_lane_queue_jobs", Type::kGauge, "Jobs that wait.");
  for (const auto* lane : lanes) {
    text.Add({{"lane", lane->name()}}, lane->waiting());
  }
  text.Family("nfmeter_lane_queue_limit_jobs", Type::kGauge,
              "The most jobs that may wait; more are refused with LANE_FULL.");
  for (const auto* lane : lanes) {
    text.Add({{"lane", lane->name()}}, lane->capacity());
  }
  text.Family("nfmeter_lane_wait_seconds", Type::kHistogram,
              "Time that jobs waited for their turn.");
  for (const auto* lane : lanes) {
    text.Add({{"lane", lane->name()}}, lane->wait_times().Read());
  }
  text.Family("nfmeter_lane_run_seconds", Type::kHistogram,
              "Time that jobs ran; its sum says how busy the lane is.");
  for (const auto* lane : lanes) {
    text.Add({{"lane", lane->name()}}, lane->run_times().Read());
  }
}

void WriteSnapshotMetrics(const accounting::SnapshotHub& hub,
                          MetricsText& text) {
  const accounting::SnapshotStats& stats = hub.stats();
  text.Family("nfmeter_snapshots_total", Type::kCounter,
              "Readings of all counters, by how they ended; an incomplete one "
              "may lack counters, as others deleted some meanwhile.");
  text.Add({{"result", "complete"}}, stats.complete.load());
  text.Add({{"result", "incomplete"}}, stats.incomplete.load());
  text.Add({{"result", "failed"}}, stats.failed.load());
  text.Counter("nfmeter_snapshot_repeated_passes_total",
               "Passes over the counters that had to be made again, to be sure "
               "that none was missing.",
               stats.repeated_passes.load());
  text.Histogram("nfmeter_snapshot_duration_seconds",
                 "Time of a reading of all counters.", stats.durations);
  text.Gauge("nfmeter_snapshot_intervals_subscribed",
             "Different intervals at which snapshots are taken for streams.",
             hub.subscriber_count());
  if (const auto latest = hub.Latest()) {
    text.Gauge("nfmeter_snapshot_timestamp_seconds",
               "When the newest snapshot was begun, since the Unix epoch.",
               absl::ToDoubleSeconds(latest->wall_time - absl::UnixEpoch()));
  }
}

void WriteQuotaMetrics(const accounting::QuotaHub& hub, MetricsText& text) {
  const accounting::QuotaStats& stats = hub.stats();
  text.Family(
      "nfmeter_quota_events_total", Type::kCounter,
      "Quotas that were crossed: told by the kernel (crossed), or found "
      "by reading as the kernel had dropped its event (recovered).");
  text.Add({{"kind", "crossed"}}, stats.crossed.load());
  text.Add({{"kind", "recovered"}}, stats.recovered.load());
  text.Counter("nfmeter_quota_thresholds_total",
               "Thresholds of quotas that were reached, see quota.thresholds "
               "of plans.",
               stats.thresholds.load());
  text.Counter("nfmeter_quota_event_losses_total",
               "Times that the kernel dropped quota events; the counters were "
               "read for them.",
               stats.losses.load());
  text.Counter("nfmeter_quota_events_missed_total",
               "Quota events that slow streams did not get.",
               stats.missed.load());
}

void WriteFlowMetrics(const accounting::FlowHub& hub, MetricsText& text) {
  const accounting::FlowStats& stats = hub.stats();
  text.Family("nfmeter_flow_dumps_total", Type::kCounter,
              "Readings of all flows, by how they ended; an incomplete one "
              "lacks flows or has some twice, as the kernel's table was "
              "resized.");
  text.Add({{"result", "complete"}}, stats.complete.load());
  text.Add({{"result", "incomplete"}}, stats.incomplete.load());
  text.Add({{"result", "failed"}}, stats.failed.load());
  text.Histogram("nfmeter_flow_dump_duration_seconds",
                 "Time of a reading of all flows.", stats.durations);
  text.Counter("nfmeter_flows_read_total", "Flows that readings brought.",
               stats.flows_read.load());
  text.Gauge("nfmeter_flow_watches", "Streams that watch flows.",
             hub.watch_count());
  text.Gauge("nfmeter_flows_watched", "Flows that are followed for them.",
             stats.watched_flows.load());
  text.Counter("nfmeter_flow_ends_total",
               "Ends of watched flows that the kernel told of.",
               stats.ends_read.load());
  text.Counter("nfmeter_flow_ends_lost_total",
               "Ends that the kernel had no room to tell of; sums of watches "
               "lack what these flows carried last.",
               stats.ends_lost.load());
  text.Counter("nfmeter_flows_vanished_total",
               "Watched flows that have gone without a word. Likewise.",
               stats.vanished.load());
  text.Counter("nfmeter_flow_lists_too_slow_total",
               "Lists of flows that were ended because they were read too "
               "slowly.",
               stats.slow_lists.load());
}

void WriteLedgerMetrics(const accounting::Ledger& ledger, MetricsText& text) {
  const accounting::LedgerStatus status = ledger.status();
  text.Gauge("nfmeter_ledger_kept",
             "Whether totals are kept on the disk, not only in memory.",
             status.kept);
  text.Counter("nfmeter_usage_gaps_total",
               "Gaps found in what counters counted.", status.gaps);
  if (!status.kept) return;
  text.Gauge("nfmeter_ledger_writable",
             "Whether the last record of usage could be written.",
             status.writable.ok());
  text.Counter("nfmeter_ledger_records_total", "Records of usage written.",
               status.records_written);
  text.Counter("nfmeter_ledger_failures_total",
               "Times that a record could not be written.", status.failures);
  text.Gauge("nfmeter_ledger_record_bytes",
             "Bytes of all records that are kept.", status.record_bytes);
}

void WritePlanMetrics(const accounting::Plans& plans, MetricsText& text) {
  using State = accounting::PlanStatus::State;
  const std::vector<accounting::PlanStatus> statuses = plans.Statuses();
  if (statuses.empty()) return;
  text.Family("nfmeter_plan_in_force", Type::kGauge,
              "Whether the kernel is as the plan wants it; 0: it could not be "
              "made so, or another program undoes each repair.");
  for (const accounting::PlanStatus& plan : statuses) {
    text.Add({{"plan", plan.name}},
             plan.state == State::kInSync || plan.state == State::kApplying);
  }
  text.Family("nfmeter_plan_repairs_total", Type::kCounter,
              "Times that rules of the plan were put back that others had "
              "removed, changed or moved.");
  for (const accounting::PlanStatus& plan : statuses) {
    text.Add({{"plan", plan.name}}, plan.repairs);
  }
  text.Family("nfmeter_plan_missed_seconds_total", Type::kCounter,
              "Time in which counters of the plan may have missed packets: "
              "from the last check that found all well to each repair.");
  for (const accounting::PlanStatus& plan : statuses) {
    text.Add({{"plan", plan.name}}, absl::ToDoubleSeconds(plan.missed));
  }
  text.Family("nfmeter_plan_check_timestamp_seconds", Type::kGauge,
              "When the plan was compared with the kernel last, since the "
              "Unix epoch.");
  for (const accounting::PlanStatus& plan : statuses) {
    if (plan.check_time == absl::InfinitePast()) continue;
    text.Add({{"plan", plan.name}},
             absl::ToDoubleSeconds(plan.check_time - absl::UnixEpoch()));
  }
}

}  // namespace nfmeter::telemetry
