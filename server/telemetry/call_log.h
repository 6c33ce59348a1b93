// SPDX-License-Identifier: GPL-3.0-or-later
// Calls in the log.
#ifndef NFMETER_TELEMETRY_CALL_LOG_H_
#define NFMETER_TELEMETRY_CALL_LOG_H_

#include "telemetry/call_observer.h"

namespace nfmeter::telemetry {

// A line for each call at the level debug, with its caller's trace; at the
// level warning for each that failed for a reason of ours (INTERNAL).
// Thread-safe.
class CallLog final : public CallObserver {
 public:
  void OnCallEnded(const CallRecord& record) override;
};

}  // namespace nfmeter::telemetry

#endif  // NFMETER_TELEMETRY_CALL_LOG_H_
