// SPDX-License-Identifier: GPL-3.0-or-later
// Certificates that change while the server runs.
#ifndef NFMETER_APP_CERTIFICATE_WATCH_H_
#define NFMETER_APP_CERTIFICATE_WATCH_H_

#include <memory>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "security/listen/tls.h"
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
  void Look(web::WebServer* page);

  // A sentence; empty: all is well.
  std::string Notice() const;

 private:
  const std::unique_ptr<security::TlsCopies> copies_;
  mutable absl::Mutex mutex_;
  std::string notice_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace nfmeter::app

#endif  // NFMETER_APP_CERTIFICATE_WATCH_H_
