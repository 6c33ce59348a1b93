// SPDX-License-Identifier: GPL-3.0-or-later
// A real Prometheus that scrapes a nfmeterd of the test's.
#ifndef NFMETER_TESTS_SYSTEM_PROMETHEUS_PROCESS_H_
#define NFMETER_TESTS_SYSTEM_PROMETHEUS_PROCESS_H_

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/subprocess.h"
#include "tests/system/nfmeterd_process.h"

namespace nfmeter::testing {

// The address of a server's metrics, as its log tells it: "127.0.0.1:4711".
std::string MetricsAddressOf(const NfmeterdProcess& server);

// The text at http://ADDRESS/metrics.
std::string ScrapeMetrics(const std::string& address);

// In the test's network namespace, where its port is free. Scrapes four times a
// second and has the alert rules of packaging/.
class PrometheusProcess {
 public:
  explicit PrometheusProcess(const std::string& metrics_address);

  struct Sample {
    std::map<std::string, std::string> labels;
    double value = 0;
  };
  // What a query gives now; a query that is wrong fails the test.
  std::vector<Sample> Query(const std::string& query) const;

  // The first answer that is `good`, or the last one after half a minute.
  std::vector<Sample> QueryUntil(
      const std::string& query,
      const std::function<bool(const std::vector<Sample>&)>& good) const;

  // Its only value, as soon as there is one and it is `value`; else what it was
  // last.
  double ValueWhenItIs(const std::string& query, double value) const;

 private:
  TemporaryDirectory dir_;
  std::unique_ptr<Background> process_;
};

}  // namespace nfmeter::testing

#endif  // NFMETER_TESTS_SYSTEM_PROMETHEUS_PROCESS_H_
