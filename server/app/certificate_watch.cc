// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/certificate_watch.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "telemetry/log.h"

namespace nfmeter::app {

void CertificateWatch::Look(web::WebServer* page) {
  auto oddities = copies_->LookAgain();
  if (oddities.ok() && page != nullptr) {
    const absl::Status used = page->UseCertificates(copies_->texts());
    if (!used.ok()) oddities = used;
  }
  const std::string problems = oddities.ok()
                                   ? absl::StrJoin(*oddities, "; ")
                                   : std::string(oddities.status().message());
  const absl::string_view what_follows =
      oddities.ok() ? "New connections over TLS may fail: "
                    : "The certificates' files are wrong, and those from "
                      "before are in force: ";
  const std::string notice =
      problems.empty() ? "" : absl::StrCat(what_follows, problems);
  {
    absl::MutexLock lock(&mutex_);
    if (notice == notice_) return;
    notice_ = notice;
  }
  if (!oddities.ok()) {
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
