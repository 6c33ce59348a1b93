// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/state_tools.h"

#include <stdio.h>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "accounting/ledger/ledger_files.h"
#include "app/host_identity.h"

namespace nfmeter::app {
namespace {

absl::Status CheckDirectory(const std::string& state_dir) {
  if (!state_dir.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      "there is no state directory, as --state-dir is ''");
}

std::string FileIn(const std::string& state_dir) {
  return absl::StrCat(state_dir, "/ledger.db");
}

std::string Shown(absl::Time time) {
  return absl::FormatTime(absl::RFC3339_sec, time, absl::UTCTimeZone());
}

}  // namespace

ExitCode CheckState(const std::string& state_dir) {
  if (const absl::Status status = CheckDirectory(state_dir); !status.ok()) {
    return Refuse(status.message(), kExitState);
  }
  const std::string path = FileIn(state_dir);
  const auto report =
      accounting::CheckLedger(path, ReadHostIdentity().machine_id);
  if (!report.ok()) return Refuse(report.status().message(), kExitState);
  const bool sound = report->faults.empty();
  std::string text = absl::StrCat(
      sound ? "ok" : "NOT SOUND", ": ", path, "\nnode: ", report->node_id,
      "\ncounters: ", report->accounts, "\nrecords: ", report->records, ", ",
      report->record_bytes, " bytes");
  if (report->records > 0) {
    absl::StrAppend(
        &text, ", ", Shown(report->oldest), " to ", Shown(report->newest),
        "\nnewest record: ", report->sequence, " of epoch ", report->epoch);
  }
  absl::StrAppend(&text, "\ncheckpoints: ", report->checkpoints,
                  "\ngaps: ", report->gaps, "\n");
  fputs(text.c_str(), stdout);
  for (const std::string& fault : report->faults) {
    printf("fault: %s\n", fault.c_str());
  }
  return sound ? kExitOk : kExitState;
}

ExitCode BackUpState(const std::string& state_dir, const std::string& copy) {
  absl::Status status = CheckDirectory(state_dir);
  if (status.ok()) {
    status = accounting::BackUpLedger(FileIn(state_dir), copy, absl::Now());
  }
  if (!status.ok()) return Refuse(status.message(), kExitState);
  printf(
      "copied %s to %s; to restore it, stop nfmeterd and put it in that place, "
      "without the -wal and -shm files beside it\n",
      FileIn(state_dir).c_str(), copy.c_str());
  return kExitOk;
}

}  // namespace nfmeter::app
