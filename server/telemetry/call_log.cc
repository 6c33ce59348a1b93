// SPDX-License-Identifier: GPL-3.0-or-later
#include "telemetry/call_log.h"

#include "absl/strings/str_format.h"
#include "base/error.h"
#include "telemetry/log.h"
#include "telemetry/trace_context.h"

namespace nfmeter::telemetry {

void CallLog::OnCallEnded(const CallRecord& record) {
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

}  // namespace nfmeter::telemetry
