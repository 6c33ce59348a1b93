// SPDX-License-Identifier: GPL-3.0-or-later
// The text that Prometheus reads.
#ifndef NFMETER_TELEMETRY_METRICS_TEXT_H_
#define NFMETER_TELEMETRY_METRICS_TEXT_H_

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/duration_histogram.h"

namespace nfmeter::telemetry {

// Writes metrics in Prometheus' text format, version 0.0.4: family by family,
// each with its samples right after it. Not thread-safe.
class MetricsText {
 public:
  enum class Type { kCounter, kGauge, kHistogram };
  // Values are escaped, and must be UTF-8.
  using Label = std::pair<absl::string_view, absl::string_view>;
  using Labels = std::initializer_list<Label>;

  // Room for as many bytes.
  explicit MetricsText(size_t bytes = 0) { text_.reserve(bytes); }

  // `help` is one sentence without line breaks and backslashes.
  void Family(absl::string_view name, Type type, absl::string_view help);

  // A sample of the present family.
  void Add(const Labels& labels, std::integral auto value) {
    AddRendered(RenderLabels(labels), static_cast<uint64_t>(value));
  }
  void Add(const Labels& labels, double value);
  void Add(const Labels& labels, const DurationHistogram::Reading& reading);

  // Families of one sample without labels.
  void Counter(absl::string_view name, absl::string_view help,
               const auto& value) {
    Family(name, Type::kCounter, help);
    Add({}, value);
  }
  void Gauge(absl::string_view name, absl::string_view help,
             const auto& value) {
    Family(name, Type::kGauge, help);
    Add({}, value);
  }
  void Histogram(absl::string_view name, absl::string_view help,
                 const DurationHistogram& durations) {
    Family(name, Type::kHistogram, help);
    Add({}, durations.Read());
  }

  // Likewise, with labels as RenderLabels() made them: for large families.
  void AddRendered(absl::string_view rendered_labels, uint64_t value);
  // `{a="b",c="d"}`, or nothing without labels.
  static std::string RenderLabels(absl::Span<const Label> labels);

  std::string Take() && { return std::move(text_); }

 private:
  std::string text_;
  std::string family_;
};

// Writes whole families: the WriteMetrics() of whoever has something to count,
// or several of them. What accounting has, which knows nothing of this, has its
// functions in domain_metrics.h; each metric is explained in docs/metrics.md.
// Called on any thread, several at once; may wait for the kernel, but not for
// anybody else.
using MetricSource = std::function<void(MetricsText&)>;

}  // namespace nfmeter::telemetry

#endif  // NFMETER_TELEMETRY_METRICS_TEXT_H_
