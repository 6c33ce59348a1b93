// SPDX-License-Identifier: GPL-3.0-or-later
// Which trace of the caller's a call belongs to.
#ifndef NFMETER_TELEMETRY_TRACE_CONTEXT_H_
#define NFMETER_TELEMETRY_TRACE_CONTEXT_H_

#include "absl/strings/string_view.h"

namespace nfmeter::telemetry {

// Lower hex digits, of the header that it was read from; empty: there is no
// trace.
struct TraceContext {
  absl::string_view trace_id;
  // The caller's span. We make none of our own.
  absl::string_view span_id;
};

// Reads the header `traceparent` (W3C Trace Context, of any version). What does
// not follow it is no trace.
TraceContext ParseTraceParent(absl::string_view trace_parent);

}  // namespace nfmeter::telemetry

#endif  // NFMETER_TELEMETRY_TRACE_CONTEXT_H_
