// SPDX-License-Identifier: GPL-3.0-or-later
// A page for people, in a browser.
#ifndef NFMETER_WEB_WEB_SERVER_H_
#define NFMETER_WEB_WEB_SERVER_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "security/listen/listen_address.h"
#include "telemetry/http_server.h"
#include "web/web_api.h"

namespace nfmeter::web {

// Serves the page and what it reads, on a loopback address or a unix socket.
// Nothing can be changed through it. What it shows is what the gate lets the
// principal "web" read.
//
// A browser runs pages of anybody, so requests are answered only where they
// come from this page: by a name of this host, and from no other site.
class WebServer {
 public:
  // `address` is local. FAILED_PRECONDITION, LISTEN_FAILED: the sentence says
  // why.
  static absl::StatusOr<std::unique_ptr<WebServer>> Start(
      const security::ListenAddress& address, std::unique_ptr<WebApi> api);

  WebServer(const WebServer&) = delete;
  WebServer& operator=(const WebServer&) = delete;

  // "http://127.0.0.1:9478/", or "unix:/run/nfmeter/web.sock".
  const std::string& url() const { return url_; }
  // Its listening socket.
  int listener() const { return server_->listener(); }

 private:
  WebServer() = default;
  telemetry::HttpAnswer Answer(const telemetry::HttpRequest& request) const;

  bool over_tcp_ = false;
  std::string host_;
  std::string url_;
  std::unique_ptr<WebApi> api_;
  std::unique_ptr<telemetry::HttpServer> server_;
};

}  // namespace nfmeter::web

#endif  // NFMETER_WEB_WEB_SERVER_H_
