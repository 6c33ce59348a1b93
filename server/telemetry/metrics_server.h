// SPDX-License-Identifier: GPL-3.0-or-later
// http://HOST:PORT/metrics.
#ifndef NFMETER_TELEMETRY_METRICS_SERVER_H_
#define NFMETER_TELEMETRY_METRICS_SERVER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "telemetry/http_server.h"

namespace nfmeter::telemetry {

// Answers GET and HEAD of /metrics with a page, and of /-/healthy with "ok".
// Plain HTTP for whoever reaches the address: listen where only those do who
// may know the names and values of counters.
//
// Bounded as HttpServer is: two threads; a page that waits holds up one.
class MetricsServer {
 public:
  using Page = std::function<std::string()>;

  struct Options {
    std::string host;   // an address or a name, IPv6 without brackets
    uint16_t port = 0;  // 0: one that the kernel chooses
    HttpServer::Options http;
  };

  // `page` is called on threads of the server's, until it is destroyed.
  // FAILED_PRECONDITION, LISTEN_FAILED: the sentence says why.
  static absl::StatusOr<std::unique_ptr<MetricsServer>> Start(
      const Options& options, Page page);

  MetricsServer(const MetricsServer&) = delete;
  MetricsServer& operator=(const MetricsServer&) = delete;

  // "http://127.0.0.1:9477/metrics", with the port that it has.
  const std::string& url() const { return url_; }
  // Its listening socket.
  int listener() const { return server_->listener(); }

 private:
  MetricsServer(std::string url, std::unique_ptr<HttpServer> server)
      : url_(std::move(url)), server_(std::move(server)) {}

  const std::string url_;
  const std::unique_ptr<HttpServer> server_;
};

}  // namespace nfmeter::telemetry

#endif  // NFMETER_TELEMETRY_METRICS_SERVER_H_
