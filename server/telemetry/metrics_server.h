// SPDX-License-Identifier: GPL-3.0-or-later
// http://HOST:PORT/metrics.
#ifndef NFMETER_TELEMETRY_METRICS_SERVER_H_
#define NFMETER_TELEMETRY_METRICS_SERVER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"

struct MHD_Daemon;

namespace nfmeter::telemetry {

// Answers GET and HEAD of /metrics with a page, and of /-/healthy with "ok".
// Plain HTTP for whoever reaches the address: listen where only those do who
// may know the names and values of counters.
//
// Bounded: few connections, a few kilobytes and seconds for each, no bodies of
// requests. Two threads; a page that waits holds up one.
class MetricsServer {
 public:
  using Page = std::function<std::string()>;

  struct Options {
    std::string host;   // an address or a name, IPv6 without brackets
    uint16_t port = 0;  // 0: one that the kernel chooses
    unsigned max_connections = 32;
    unsigned idle_seconds = 15;
  };

  // `page` is called on threads of the server's, until it is destroyed.
  // FAILED_PRECONDITION, LISTEN_FAILED: the sentence says why.
  static absl::StatusOr<std::unique_ptr<MetricsServer>> Start(
      const Options& options, Page page);

  // Ends connections; waits for pages that are being made.
  ~MetricsServer();

  MetricsServer(const MetricsServer&) = delete;
  MetricsServer& operator=(const MetricsServer&) = delete;

  // "http://127.0.0.1:9477/metrics", with the port that it has.
  const std::string& url() const { return url_; }
  // Its listening socket.
  int listener() const { return listener_; }

 private:
  explicit MetricsServer(Page page) : page_(std::move(page)) {}
  friend class HttpAnswer;

  const Page page_;
  std::string url_;
  int listener_ = -1;
  MHD_Daemon* daemon_ = nullptr;
};

}  // namespace nfmeter::telemetry

#endif  // NFMETER_TELEMETRY_METRICS_SERVER_H_
