// SPDX-License-Identifier: GPL-3.0-or-later
#include "telemetry/trace_context.h"

#include <cstddef>

namespace nfmeter::telemetry {
namespace {

// version "-" trace-id "-" parent-id "-" flags; versions to come may add more.
constexpr size_t kTraceIdBegin = 3;
constexpr size_t kTraceIdBytes = 32;
constexpr size_t kSpanIdBegin = kTraceIdBegin + kTraceIdBytes + 1;
constexpr size_t kSpanIdBytes = 16;
constexpr size_t kFlagsBegin = kSpanIdBegin + kSpanIdBytes + 1;
constexpr size_t kBytes = kFlagsBegin + 2;

bool IsHex(absl::string_view text) {
  return text.find_first_not_of("0123456789abcdef") == text.npos;
}

bool IsId(absl::string_view text) {
  return IsHex(text) && text.find_first_not_of('0') != text.npos;
}

}  // namespace

TraceContext ParseTraceParent(absl::string_view text) {
  const bool shaped =
      text.size() >= kBytes && text[kTraceIdBegin - 1] == '-' &&
      text[kSpanIdBegin - 1] == '-' && text[kFlagsBegin - 1] == '-' &&
      IsHex(text.substr(0, 2)) && IsHex(text.substr(kFlagsBegin, 2));
  if (!shaped) return {};
  const absl::string_view version = text.substr(0, 2);
  if (version == "ff" || (version == "00" && text.size() > kBytes)) return {};
  const TraceContext trace = {text.substr(kTraceIdBegin, kTraceIdBytes),
                              text.substr(kSpanIdBegin, kSpanIdBytes)};
  if (!IsId(trace.trace_id) || !IsId(trace.span_id)) return {};
  return trace;
}

}  // namespace nfmeter::telemetry
