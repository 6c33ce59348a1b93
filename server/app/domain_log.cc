// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/domain_log.h"

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "telemetry/log.h"

namespace nfmeter::app {

void LogWritable(const absl::Status& status) {
  if (status.ok()) {
    Log(telemetry::LogLevel::kInfo, "ledger written again");
  } else {
    Log(telemetry::LogLevel::kError, "ledger not written",
        {{"error", status.message()}});
  }
}

void LogPruning(const absl::StatusOr<size_t>& counters) {
  if (counters.ok()) {
    Log(telemetry::LogLevel::kInfo, "labels of deleted counters removed",
        {{"counters", *counters}});
  } else {
    Log(telemetry::LogLevel::kWarning, "labels not removed",
        {{"error", counters.status().message()}});
  }
}

void LogQuotaChanges(const absl::StatusOr<size_t>& finished) {
  if (!finished.ok()) {
    Log(telemetry::LogLevel::kWarning, "changes of quotas not finished",
        {{"error", finished.status().message()}});
  } else if (*finished > 0) {
    Log(telemetry::LogLevel::kInfo, "changes of quotas finished",
        {{"counters", *finished}});
  }
}

void LogRestored(const absl::StatusOr<std::vector<std::string>>& counters) {
  if (!counters.ok()) {
    Log(telemetry::LogLevel::kWarning, "counters not restored",
        {{"error", counters.status().message()}});
  } else if (!counters->empty()) {
    Log(telemetry::LogLevel::kInfo, "counters restored",
        {{"counters", counters->size()}});
  }
}

void LogPlan(const accounting::PlanStatus& status) {
  using State = accounting::PlanStatus::State;
  switch (status.state) {
    case State::kApplying:
      return;
    case State::kInSync:
      Log(telemetry::LogLevel::kInfo, "plan in force",
          {{"plan", status.name},
           {"etag", status.etag},
           {"repairs", status.repairs}});
      return;
    case State::kDrifted:
    case State::kFought:
    case State::kFailed:
      Log(telemetry::LogLevel::kWarning, "plan not in force",
          {{"plan", status.name},
           {"repairs", status.repairs},
           {"why", status.message}});
  }
}

void LogRepair(const accounting::PlanRepair& repair) {
  Log(telemetry::LogLevel::kWarning, "rules of a plan put back",
      {{"plan", repair.plan},
       {"differences", repair.differences},
       {"counters", repair.counters},
       {"missed_from", absl::FormatTime(absl::RFC3339_sec, repair.missed_from,
                                        absl::UTCTimeZone())},
       {"missed_to", absl::FormatTime(absl::RFC3339_sec, repair.missed_to,
                                      absl::UTCTimeZone())}});
}

std::vector<std::string> LedgerNotices(const accounting::LedgerStatus& ledger) {
  std::vector<std::string> notices;
  if (!ledger.kept) {
    notices.push_back(
        "Totals of counters are kept in memory only, as this server has no "
        "state directory: its restart begins them anew.");
  }
  if (!ledger.writable.ok()) {
    notices.push_back(absl::StrCat(
        "The ledger of usage can't be written since ",
        absl::FormatTime(absl::RFC3339_sec, ledger.since, absl::UTCTimeZone()),
        ", and accounting goes on in memory: if this server ends meanwhile, "
        "what resets read may be missing in totals; ",
        ledger.writable.message()));
  }
  if (!ledger.damaged_file.empty()) {
    notices.push_back(absl::StrCat(
        "The ledger of usage was damaged and has begun anew since the start "
        "of this server; what is left of the old one is in ",
        ledger.damaged_file));
  }
  return notices;
}

std::string LabelsNotice(const accounting::LabelStore::Use& use,
                         size_t max_bytes) {
  if (use.disk_bytes == 0) return "";
  return absl::StrCat("The state directory holds labels of ",
                      use.memory_bytes + use.disk_bytes,
                      " bytes, more than limits.max_label_bytes (", max_bytes,
                      "): some are read from the disk each time, and no "
                      "counter gets new labels "
                      "until others are deleted or the limit is raised.");
}

}  // namespace nfmeter::app
