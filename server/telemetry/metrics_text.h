// SPDX-License-Identifier: GPL-3.0-or-later
// The text that Prometheus reads.
#ifndef NFMETER_TELEMETRY_METRICS_TEXT_H_
#define NFMETER_TELEMETRY_METRICS_TEXT_H_

#include <cstddef>
#include <cstdint>
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
  void Add(const Labels& labels, uint64_t value);
  void Add(const Labels& labels, double value);
  void Add(uint64_t value) { Add({}, value); }
  void Add(double value) { Add({}, value); }
  void Add(const Labels& labels, const DurationHistogram::Reading& reading);

  // Likewise, with labels as RenderLabels() made them: for large families.
  void AddRendered(absl::string_view rendered_labels, uint64_t value);
  // `{a="b",c="d"}`, or nothing without labels.
  static std::string RenderLabels(absl::Span<const Label> labels);

  std::string Take() && { return std::move(text_); }

 private:
  std::string text_;
  std::string family_;
};

}  // namespace nfmeter::telemetry

#endif  // NFMETER_TELEMETRY_METRICS_TEXT_H_
