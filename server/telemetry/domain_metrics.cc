// SPDX-License-Identifier: GPL-3.0-or-later
#include "telemetry/domain_metrics.h"

namespace nfmeter::telemetry {
namespace {

using Type = MetricsText::Type;

}  // namespace

void LaneMetrics::WriteMetrics(MetricsText& text) const {
  text.Family("nfmeter_lane_queue_jobs", Type::kGauge, "Jobs that wait.");
  for (const auto* lane : lanes_) {
    text.Add({{"lane", lane->name()}}, uint64_t{lane->waiting()});
  }
  text.Family("nfmeter_lane_queue_limit_jobs", Type::kGauge,
              "The most jobs that may wait; more are refused with LANE_FULL.");
  for (const auto* lane : lanes_) {
    text.Add({{"lane", lane->name()}}, uint64_t{lane->capacity()});
  }
  text.Family("nfmeter_lane_wait_seconds", Type::kHistogram,
              "Time that jobs waited for their turn.");
  for (const auto* lane : lanes_) {
    text.Add({{"lane", lane->name()}}, lane->wait_times().Read());
  }
  text.Family("nfmeter_lane_run_seconds", Type::kHistogram,
              "Time that jobs ran; its sum says how busy the lane is.");
  for (const auto* lane : lanes_) {
    text.Add({{"lane", lane->name()}}, lane->run_times().Read());
  }
}

void SnapshotMetrics::WriteMetrics(MetricsText& text) const {
  const accounting::SnapshotStats& stats = hub_.stats();
  text.Family("nfmeter_snapshots_total", Type::kCounter,
              "Readings of all counters, by how they ended; an incomplete one "
              "may lack counters, as others deleted some meanwhile.");
  text.Add({{"result", "complete"}}, stats.complete.load());
  text.Add({{"result", "incomplete"}}, stats.incomplete.load());
  text.Add({{"result", "failed"}}, stats.failed.load());
  text.Family("nfmeter_snapshot_repeated_passes_total", Type::kCounter,
              "Passes over the counters that had to be made again, to be sure "
              "that none was missing.");
  text.Add(stats.repeated_passes.load());
  text.Family("nfmeter_snapshot_duration_seconds", Type::kHistogram,
              "Time of a reading of all counters.");
  text.Add({}, stats.durations.Read());
  text.Family("nfmeter_snapshot_intervals_subscribed", Type::kGauge,
              "Different intervals at which snapshots are taken for streams.");
  text.Add(uint64_t{hub_.subscriber_count()});
  if (const auto latest = hub_.Latest()) {
    text.Family("nfmeter_snapshot_timestamp_seconds", Type::kGauge,
                "When the newest snapshot was begun, since the Unix epoch.");
    text.Add(absl::ToDoubleSeconds(latest->wall_time - absl::UnixEpoch()));
  }
}

void QuotaMetrics::WriteMetrics(MetricsText& text) const {
  const accounting::QuotaStats& stats = hub_.stats();
  text.Family(
      "nfmeter_quota_events_total", Type::kCounter,
      "Quotas that were crossed: told by the kernel (crossed), or found "
      "by reading as the kernel had dropped its event (recovered).");
  text.Add({{"kind", "crossed"}}, stats.crossed.load());
  text.Add({{"kind", "recovered"}}, stats.recovered.load());
  text.Family("nfmeter_quota_thresholds_total", Type::kCounter,
              "Thresholds of quotas that were reached, see quota.thresholds "
              "of plans.");
  text.Add(stats.thresholds.load());
  text.Family("nfmeter_quota_event_losses_total", Type::kCounter,
              "Times that the kernel dropped quota events; the counters were "
              "read for them.");
  text.Add(stats.losses.load());
  text.Family("nfmeter_quota_events_missed_total", Type::kCounter,
              "Quota events that slow streams did not get.");
  text.Add(stats.missed.load());
}

void FlowMetrics::WriteMetrics(MetricsText& text) const {
  const accounting::FlowStats& stats = hub_.stats();
  text.Family("nfmeter_flow_dumps_total", Type::kCounter,
              "Readings of all flows, by how they ended; an incomplete one "
              "lacks flows or has some twice, as the kernel's table was "
              "resized.");
  text.Add({{"result", "complete"}}, stats.complete.load());
  text.Add({{"result", "incomplete"}}, stats.incomplete.load());
  text.Add({{"result", "failed"}}, stats.failed.load());
  text.Family("nfmeter_flow_dump_duration_seconds", Type::kHistogram,
              "Time of a reading of all flows.");
  text.Add({}, stats.durations.Read());
  text.Family("nfmeter_flows_read_total", Type::kCounter,
              "Flows that readings brought.");
  text.Add(stats.flows_read.load());
  text.Family("nfmeter_flow_watches", Type::kGauge,
              "Streams that watch flows.");
  text.Add(uint64_t{hub_.watch_count()});
  text.Family("nfmeter_flows_watched", Type::kGauge,
              "Flows that are followed for them.");
  text.Add(stats.watched_flows.load());
  text.Family("nfmeter_flow_ends_total", Type::kCounter,
              "Ends of watched flows that the kernel told of.");
  text.Add(stats.ends_read.load());
  text.Family("nfmeter_flow_ends_lost_total", Type::kCounter,
              "Ends that the kernel had no room to tell of; sums of watches "
              "lack what these flows carried last.");
  text.Add(stats.ends_lost.load());
  text.Family("nfmeter_flows_vanished_total", Type::kCounter,
              "Watched flows that have gone without a word. Likewise.");
  text.Add(stats.vanished.load());
  text.Family("nfmeter_flow_lists_too_slow_total", Type::kCounter,
              "Lists of flows that were ended because they were read too "
              "slowly.");
  text.Add(stats.slow_lists.load());
}

void LedgerMetrics::WriteMetrics(MetricsText& text) const {
  const accounting::LedgerStatus ledger = ledger_.status();
  text.Family("nfmeter_ledger_kept", Type::kGauge,
              "Whether totals are kept on the disk, not only in memory.");
  text.Add(uint64_t{ledger.kept});
  text.Family("nfmeter_usage_gaps_total", Type::kCounter,
              "Gaps found in what counters counted.");
  text.Add(ledger.gaps);
  if (!ledger.kept) return;
  text.Family("nfmeter_ledger_writable", Type::kGauge,
              "Whether the last record of usage could be written.");
  text.Add(uint64_t{ledger.writable.ok()});
  text.Family("nfmeter_ledger_records_total", Type::kCounter,
              "Records of usage written.");
  text.Add(ledger.records_written);
  text.Family("nfmeter_ledger_failures_total", Type::kCounter,
              "Times that a record could not be written.");
  text.Add(ledger.failures);
  text.Family("nfmeter_ledger_record_bytes", Type::kGauge,
              "Bytes of all records that are kept.");
  text.Add(ledger.record_bytes);
}

void PlanMetrics::WriteMetrics(MetricsText& text) const {
  using State = accounting::PlanStatus::State;
  const std::vector<accounting::PlanStatus> plans = plans_.Statuses();
  if (plans.empty()) return;
  text.Family("nfmeter_plan_in_force", Type::kGauge,
              "Whether the kernel is as the plan wants it; 0: it could not be "
              "made so, or another program undoes each repair.");
  for (const accounting::PlanStatus& plan : plans) {
    text.Add({{"plan", plan.name}}, uint64_t{plan.state == State::kInSync ||
                                             plan.state == State::kApplying});
  }
  text.Family("nfmeter_plan_repairs_total", Type::kCounter,
              "Times that rules of the plan were put back that others had "
              "removed, changed or moved.");
  for (const accounting::PlanStatus& plan : plans) {
    text.Add({{"plan", plan.name}}, plan.repairs);
  }
  text.Family("nfmeter_plan_missed_seconds_total", Type::kCounter,
              "Time in which counters of the plan may have missed packets: "
              "from the last check that found all well to each repair.");
  for (const accounting::PlanStatus& plan : plans) {
    text.Add({{"plan", plan.name}}, absl::ToDoubleSeconds(plan.missed));
  }
  text.Family("nfmeter_plan_check_timestamp_seconds", Type::kGauge,
              "When the plan was compared with the kernel last, since the "
              "Unix epoch.");
  for (const accounting::PlanStatus& plan : plans) {
    if (plan.check_time == absl::InfinitePast()) continue;
    text.Add({{"plan", plan.name}},
             absl::ToDoubleSeconds(plan.check_time - absl::UnixEpoch()));
  }
}

}  // namespace nfmeter::telemetry
