// SPDX-License-Identifier: Apache-2.0
// What Prometheus reads of a collector.
#ifndef NFMETER_COLLECTOR_METRICS_H_
#define NFMETER_COLLECTOR_METRICS_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "collector/collector.h"

struct MHD_Daemon;

namespace nfmeter::collector {

// The page, in Prometheus' text format; docs/metrics.md explains it.
std::string MetricsPage(const CollectorState& state, absl::Time now);

// INVALID_ARGUMENT: it is neither HOST:PORT nor [HOST]:PORT.
absl::Status CheckMetricsAddress(absl::string_view address);

// http://HOST:PORT/metrics, and /-/healthy and /-/ready for those who watch
// over the process. Plain HTTP, few connections, no bodies.
class MetricsServer {
 public:
  // `page` is called on a thread of the server's until it is destroyed.
  // `address` is HOST:PORT or [HOST]:PORT; port 0: one that the kernel chooses.
  // INVALID_ARGUMENT: it is none; FAILED_PRECONDITION: it can't be listened on.
  static absl::StatusOr<std::unique_ptr<MetricsServer>> Start(
      absl::string_view address, std::function<std::string()> page);
  ~MetricsServer();
  MetricsServer(const MetricsServer&) = delete;
  MetricsServer& operator=(const MetricsServer&) = delete;

  // "http://127.0.0.1:9479/metrics", with the port that it has.
  const std::string& url() const { return url_; }

 private:
  explicit MetricsServer(std::function<std::string()> page)
      : page_(std::move(page)) {}
  friend struct MetricsAnswer;

  const std::function<std::string()> page_;
  std::string url_;
  MHD_Daemon* daemon_ = nullptr;
};

}  // namespace nfmeter::collector

#endif  // NFMETER_COLLECTOR_METRICS_H_
