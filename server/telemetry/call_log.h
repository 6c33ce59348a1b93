// SPDX-License-Identifier: GPL-3.0-or-later
// Calls in the log.
#ifndef NFMETER_TELEMETRY_CALL_LOG_H_
#define NFMETER_TELEMETRY_CALL_LOG_H_

#include "absl/strings/str_format.h"
#include "base/error.h"
#include "telemetry/call_observer.h"
#include "telemetry/log.h"
#include "telemetry/trace_context.h"

namespace nfmeter::telemetry {

// A line for each call at the level debug, with its caller's trace; at the
// level warning for each that failed for a reason of ours (INTERNAL).
// Thread-safe.
class CallLog final : public CallObserver {
 public:
  void OnCallEnded(const CallRecord& record) override {
    const bool is_ours = record.status.code() == absl::StatusCode::kInternal ||
                         record.status.code() == absl::StatusCode::kUnknown;
    const LogLevel level = is_ours ? LogLevel::kWarning : LogLevel::kDebug;
    if (!IsLogged(level)) return;
    const TraceContext trace = ParseTraceParent(record.trace_parent);
    Log(level, is_ours ? "call failed" : "call",
        {{"method", record.method},
         {"principal", record.principal},
         {"code", absl::StatusCodeToString(record.status.code())},
         {"reason", GetErrorDetails(record.status).reason},
         {"duration_ms",
          absl::StrFormat("%.3f", absl::ToDoubleMilliseconds(record.duration))},
         {"trace_id", trace.trace_id},
         {"span_id", trace.span_id}});
  }
};

}  // namespace nfmeter::telemetry

#endif  // NFMETER_TELEMETRY_CALL_LOG_H_
