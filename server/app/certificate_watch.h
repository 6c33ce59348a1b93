// SPDX-License-Identifier: GPL-3.0-or-later
// Certificates that change while the server runs.
#ifndef NFMETER_APP_CERTIFICATE_WATCH_H_
#define NFMETER_APP_CERTIFICATE_WATCH_H_

#include <memory>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/synchronization/mutex.h"
#include "security/listen/tls.h"
#include "telemetry/log.h"
#include "web/web_server.h"

namespace nfmeter::app {

// Takes the files of certificates when they have changed. What is wrong with
// them, or soon will be, is logged once and is a notice until it is mended.
//
// Look() belongs to one thread; Notice() is thread-safe.
class CertificateWatch {
 public:
  explicit CertificateWatch(std::unique_ptr<security::TlsCopies> copies)
      : copies_(std::move(copies)) {}

  const security::TlsCopies& copies() const { return *copies_; }

  // `page`: the server of the page, where it uses the same certificates; else
  // null.
  void Look(web::WebServer* page) {
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

  // A sentence; empty: all is well.
  std::string Notice() const {
    absl::MutexLock lock(&mutex_);
    return notice_;
  }

 private:
  const std::unique_ptr<security::TlsCopies> copies_;
  mutable absl::Mutex mutex_;
  std::string notice_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace nfmeter::app

#endif  // NFMETER_APP_CERTIFICATE_WATCH_H_
