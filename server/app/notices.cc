// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/notices.h"

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

namespace nfmeter::app {

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
