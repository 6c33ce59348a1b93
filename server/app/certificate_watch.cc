// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/certificate_watch.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "telemetry/log.h"

namespace nfmeter::app {

void CertificateWatch::Look(web::WebServer* page) {
  auto warnings = copies_->Refresh();
  if (warnings.ok() && page != nullptr) {
    const absl::Status used = page->UseCertificates(copies_->texts());
    if (!used.ok()) warnings = used;
  }
  const std::string problems = warnings.ok()
                                   ? absl::StrJoin(*warnings, "; ")
                                   : std::string(warnings.status().message());
  const absl::string_view what_follows =
      warnings.ok() ? "The certificates' files are used, but: "
                    : "The certificates' files are wrong, and those from "
                      "before are in force: ";
  const std::string notice =
      problems.empty() ? "" : absl::StrCat(what_follows, problems);
  {
    absl::MutexLock lock(&mutex_);
    if (notice == notice_) return;
    notice_ = notice;
  }
  if (!warnings.ok()) {
    Log(telemetry::LogLevel::kError, "certificates unusable",
        {{"error", problems}});
  } else if (!problems.empty()) {
    Log(telemetry::LogLevel::kWarning, "odd certificates",
        {{"detail", problems}});
  } else {
    Log(telemetry::LogLevel::kInfo, "certificates usable again");
  }
}

std::string CertificateWatch::Notice() const {
  absl::MutexLock lock(&mutex_);
  return notice_;
}

}  // namespace nfmeter::app
