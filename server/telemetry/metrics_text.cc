// SPDX-License-Identifier: GPL-3.0-or-later
#include "telemetry/metrics_text.h"

#include <charconv>

#include "absl/strings/str_cat.h"

namespace nfmeter::telemetry {
namespace {

const char* TypeName(MetricsText::Type type) {
  switch (type) {
    case MetricsText::Type::kCounter:
      return "counter";
    case MetricsText::Type::kGauge:
      return "gauge";
    case MetricsText::Type::kHistogram:
      break;
  }
  return "histogram";
}

void AppendEscaped(absl::string_view value, std::string& text) {
  for (const char c : value) {
    if (c == '\n') {
      text.append("\\n");
      continue;
    }
    if (c == '"' || c == '\\') text.push_back('\\');
    text.push_back(c);
  }
}

void AppendLabel(absl::string_view name, absl::string_view value,
                 std::string& text) {
  absl::StrAppend(&text, name, "=\"");
  AppendEscaped(value, text);
  text.push_back('"');
}

template <typename Number>
void AppendNumber(Number number, std::string& text) {
  char digits[32];
  const auto end = std::to_chars(digits, digits + sizeof(digits), number).ptr;
  text.append(digits, end - digits);
}

// Microseconds as seconds, without an exponent.
void AppendBound(int64_t microseconds, std::string& text) {
  char digits[32];
  const auto end = std::to_chars(digits, digits + sizeof(digits),
                                 static_cast<double>(microseconds) / 1e6,
                                 std::chars_format::fixed)
                       .ptr;
  text.append(digits, end - digits);
}

}  // namespace

std::string MetricsText::RenderLabels(absl::Span<const Label> labels) {
  if (labels.empty()) return "";
  std::string text = "{";
  for (const auto& [name, value] : labels) {
    if (text.size() > 1) text.push_back(',');
    AppendLabel(name, value, text);
  }
  text.push_back('}');
  return text;
}

void MetricsText::Family(absl::string_view name, Type type,
                         absl::string_view help) {
  family_ = std::string(name);
  absl::StrAppend(&text_, "# HELP ", name, " ", help, "\n# TYPE ", name, " ",
                  TypeName(type), "\n");
}

void MetricsText::AddRendered(absl::string_view rendered_labels,
                              uint64_t value) {
  text_.append(family_);
  text_.append(rendered_labels.data(), rendered_labels.size());
  text_.push_back(' ');
  AppendNumber(value, text_);
  text_.push_back('\n');
}

void MetricsText::Add(const Labels& labels, double value) {
  absl::StrAppend(&text_, family_, RenderLabels(labels), " ");
  AppendNumber(value, text_);
  text_.push_back('\n');
}

void MetricsText::Add(const Labels& labels,
                      const DurationHistogram::Reading& reading) {
  std::string bucket_labels = RenderLabels(labels);
  if (!bucket_labels.empty()) bucket_labels.pop_back();
  bucket_labels.push_back(bucket_labels.empty() ? '{' : ',');
  uint64_t count = 0;
  for (size_t i = 0; i < DurationHistogram::kBuckets; ++i) {
    count += reading.counts[i];
    absl::StrAppend(&text_, family_, "_bucket", bucket_labels, "le=\"");
    if (i < DurationHistogram::kBounds.size()) {
      AppendBound(DurationHistogram::kBounds[i], text_);
    } else {
      text_.append("+Inf");
    }
    absl::StrAppend(&text_, "\"} ", count, "\n");
  }
  const std::string rendered = RenderLabels(labels);
  absl::StrAppend(&text_, family_, "_sum", rendered, " ");
  AppendNumber(reading.sum, text_);
  absl::StrAppend(&text_, "\n", family_, "_count", rendered, " ", count, "\n");
}

}  // namespace nfmeter::telemetry
