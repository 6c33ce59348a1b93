// SPDX-License-Identifier: GPL-3.0-or-later
#include "telemetry/metrics_page.h"

#include <chrono>
#include <utility>

namespace nfmeter::telemetry {

std::string MetricsPage::Render() {
  const auto begin = std::chrono::steady_clock::now();
  // A little more than last time, so that it seldom grows by copying.
  MetricsText text(last_size_ + last_size_ / 16 + 4096);
  text.Family("nfmeter_scrape_duration_seconds", MetricsText::Type::kHistogram,
              "Time that earlier scrapes of this page took.");
  text.Add({}, durations_.Read());
  for (const MetricSource* source : sources_) source->WriteMetrics(text);
  std::string page = std::move(text).Take();
  last_size_ = page.size();
  durations_.Add(std::chrono::steady_clock::now() - begin);
  return page;
}

}  // namespace nfmeter::telemetry
