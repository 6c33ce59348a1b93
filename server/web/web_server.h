// SPDX-License-Identifier: GPL-3.0-or-later
// A page for people, in a browser.
#ifndef NFMETER_WEB_WEB_SERVER_H_
#define NFMETER_WEB_WEB_SERVER_H_

#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "security/listen/listen_address.h"
#include "security/listen/tls.h"
#include "telemetry/http_server.h"
#include "web/web_api.h"

namespace nfmeter::web {

// Serves the page and what it reads: on a loopback address or a unix socket, or
// anywhere with mutual TLS. Nothing can be changed through it. What it shows is
// what the gate lets the reader see: with TLS whoever the client's certificate
// names, as over gRPC, else the principal "web".
//
// A browser runs pages of anybody, so requests are answered only where they
// come from this page: by a name of this host, and from no other site.
class WebServer {
 public:
  // Without `tls`, `address` is local; with it, it is one of TCP.
  // FAILED_PRECONDITION, LISTEN_FAILED: the sentence says why.
  // INVALID_ARGUMENT: as UseCertificates().
  static absl::StatusOr<std::unique_ptr<WebServer>> Start(
      const security::ListenAddress& address,
      const std::optional<security::TlsTexts>& tls,
      std::unique_ptr<WebApi> api);

  WebServer(const WebServer&) = delete;
  WebServer& operator=(const WebServer&) = delete;

  // Of a server with TLS, for connections to come. INVALID_ARGUMENT: GnuTLS
  // can't use them, and those from before stay. One thread at a time.
  absl::Status UseCertificates(const security::TlsTexts& tls);

  // "http://127.0.0.1:9478/", or "unix:/run/nfmeter/web.sock".
  const std::string& url() const { return url_; }
  // Its listening socket.
  int listener() const { return server_->listener(); }

 private:
  WebServer() = default;
  telemetry::HttpAnswer Answer(const telemetry::HttpRequest& request) const;
  bool IsNameOfThisHost(const telemetry::HttpRequest& request) const;

  security::ListenAddress address_;
  bool over_tls_ = false;
  std::optional<security::TlsTexts> tls_;  // in use; for UseCertificates()

  std::string url_;
  std::unique_ptr<WebApi> api_;
  std::unique_ptr<telemetry::HttpServer> server_;
};

}  // namespace nfmeter::web

#endif  // NFMETER_WEB_WEB_SERVER_H_
