// SPDX-License-Identifier: GPL-3.0-or-later
// All metrics of a server.
#ifndef NFMETER_TELEMETRY_METRICS_PAGE_H_
#define NFMETER_TELEMETRY_METRICS_PAGE_H_

#include <atomic>
#include <cstddef>
#include <string>
#include <vector>

#include "base/duration_histogram.h"
#include "telemetry/metric_source.h"

namespace nfmeter::telemetry {

// Asks everybody who has metrics, in the order in which they were added.
// Thread-safe once all have been added.
class MetricsPage {
 public:
  // Does not own it.
  void Add(const MetricSource& source) { sources_.push_back(&source); }

  std::string Render();

 private:
  std::vector<const MetricSource*> sources_;
  std::atomic<size_t> last_size_ = 0;
  DurationHistogram durations_;
};

}  // namespace nfmeter::telemetry

#endif  // NFMETER_TELEMETRY_METRICS_PAGE_H_
